"""The other end of a chunk link in Python: it can do what no Culvert does.

Frames as in proxy/link/PROTOCOL.md, by struct; nothing is checked that a test
does not check. Client dials a Culvert, Server is dialled by one."""
import hashlib
import os
import socket
import ssl
import struct
import threading

import dicom

ALPN = 'culvert/1'
MAGIC = 0x43564c54
CHUNK = 1 << 20
DATA_MAX = 16352
TAKES, FOLLOW, JOINS = 1, 2, 4

TYPES = {
    'HELLO': 0x01, 'JOIN': 0x02, 'JOINED': 0x03, 'PING': 0x04, 'PONG': 0x05,
    'BYE': 0x06, 'OFFER': 0x10, 'DATA': 0x11, 'CHUNK_END': 0x12, 'ROOT': 0x13,
    'WITHDRAW': 0x14, 'QUERY': 0x15, 'NOTED': 0x16, 'HEAD': 0x17, 'HAVE': 0x20, 'ACK': 0x21,
    'BAD': 0x22, 'ARRIVED': 0x23, 'DELIVERED': 0x24, 'UNDELIVERED': 0x25,
    'REFUSED': 0x26, 'ACCEPTS': 0x27}
NAMES = {v: k for k, v in TYPES.items()}
BYE = {n: i + 1 for i, n in enumerate((
    'SHUTDOWN', 'VERSION', 'PROTOCOL', 'LIMITS', 'UNDECLARED', 'SESSION',
    'REPLACED', 'TIMEOUT', 'STORE', 'BUSY', 'SELF'))}
REFUSED = {n: i + 1 for i, n in enumerate((
    'UNKNOWN', 'WITHDRAWN', 'NO_SPACE', 'STORE', 'BUSY', 'EXPIRED', 'NO_ROUTE',
    'NOT_ACCEPTED', 'TOO_LARGE', 'META', 'ROOT', 'CONFLICT', 'NO_FOLLOW'))}
BAD = {'HASH': 1, 'LENGTH': 2, 'CONFLICT': 3, 'LOST': 4}


class Ended(Exception):
    """The connection ended; the argument says how."""


def leaf(chunk):
    return hashlib.sha256(b'\0' + chunk).digest()


def chunks_of(data):
    return [data[i:i + CHUNK] for i in range(0, len(data), CHUNK)]


def root(data):
    leaves = b''.join(leaf(c) for c in chunks_of(data))
    return hashlib.sha256(b'\1' + struct.pack('>Q', len(data)) +
                          leaves).digest()


def frame(kind, body=b'', flags=0, reserved=0, length=None):
    return struct.pack('>BBHI', TYPES.get(kind, kind), flags, reserved,
                       len(body) if length is None else length) + body


def hello(spool=None, low=1, high=1, features=TAKES | FOLLOW | JOINS,
          window=64 << 20, transfers=1024, keepalive=15000, connections=1,
          chunk=20, node='python', session=bytes(16), epoch=None, position=0,
          magic=MAGIC, more=b''):
    name = node.encode()
    return struct.pack('>IHHI', magic, low, high, features) + \
        (spool or os.urandom(16)) + (epoch or os.urandom(16)) + session + \
        struct.pack('>QQIIBBB', position, window, transfers, keepalive,
                    connections, chunk, len(name)) + name + more


def metadata(tid, iuid, sop=dicom.CT, ts=dicom.EVLE, calling='SCU',
             called='CULVERT', study='1.2.3', more=b''):
    def value(tag, b):
        return struct.pack('>BH', tag, len(b)) + b
    return b'\1' + value(1, tid) + value(3, struct.pack('>Q', 1700000000000)) \
        + value(4, b'\0\0') + value(35, calling.encode()) + \
        value(36, called.encode()) + value(37, sop.encode()) + \
        value(38, iuid.encode()) + value(39, ts.encode()) + \
        value(40, study.encode()) + more


def offer(tid, data, iuid, complete=True, meta=None, **kw):
    meta = metadata(tid, iuid, **kw) if meta is None else meta
    return tid + (struct.pack('>QI', len(data), len(chunks_of(data))) +
                  root(data) if complete else bytes(44)) + \
        struct.pack('>H', len(meta)) + meta


def ids(*tids):
    return struct.pack('>H', len(tids)) + b''.join(tids)


def runs(body):
    """id and chunk indices of HAVE and ACK."""
    n = struct.unpack('>H', body[16:18])[0]
    out = set()
    for i in range(n):
        first, count = struct.unpack('>II', body[18 + 8 * i:26 + 8 * i])
        out.update(range(first, first + count))
    return body[:16], out


class Peer:
    """Frames over a socket."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b''

    def send(self, kind, body=b'', flags=0, **kw):
        self.raw(frame(kind, body, flags, **kw))

    def raw(self, b):
        try:
            self.sock.sendall(b)
        except (OSError, ssl.SSLError) as e:
            raise Ended(str(e))

    def _read(self, n):
        while len(self.buffer) < n:
            try:
                part = self.sock.recv(1 << 16)
            except TimeoutError:
                raise
            except (OSError, ssl.SSLError) as e:
                raise Ended(str(e))
            if not part:
                raise Ended('closed')
            self.buffer += part
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def next(self):
        """The next frame: (name, flags, body)."""
        kind, flags, reserved, n = struct.unpack('>BBHI', self._read(8))
        assert reserved == 0 and n <= 16376, (kind, reserved, n)
        return NAMES[kind], flags, self._read(n)

    def await_(self, *kinds, tid=None):
        """The next frame of one of these kinds (and of that transfer); PINGs
        are answered, all others are dropped. BYE, unawaited, raises."""
        while True:
            kind, flags, body = self.next()
            if kind == 'PING':
                self.send('PONG', body)
            if kind in kinds and (tid is None or body[:16] == tid):
                return kind, flags, body
            if kind == 'BYE':
                raise Ended('BYE %d: %s' % (
                    struct.unpack('>H', body[:2])[0],
                    body[3:].decode('ascii')))

    def bye(self):
        """(reason, text) of the BYE that must come."""
        _, _, body = self.await_('BYE')
        return struct.unpack('>H', body[:2])[0], body[3:].decode('ascii')

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def chunk(self, tid, index, data, said=None, length=None):
        for at in range(0, len(data), DATA_MAX):
            self.send('DATA', tid + struct.pack('>II', index, at) +
                      data[at:at + DATA_MAX])
        self.send('CHUNK_END', tid + struct.pack(
            '>II', index, len(data) if length is None else length) +
            (said or leaf(data)))

    def transfer(self, tid, data, iuid, **kw):
        """Offer and send what is not there; the last answer's kind."""
        self.send('OFFER', offer(tid, data, iuid, **kw), 1)
        kind, _, body = self.await_('HAVE', 'ARRIVED', 'DELIVERED', 'REFUSED',
                                    'UNDELIVERED', tid=tid)
        if kind != 'HAVE':
            return kind, body
        have = runs(body)[1]
        for i, c in enumerate(chunks_of(data)):
            if i not in have:
                self.chunk(tid, i, c)
        kind, _, body = self.await_('ARRIVED', 'REFUSED', tid=tid)
        return kind, body


def context(pki, name, alpn=(ALPN,), server=False, where=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server
                       else ssl.PROTOCOL_TLS_CLIENT)
    c.load_verify_locations(pki / 'ca.pem')
    if name:
        where = where or pki
        c.load_cert_chain(where / (name + '.pem'), where / (name + '.key'))
    if server:
        c.verify_mode = ssl.CERT_REQUIRED
    if alpn:
        c.set_alpn_protocols(list(alpn))
    return c


class Client(Peer):
    """A dialler. With hello=None nothing is said after TLS."""

    def __init__(self, port, pki, name, alpn=(ALPN,), timeout=30, where=None,
                 **kw):
        sock = socket.create_connection(('127.0.0.1', port), timeout=timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sock = context(pki, name, alpn, where=where).wrap_socket(
                sock, server_hostname='cloud.example')
        except (OSError, ssl.SSLError) as e:
            sock.close()
            raise Ended(str(e))
        super().__init__(sock)

    def greet(self, **kw):
        """HELLO both ways; the acceptor's body."""
        self.send('HELLO', hello(**kw))
        _, _, self.theirs = self.await_('HELLO')
        return self.theirs


class Server:
    """An acceptor: serve(Peer) runs for each connection in a thread."""

    def __init__(self, pki, serve, name='cloud', alpn=(ALPN,), port=0):
        self.context = context(pki, name, alpn, server=True)
        self.serve = serve
        self.connections, self.failures, self.open = 0, [], set()
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(('127.0.0.1', port))
        self.listening.listen(16)
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(s,), daemon=True).start()

    def _one(self, s):
        try:
            s.settimeout(30)
            s = self.context.wrap_socket(s, server_side=True)
            self.open.add(s)
            self.serve(Peer(s))
        except (OSError, ssl.SSLError, Ended):
            pass
        except Exception as e:
            self.failures.append(e)
        finally:
            self.open.discard(s)
            s.close()

    def stop(self):
        """Listen no more, and end what is open."""
        try:
            self.listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listening.close()
        for s in list(self.open):
            try:
                socket.socket.shutdown(s, socket.SHUT_RDWR)
            except OSError:
                pass
