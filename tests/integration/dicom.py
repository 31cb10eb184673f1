"""A small DICOM peer for tests: it can do what well-behaved toolkits cannot.

SCU: C-STORE and C-ECHO with the data set bytes as given; raw access to the
association for hostile tests. SCP: keeps data set bytes as received, and can
be told to refuse contexts, answer statuses, stall, crash on an instance.
Standard library only.
"""
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


class Link:
    """A socket that speaks PDUs."""

    def __init__(self, sock):
        self.sock = sock

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


class Association(Link):
    """A requestor's association. accepted: {id: transfer syntax}."""

    def __init__(self, port, contexts, timeout=60, host='127.0.0.1', tls=None,
                 **kw):
        sock = socket.create_connection((host, port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            sock = tls.wrap_socket(sock, server_hostname=host)
        super().__init__(sock)
        self.contexts = {c[0]: c for c in contexts}
        self.message_id = 0
        self.send(associate_rq(contexts, **kw))
        kind, body = self.read_pdu()
        if kind == 3:
            self.close()
            raise Rejected(tuple(body[1:4]))
        if kind == 7:
            self.close()
            raise Aborted(tuple(body[2:4]))
        assert kind == 2, kind
        self.accepted, self.results, self.peer_max = {}, {}, 16384
        at = 68
        while at < len(body):
            t, n = body[at], struct.unpack('>H', body[at + 2:at + 4])[0]
            p = body[at + 4:at + 4 + n]
            if t == 0x21:
                self.results[p[0]] = p[2]
                if p[2] == 0:
                    self.accepted[p[0]] = p[8:].rstrip(b'\0 ').decode()
            elif t == 0x50:
                q = 0
                while q < len(p):
                    m = struct.unpack('>H', p[q + 2:q + 4])[0]
                    if p[q] == 0x51:
                        self.peer_max = struct.unpack('>I', p[q + 4:q + 8])[0]
                    q += 4 + m
            at += 4 + n

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

    def release(self):
        self.send(pdu(5, bytes(4)))
        kind, _ = self.read_pdu()
        assert kind == 6, kind
        self.close()

    def abort(self):
        self.send(pdu(7, bytes(4)))
        self.close()


def data_set(iuid, sop=CT, size=0, study='1.2.3', series='1.2.3.4',
             name='Test^Patient', fill=None):
    """A small explicit VR LE data set with size bytes of pixel data."""
    def el(g, e, vr, v):
        v = even(v) if vr == 'UI' else v + b' ' * (len(v) & 1)
        return struct.pack('<HH', g, e) + vr.encode() + \
            struct.pack('<H', len(v)) + v
    out = el(8, 0x16, 'UI', sop.encode()) + el(8, 0x18, 'UI', iuid.encode()) \
        + el(8, 0x50, 'SH', b'ACC1') + el(8, 0x60, 'CS', b'CT') \
        + el(0x10, 0x10, 'PN', name.encode()) \
        + el(0x10, 0x20, 'LO', b'PID1') \
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
    reason) or None, delay seconds before each response. All may be changed
    while it runs."""

    def __init__(self, port=0, tls=None, keep=False):
        self.accept = lambda abstract, syntaxes, calling: syntaxes[0]
        self.status = lambda iuid: 0
        self.crash = lambda iuid: False
        self.reject = None
        self.delay = 0
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
        while at < len(body):
            t, n = body[at], struct.unpack('>H', body[at + 2:at + 4])[0]
            p = body[at + 4:at + 4 + n]
            if t == 0x20:
                q, syntaxes, abstract = 4, [], ''
                while q < len(p):
                    m = struct.unpack('>H', p[q + 2:q + 4])[0]
                    v = p[q + 4:q + 4 + m].rstrip(b'\0 ').decode()
                    if p[q] == 0x30:
                        abstract = v
                    elif p[q] == 0x40:
                        syntaxes.append(v)
                    q += 4 + m
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
        user = item(0x51, struct.pack('>I', 131072)) + \
            item(0x52, b'1.2.826.0.1.3680043.10.1599.8')
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
