"""A small DICOM peer for tests: it can do what well-behaved toolkits cannot.

SCU: any message with the data set bytes as given, any negotiation; raw access
to the association for hostile tests. SCP: keeps data set bytes as received,
and can be told to refuse contexts, answer statuses, stall, crash on an
instance. Standard library only.
"""
import collections
import hashlib
import socket
import ssl
import struct
import threading

PREFIX = '1.2.840.10008.'
IVLE, EVLE = PREFIX + '1.2', PREFIX + '1.2.1'
VERIFICATION = PREFIX + '1.1'
CT = PREFIX + '5.1.4.1.1.2'
SC = PREFIX + '5.1.4.1.1.7'
WORKLIST = PREFIX + '5.1.4.31'
PATIENT_FIND, STUDY_FIND = PREFIX + '5.1.4.1.2.1.1', PREFIX + '5.1.4.1.2.2.1'
STUDY_MOVE, STUDY_GET = PREFIX + '5.1.4.1.2.2.2', PREFIX + '5.1.4.1.2.2.3'
MPPS = PREFIX + '3.1.2.3.3'
PENDING, CANCELLED = 0xff00, 0xfe00
APP = PREFIX + '3.1.1.1'
LONG = {b'OB', b'OW', b'UN', b'SQ', b'UT', b'OF', b'OD', b'OL', b'OV', b'UC',
        b'UR', b'SV', b'UV'}


class Gone(Exception):
    """The peer ended the connection."""


def split_part10(b):
    """-> ({element: text} of group 2, data set bytes)"""
    if b[128:132] != b'DICM':
        raise ValueError('no DICM')
    at, meta = 132, {}
    while b[at:at + 2] == b'\x02\x00':
        if b[at + 4:at + 6] in LONG:
            n, v = struct.unpack('<I', b[at + 8:at + 12])[0], at + 12
        else:
            n, v = struct.unpack('<H', b[at + 6:at + 8])[0], at + 8
        if v + n > len(b):
            raise ValueError('meta information runs past the end')
        key = struct.unpack('<H', b[at + 2:at + 4])[0]
        meta[key] = b[v:v + n].rstrip(b'\0 ').decode('latin-1')
        at = v + n
    return meta, b[at:]


def even(b):
    return b + b'\0' * (len(b) & 1)


def elem(e, value):
    value = even(value)
    return struct.pack('<HHI', 0, e, len(value)) + value


def command(fields):
    body = b''.join(elem(e, v) for e, v in sorted(fields.items()))
    return elem(0, struct.pack('<I', len(body))) + body


def parse_command(b):
    at, out = 0, {}
    while at + 8 <= len(b):
        _, e, n = struct.unpack('<HHI', b[at:at + 8])
        out[e] = b[at + 8:at + 8 + n]
        at += 8 + n
    return out


def u16(n):
    return struct.pack('<H', n)


def number(b):
    return struct.unpack('<H', b[:2])[0]


def item(kind, body):
    return struct.pack('>BBH', kind, 0, len(body)) + body


def pdu(kind, body):
    return struct.pack('>BBI', kind, 0, len(body)) + body


def pdata(pcid, mch, payload):
    return pdu(4, struct.pack('>IBB', len(payload) + 2, pcid, mch) + payload)


def associate_rq(contexts, calling='SCU', called='CULVERT', max_pdu=131072,
                 version=1, app=APP, extra=b''):
    """contexts: [(id, abstract, [transfer syntaxes])]"""
    items = item(0x10, app.encode())
    for pcid, abstract, syntaxes in contexts:
        items += item(0x20, bytes([pcid, 0, 0, 0]) +
                      item(0x30, abstract.encode()) +
                      b''.join(item(0x40, t.encode()) for t in syntaxes))
    user = item(0x51, struct.pack('>I', max_pdu)) + \
        item(0x52, b'1.2.826.0.1.3680043.10.1599.9') + extra
    return pdu(1, struct.pack('>HH', version, 0) +
               called.encode().ljust(16) + calling.encode().ljust(16) +
               bytes(32) + items + item(0x50, user))


# ---- user information -------------------------------------------------------

def window(invoked, performed):
    return item(0x53, struct.pack('>HH', invoked, performed))


def role(uid, scu, scp):
    return item(0x54, struct.pack('>H', len(uid)) + uid.encode() +
                bytes([scu, scp]))


def extended(uid, info):
    return item(0x56, struct.pack('>H', len(uid)) + uid.encode() + info)


def common_extended(uid, service, related=()):
    def text(b):
        return struct.pack('>H', len(b)) + b.encode()
    more = b''.join(text(r) for r in related)
    return item(0x57, text(uid) + text(service) +
                struct.pack('>H', len(more)) + more)


def user_identity(primary, secondary=b'', kind=1, response=1):
    return item(0x58, bytes([kind, response]) +
                struct.pack('>H', len(primary)) + primary +
                struct.pack('>H', len(secondary)) + secondary)


def items(b):
    """The items of b, one after the other: [(kind, body)]."""
    at, out = 0, []
    while at + 4 <= len(b):
        n = struct.unpack('>H', b[at + 2:at + 4])[0]
        out.append((b[at], b[at + 4:at + 4 + n]))
        at += 4 + n
    return out


def uid_of(b):
    return b.rstrip(b'\0 ').decode('latin-1')


def encode(elements, ts=EVLE):
    """A data set of [(group, element, vr, value)]; value: bytes, str, or a
    list of such lists for SQ."""
    out = b''
    for g, e, vr, v in elements:
        if vr == 'SQ':
            v = b''.join(struct.pack('<HHI', 0xfffe, 0xe000, len(i)) + i
                         for i in (encode(x, ts) for x in v))
        elif isinstance(v, str):
            v = v.encode()
        if len(v) & 1:
            v += b'\0' if vr in ('UI', 'OB') else b' '
        out += struct.pack('<HH', g, e)
        if ts == IVLE:
            out += struct.pack('<I', len(v))
        elif vr.encode() in LONG:
            out += vr.encode() + b'\0\0' + struct.pack('<I', len(v))
        else:
            out += vr.encode() + struct.pack('<H', len(v))
        out += v
    return out


class Link:
    """A socket that speaks PDUs and messages."""

    def __init__(self, sock):
        self.sock = sock
        self.pdvs = collections.deque()
        self.peer_max = 16384

    def message(self):
        """The next message: (context, command, data set or None). PDUs that
        carry none raise: Aborted, Gone, or Control(kind). Messages never
        overtake each other in the middle."""
        command_set, data, fields, first = b'', bytearray(), None, None
        while True:
            while not self.pdvs:
                kind, body = self.read_pdu()
                if kind == 7:
                    raise Aborted(tuple(body[2:4]))
                if kind != 4:
                    raise Control(kind)
                at = 0
                while at < len(body):
                    n, pcid, mch = struct.unpack('>IBB', body[at:at + 6])
                    self.pdvs.append((pcid, mch, body[at + 6:at + 4 + n]))
                    at += 4 + n
            pcid, mch, part = self.pdvs.popleft()
            first = first or pcid
            assert pcid == first and (fields is None) == bool(mch & 1), (
                'a message in the middle of another', first, pcid, mch)
            if mch & 1:
                command_set += part
            else:
                data += part
            if mch & 2:
                if not mch & 1:
                    return pcid, fields, bytes(data)
                fields = parse_command(command_set)
                if fields[0x800] == b'\1\1':
                    return pcid, fields, None

    def send_message(self, pcid, fields, data=None, step=None):
        step = step or max(1024, (self.peer_max or 131072) - 6) & ~1
        for mch, buf in ((1, command(fields)), (0, data)):
            if buf is None:
                continue
            at = 0
            while True:
                part = buf[at:at + step]
                at += len(part)
                last = at >= len(buf)
                self.send(pdata(pcid, mch | (2 if last else 0), part))
                if last:
                    break

    def respond(self, pcid, rq, status, data=None, extra=None):
        """The response to the request rq, with what it repeats of it."""
        fields = {0x100: u16(number(rq[0x100]) | 0x8000), 0x120: rq[0x110],
                  0x800: u16(0x101 if data is None else 1),
                  0x900: u16(status)}
        for there, here in ((2, 2), (3, 2), (0x1000, 0x1000),
                            (0x1001, 0x1000)):
            if there in rq:
                fields[here] = rq[there]
        fields.update(extra or {})
        self.send_message(pcid, fields, data)

    def read(self, n):
        out = bytearray()
        while len(out) < n:
            try:
                part = self.sock.recv(min(1 << 16, n - len(out)))
            except (ConnectionError, ssl.SSLError) as e:
                raise Gone(str(e))
            if not part:
                raise Gone('closed')
            out += part
        return bytes(out)

    def read_pdu(self):
        kind, n = struct.unpack('>BxI', self.read(6))
        return kind, self.read(n)

    def send(self, b):
        try:
            self.sock.sendall(b)
        except (ConnectionError, ssl.SSLError) as e:
            raise Gone(str(e))

    def close(self):
        self.sock.close()


class Rejected(Exception):
    pass


class Aborted(Exception):
    pass


class Control(Exception):
    """A PDU of another kind came where a message was awaited."""


class Association(Link):
    """A requestor's association. accepted: {id: transfer syntax}."""

    def __init__(self, port, contexts, timeout=60, host='127.0.0.1', tls=None,
                 sock=None, **kw):
        sock = sock or socket.create_connection((host, port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=host)
        super().__init__(sock)
        self.contexts = {c[0]: c for c in contexts}
        self.message_id, self.got = 0, []
        self.send(associate_rq(contexts, **kw))
        kind, body = self.read_pdu()
        if kind == 3:
            self.close()
            raise Rejected(tuple(body[1:4]))
        if kind == 7:
            self.close()
            raise Aborted(tuple(body[2:4]))
        assert kind == 2, kind
        self.accepted, self.results = {}, {}
        self.user = []  # items of the acceptor's user information
        at = 68
        while at < len(body):
            t, n = body[at], struct.unpack('>H', body[at + 2:at + 4])[0]
            p = body[at + 4:at + 4 + n]
            if t == 0x21:
                self.results[p[0]] = p[2]
                if p[2] == 0:
                    self.accepted[p[0]] = p[8:].rstrip(b'\0 ').decode()
            elif t == 0x50:
                self.user = items(p)
                for sub, v in self.user:
                    if sub == 0x51:
                        self.peer_max = struct.unpack('>I', v)[0]
            at += 4 + n

    def response(self):
        out = b''
        while True:
            kind, body = self.read_pdu()
            if kind == 7:
                raise Aborted(tuple(body[2:4]))
            assert kind == 4, kind
            at = 0
            while at < len(body):
                n, _, mch = struct.unpack('>IBB', body[at:at + 6])
                out += body[at + 6:at + 4 + n]
                at += 4 + n
                if mch & 2:
                    return parse_command(out)

    def store_rq(self, pcid, sop, iuid, priority=0, extra=None):
        self.message_id += 1
        fields = {2: sop.encode(), 0x100: u16(1), 0x110: u16(self.message_id),
                  0x700: u16(priority), 0x800: u16(1), 0x1000: iuid.encode()}
        fields.update(extra or {})
        return fields

    def store(self, pcid, iuid, data, sop=None, **kw):
        """One C-STORE; returns the status."""
        sop = sop or self.contexts[pcid][1]
        self.send_message(pcid, self.store_rq(pcid, sop, iuid, **kw), data)
        return struct.unpack('<H', self.response()[0x900])[0]

    def echo(self, pcid):
        self.message_id += 1
        self.send_message(pcid, {2: VERIFICATION.encode(), 0x100: u16(0x30),
                                 0x110: u16(self.message_id),
                                 0x800: u16(0x101)})
        return struct.unpack('<H', self.response()[0x900])[0]

    def request(self, pcid, field, data=None, **more):
        """Send a request of that command field for the context's class; the
        keywords are further elements: c0700=..., as hexadecimal numbers."""
        self.message_id += 1
        fields = {2: self.contexts[pcid][1].encode(), 0x100: u16(field),
                  0x110: u16(self.message_id),
                  0x800: u16(0x101 if data is None else 1)}
        if field in (0x20, 0x21, 0x10):
            fields[0x700] = u16(0)
        if field in (0x110, 0x120, 0x130, 0x150):
            fields[3] = fields.pop(2)
        fields.update((int(k[1:], 16), v) for k, v in more.items())
        self.send_message(pcid, fields, data)
        return self.message_id

    def cancel(self, pcid, message_id=None):
        self.send_message(pcid, {0x100: u16(0xfff), 0x800: u16(0x101),
                                 0x120: u16(message_id or self.message_id)})

    def answers(self, pcid, cancel_after=None):
        """Responses up to the final one: [(status, data set)]. A C-STORE-RQ
        in between (C-GET) is kept in self.got and answered."""
        out = []
        while True:
            where, fields, data = self.message()
            if number(fields[0x100]) == 1:
                self.got.append((uid_of(fields[0x1000]), data))
                self.respond(where, fields, 0)
                continue
            assert where == pcid, (where, pcid)
            out.append((number(fields[0x900]), data))
            if out[-1][0] & 0xff00 != 0xff00:
                return out
            if cancel_after == len(out):
                self.cancel(pcid, number(fields[0x120]))

    def find(self, pcid, identifier, **kw):
        self.request(pcid, 0x20, identifier)
        return self.answers(pcid, **kw)

    def get(self, pcid, identifier, **kw):
        self.got = []
        self.request(pcid, 0x10, identifier)
        return self.answers(pcid, **kw)

    def move(self, pcid, identifier, to, **kw):
        self.request(pcid, 0x21, identifier, c0600=to.encode())
        return self.answers(pcid, **kw)

    def n_create(self, pcid, iuid, data):
        self.request(pcid, 0x140, data, c1000=iuid.encode())
        return self.answers(pcid)[0][0]

    def n_set(self, pcid, iuid, data):
        self.request(pcid, 0x120, data, c1001=iuid.encode())
        return self.answers(pcid)[0][0]

    def release(self):
        self.send(pdu(5, bytes(4)))
        kind, _ = self.read_pdu()
        assert kind == 6, kind
        self.close()

    def abort(self):
        self.send(pdu(7, bytes(4)))
        self.close()


def data_set(iuid, sop=CT, size=0, study='1.2.3', series='1.2.3.4',
             name='Test^Patient', fill=None, pid='PID1', accession='ACC1'):
    """A small explicit VR LE data set with size bytes of pixel data."""
    def el(g, e, vr, v):
        v = even(v) if vr == 'UI' else v + b' ' * (len(v) & 1)
        return struct.pack('<HH', g, e) + vr.encode() + \
            struct.pack('<H', len(v)) + v
    out = el(8, 0x16, 'UI', sop.encode()) + el(8, 0x18, 'UI', iuid.encode()) \
        + el(8, 0x50, 'SH', accession.encode()) + el(8, 0x60, 'CS', b'CT') \
        + el(0x10, 0x10, 'PN', name.encode()) \
        + el(0x10, 0x20, 'LO', pid.encode()) \
        + el(0x20, 0xd, 'UI', study.encode()) \
        + el(0x20, 0xe, 'UI', series.encode())
    if size:
        pixels = fill if fill is not None else \
            hashlib.shake_128(iuid.encode()).digest(min(size, 1 << 16))
        pixels = (pixels * (size // len(pixels) + 1))[:size]
        out += struct.pack('<HH', 0x7fe0, 0x10) + b'OW\0\0' + \
            struct.pack('<I', size) + pixels
    return out


def send(port, instances, calling='SCU', called='CULVERT', sop=CT, ts=EVLE,
         **kw):
    """C-STORE [(iuid, data)] on one association; returns the statuses."""
    a = Association(port, [(1, sop, [ts])], calling=calling, called=called,
                    **kw)
    out = [a.store(1, iuid, data) for iuid, data in instances]
    a.release()
    return out


class Scp:
    """An archive. stored: [(iuid, transfer syntax, sha256, length)].

    accept(abstract, syntaxes, calling) -> syntax or None, status(iuid) -> int,
    crash(iuid) -> bool (drop the connection), reject -> (result, source,
    reason) or None, delay seconds before each response, user(items) -> items of
    its own user information, for those proposed. All may be changed while it
    runs."""

    def __init__(self, port=0, tls=None, keep=False):
        self.accept = lambda abstract, syntaxes, calling: syntaxes[0]
        self.status = lambda iuid: 0
        self.crash = lambda iuid: False
        self.reject = None
        self.delay = 0
        self.user = lambda proposed: b''
        self.max_pdu = 131072
        self.keep = keep
        self.tls = tls
        self.stored, self.data, self.callers = [], {}, []
        self.commands = []
        self.proposed = []
        self.lock = threading.Lock()
        self.links = set()
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(('127.0.0.1', port))
        self.listening.listen(64)
        self.port = self.listening.getsockname()[1]
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def stop(self):
        """Stop listening and cut what is open."""
        self.stopping.set()
        try:
            self.listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listening.close()
        self.cut()
        self.thread.join(5)

    def cut(self):
        with self.lock:
            links = list(self.links)
        for s in links:
            try:
                # of a TLS socket too: the connection itself, no close_notify
                socket.socket.shutdown(s, socket.SHUT_RDWR)
            except OSError:
                pass

    def uids(self):
        with self.lock:
            return [s[0] for s in self.stored]

    def _accept(self):
        while not self.stopping.is_set():
            try:
                s, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,),
                             daemon=True).start()

    def _serve(self, s):
        try:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.settimeout(120)
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True,
                                         do_handshake_on_connect=False)
            with self.lock:
                self.links.add(s)
            if self.tls:
                s.do_handshake()
            self._association(Link(s))
        except (OSError, Gone, struct.error, KeyError, IndexError,
                ssl.SSLError):
            pass
        finally:
            with self.lock:
                self.links.discard(s)
            try:
                socket.socket.shutdown(s, socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def _negotiate(self, k, body):
        contexts, out, at = {}, b'', 68
        calling = body[20:36].decode('latin-1').strip()
        called = body[4:20].decode('latin-1').strip()
        proposed = []
        user = b''
        while at < len(body):
            t, n = body[at], struct.unpack('>H', body[at + 2:at + 4])[0]
            p = body[at + 4:at + 4 + n]
            if t == 0x50:
                user = self.user(items(p))
                for sub, v in items(p):
                    if sub == 0x51:
                        k.peer_max = struct.unpack('>I', v)[0]
            if t == 0x20:
                parts = items(p[4:])
                abstract = ''.join(uid_of(v) for i, v in parts if i == 0x30)
                syntaxes = [uid_of(v) for i, v in parts if i == 0x40]
                chosen = self.accept(abstract, syntaxes, calling)
                proposed.append((abstract, tuple(syntaxes)))
                if chosen:
                    contexts[p[0]] = (abstract, chosen)
                out += item(0x21, bytes([p[0], 0, 0 if chosen else 4, 0]) +
                            item(0x40, (chosen or IVLE).encode()))
            at += 4 + n
        with self.lock:
            self.callers.append((calling, called))
            self.proposed.append(proposed)
        user = item(0x51, struct.pack('>I', self.max_pdu)) + \
            item(0x52, b'1.2.826.0.1.3680043.10.1599.8') + user + \
            item(0x55, b'TESTS')
        k.send(pdu(2, body[:2] + b'\0\0' + body[4:68] +
                   item(0x10, APP.encode()) + out + item(0x50, user)))
        return contexts

    def _association(self, k):
        kind, body = k.read_pdu()
        if kind != 1:
            return
        if self.reject:
            k.send(pdu(3, bytes((0,) + self.reject)))
            k.read(1)
            return
        contexts = self._negotiate(k, body)
        cmd, data = bytearray(), None
        rq = None
        while True:
            kind, body = k.read_pdu()
            if kind == 5:
                k.send(pdu(6, bytes(4)))
                try:
                    k.read(1)
                except Gone:
                    pass
                return
            if kind != 4:
                return
            at = 0
            while at < len(body):
                n, pcid, mch = struct.unpack('>IBB', body[at:at + 6])
                part = body[at + 6:at + 4 + n]
                at += 4 + n
                if mch & 1:
                    cmd += part
                    if mch & 2:
                        rq, cmd = parse_command(bytes(cmd)), bytearray()
                        data = [hashlib.sha256(), 0, bytearray()]
                        if rq[0x800] == b'\1\1':
                            self._respond(k, pcid, rq, 0)
                        elif self.crash(self._iuid(rq)):
                            return
                else:
                    data[0].update(part)
                    data[1] += len(part)
                    if self.keep:
                        data[2] += part
                    if mch & 2:
                        self._stored(k, contexts[pcid], pcid, rq, data)

    @staticmethod
    def _iuid(rq):
        return rq.get(0x1000, b'').rstrip(b'\0 ').decode('latin-1')

    def _stored(self, k, context, pcid, rq, data):
        iuid = self._iuid(rq)
        if self.delay:
            self.stopping.wait(self.delay)
        status = self.status(iuid)
        if status == 0 or status & 0xf000 == 0xb000:
            with self.lock:
                self.stored.append((iuid, context[1], data[0].hexdigest(),
                                    data[1]))
                self.commands.append(rq)
                if self.keep:
                    self.data[iuid] = bytes(data[2])
        self._respond(k, pcid, rq, status)

    def _respond(self, k, pcid, rq, status):
        field = struct.unpack('<H', rq[0x100][:2])[0] | 0x8000
        fields = {2: rq.get(2, b''), 0x100: u16(field), 0x120: rq[0x110],
                  0x800: u16(0x101), 0x900: u16(status)}
        if 0x1000 in rq:
            fields[0x1000] = rq[0x1000]
        k.send(pdata(pcid, 3, command(fields)))
