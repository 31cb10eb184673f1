"""Real peers for tests of live relay, and the means to compare.

Stunnel puts TLS before a peer that has none, and is the direct connection that
Culvert is compared with. Tap records what passes between two peers; its
transcripts are free of what may differ (fragments, lengths, implementations).
Worklist is DCMTK's wlmscpfs; Orthanc is the archive."""
import collections
import hashlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import threading
import urllib.request

import dicom
from culvert import free_port, until


def await_port(port, process, seconds=30):
    """Wait until something listens on port; it is process that must live."""
    def up():
        assert process.poll() is None, 'ended: %s' % (process.args,)
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', port)) == 0
    until('listening: %s' % process.args[0], up, seconds)


class Program:
    """A peer program in a session of its own, so that all that it forks can
    be frozen and ended with it. Its output stands in DIR/NAME.log."""

    def __init__(self, directory, name, args, port=None, env=None):
        self.args, self.name, self.port = [str(a) for a in args], name, port
        self.directory = pathlib.Path(directory)
        self.env = dict(os.environ, **(env or {}))
        self.process = None
        self.start()

    def start(self):
        with open(self.directory / (self.name + '.log'), 'ab') as log:
            self.process = subprocess.Popen(
                self.args, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, env=self.env, start_new_session=True)
        if self.port:
            await_port(self.port, self.process)
        return self

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.kill()

    def log(self):
        return (self.directory / (self.name + '.log')).read_text(
            errors='replace')


def stunnel(directory, pki, name, to, client=False, certificate=None,
            port=None):
    """Plaintext to TLS (client) or TLS to plaintext, both ends certified."""
    port = port or free_port()
    certificate = certificate or ('edge' if client else 'archive')
    conf = pathlib.Path(directory) / (name + '.conf')
    conf.write_text('\n'.join([
        'foreground = yes', 'debug = notice', 'pid =',
        'socket = l:TCP_NODELAY=1', 'socket = r:TCP_NODELAY=1',
        'socket = a:SO_REUSEADDR=1',
        '[dicom]', 'client = %s' % ('yes' if client else 'no'),
        'accept = 127.0.0.1:%d' % port, 'connect = 127.0.0.1:%d' % to,
        'cert = %s' % (pki / (certificate + '.pem')),
        'key = %s' % (pki / (certificate + '.key')),
        'CAfile = %s' % (pki / 'ca.pem'), 'verifyChain = yes',
        'sslVersionMin = TLSv1.2', 'TIMEOUTclose = 0', '']))
    return Program(directory, name, ['stunnel4', conf], port)


# ---- recording ---------------------------------------------------------------

class Tap:
    """A hop that records each connection: recordings is a list of [bytes from
    the client, bytes from the server], in order of arrival. to, the port it
    leads to, may be changed. Without record it only leads there."""

    def __init__(self, to=None, port=0, record=True):
        self.to, self.record = to, record
        self.recordings = []
        self.open = 0
        self.changed = threading.Condition()
        self.listening = socket.socket()
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind(('127.0.0.1', port))
        self.listening.listen(64)
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        try:
            self.listening.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listening.close()

    def _accept(self):
        while True:
            try:
                a, _ = self.listening.accept()
            except OSError:
                return
            try:
                b = socket.create_connection(('127.0.0.1', self.to), 30)
            except OSError:
                a.close()
                continue
            b.settimeout(None)
            recording = [bytearray(), bytearray()]
            with self.changed:
                if self.record:
                    self.recordings.append(recording)
                self.open += 2
            for s in (a, b):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i, (s, t) in enumerate(((a, b), (b, a))):
                threading.Thread(target=self._pump, daemon=True,
                                 args=(s, t, recording[i])).start()

    def _pump(self, s, t, record):
        try:
            while True:
                part = s.recv(1 << 16)
                if not part:
                    break
                if self.record:
                    record += part
                t.sendall(part)
        except OSError:
            pass
        for x, how in ((t, socket.SHUT_WR), (s, socket.SHUT_RD)):
            try:
                x.shutdown(how)
            except OSError:
                pass
        with self.changed:
            self.open -= 1
            self.changed.notify_all()

    def take(self):
        """Wait for all connections to end; the transcripts since the last
        call, one a connection."""
        until('the end of what is tapped', lambda: not self.open)
        with self.changed:
            out, self.recordings = self.recordings, []
        return [Transcript(*r) for r in out]


Message = collections.namedtuple('Message', 'context command data')


def pdus(b):
    at = 0
    while at + 6 <= len(b):
        n = struct.unpack('>I', b[at + 2:at + 6])[0]
        yield b[at], bytes(b[at + 6:at + 6 + n])
        at += 6 + n
    assert at == len(b), 'the connection ended inside a PDU'


def negotiated(body):
    """What an A-ASSOCIATE-AC grants: contexts, roles, extended negotiation,
    the answer to a user identity."""
    out = {'contexts': {}, 'user': []}
    for kind, v in dicom.items(body[68:]):
        if kind == 0x21:
            ts = [dicom.uid_of(t) for k, t in dicom.items(v[4:]) if k == 0x40]
            out['contexts'][v[0]] = (v[2], ts[0] if v[2] == 0 else None)
        elif kind == 0x50:
            out['user'] = sorted((k, bytes(t)) for k, t in dicom.items(v)
                                 if k in (0x54, 0x56, 0x59))
    return out


def side(b):
    """What one side sent: negotiated() of an AC, then Messages, and the kinds
    of other PDUs (a requestor's RQ and release among them)."""
    out, sets, data, fields = [], {}, {}, {}
    for kind, body in pdus(b):
        if kind == 2:
            out.append(negotiated(body))
            continue
        if kind != 4:
            out.append((kind, body if kind in (3, 7) else b''))
            continue
        at = 0
        while at < len(body):
            n, pcid, mch = struct.unpack('>IBB', body[at:at + 6])
            part = body[at + 6:at + 4 + n]
            at += 4 + n
            (sets if mch & 1 else data).setdefault(
                pcid, bytearray()).extend(part)
            if not mch & 2:
                continue
            if mch & 1:
                c = dicom.parse_command(bytes(sets.pop(pcid)))
                c.pop(0, None)
                fields[pcid] = c
                if c[0x800] != b'\1\1':
                    continue
            out.append(Message(pcid, fields.pop(pcid),
                               bytes(data.pop(pcid)) if not mch & 1 else None))
    assert not sets and not data and not fields, 'a message was cut'
    return out


class Transcript:
    """Both sides of one connection."""

    def __init__(self, client, server):
        self.raw = (bytes(client), bytes(server))
        self.client, self.server = side(client), side(server)

    def messages(self):
        return [m for m in self.server if isinstance(m, Message)]

    def statuses(self):
        return [dicom.number(m.command[0x900]) for m in self.messages()
                if 0x900 in m.command]

    def both(self):
        return self.client, self.server


def assert_same(direct, through, what=''):
    """Two transcripts are the same conversation, message by message."""
    for who, a, b in zip(('client', 'server'), direct.both(), through.both()):
        for i, (x, y) in enumerate(itertools.zip_longest(a, b)):
            assert x == y, (
                '%s: %s, number %d:\ndirect  %.900r\nthrough %.900r' %
                (what, who, i, x, y))


# ---- wlmscpfs ----------------------------------------------------------------

def worklist_entry(n, name=None, modality='MR', date='20240105'):
    """The elements of a worklist file that wlmscpfs takes."""
    return [
        (0x8, 0x5, 'CS', 'ISO_IR 100'),
        (0x8, 0x50, 'SH', 'ACC%05d' % n),
        (0x8, 0x90, 'PN', 'Referring^Doctor'),
        (0x10, 0x10, 'PN', name or 'Patient%05d^Test' % n),
        (0x10, 0x20, 'LO', 'PID%05d' % n),
        (0x10, 0x30, 'DA', '19700101'),
        (0x10, 0x40, 'CS', 'FMO'[n % 3]),
        (0x10, 0x1030, 'DS', '70.5'),
        (0x10, 0x2000, 'LO', 'none'),
        (0x20, 0xd, 'UI', '1.2.826.0.1.3680043.10.1599.77.%d' % n),
        (0x32, 0x1032, 'PN', 'Requesting^Doctor'),
        (0x32, 0x1060, 'LO', 'Procedure %d' % n),
        (0x40, 0x100, 'SQ', [[
            (0x8, 0x60, 'CS', modality),
            (0x32, 0x1070, 'LO', ''),
            (0x40, 0x1, 'AE', 'STATION'),
            (0x40, 0x2, 'DA', date),
            (0x40, 0x3, 'TM', '%02d%02d00' % (n // 60 % 24, n % 60)),
            (0x40, 0x6, 'PN', 'Performing^Doctor'),
            (0x40, 0x7, 'LO', 'Step %d' % n),
            (0x40, 0x9, 'SH', 'SPS%05d' % n),
            (0x40, 0x10, 'SH', 'ROOM%d' % (n % 5)),
            (0x40, 0x11, 'SH', 'here'),
        ]]),
        (0x40, 0x1001, 'SH', 'RP%05d' % n),
        (0x40, 0x1003, 'SH', 'HIGH'),
    ]


def part10(data, sop=dicom.WORKLIST, iuid='1.2.3', ts=dicom.EVLE):
    meta = dicom.encode([(2, 1, 'OB', b'\0\1'), (2, 2, 'UI', sop),
                         (2, 3, 'UI', iuid), (2, 0x10, 'UI', ts),
                         (2, 0x12, 'UI', '1.2.826.0.1.3680043.10.1599.9')])
    return bytes(128) + b'DICM' + dicom.encode(
        [(2, 0, 'UL', struct.pack('<I', len(meta)))]) + meta + data


class Worklist:
    """wlmscpfs as RIS, plaintext on port and over TLS on tls_port."""
    aet = 'RIS'

    def __init__(self, root, pki, entries=20, pdu=None):
        self.root = pathlib.Path(root)
        files = self.root / 'worklist' / self.aet
        files.mkdir(parents=True)
        (files / 'lockfile').touch()
        for n in range(entries):
            data = dicom.encode(worklist_entry(
                n, modality='MR' if n % 2 else 'CT',
                date='202401%02d' % (n % 28 + 1)))
            (files / ('%05d.wl' % n)).write_bytes(part10(data))
        self.port = free_port()
        args = ['wlmscpfs', '-v', '-dhl', '-dfp', self.root / 'worklist']
        if pdu:
            args += ['-pdu', pdu]
        self.server = Program(self.root, 'wlmscpfs', args + [self.port],
                              self.port)
        self.tls = stunnel(self.root, pki, 'ris', self.port)
        self.tls_port = self.tls.port

    def freeze(self):
        self.tls.freeze()
        self.server.freeze()

    def kill(self):
        self.tls.kill()
        self.server.kill()

    def start(self):
        self.server.start()
        self.tls.start()

    def stop(self):
        self.tls.stop()
        self.server.stop()


# ---- Orthanc -----------------------------------------------------------------

class Orthanc:
    """An archive that speaks TLS in both directions on port; modalities:
    {AE title: port} for its C-MOVE, over TLS too."""
    aet = 'PACS'

    def __init__(self, root, pki, modalities=None, name='orthanc', **more):
        assert shutil.which('Orthanc'), 'Orthanc is not installed'
        self.root = pathlib.Path(root)
        self.port, self.http = free_port(), free_port()
        (self.root / name).mkdir()
        conf = self.root / (name + '.json')
        conf.write_text(json.dumps(dict({
            'Name': name, 'StorageDirectory': str(self.root / name),
            'IndexDirectory': str(self.root / name), 'Plugins': [],
            'HttpServerEnabled': True, 'HttpPort': self.http,
            'RemoteAccessAllowed': False, 'AuthenticationEnabled': False,
            'DicomAet': self.aet, 'DicomPort': self.port,
            'DicomCheckCalledAet': True, 'DicomAlwaysAllowEcho': True,
            'DicomAlwaysAllowStore': True, 'DicomAlwaysAllowFind': True,
            'DicomAlwaysAllowGet': True, 'DicomAlwaysAllowMove': True,
            'DicomCheckModalityHost': False, 'UnknownSopClassAccepted': True,
            'DicomTlsEnabled': True,
            'DicomTlsCertificate': str(pki / 'archive.pem'),
            'DicomTlsPrivateKey': str(pki / 'archive.key'),
            'DicomTlsTrustedCertificates': str(pki / 'ca.pem'),
            'DicomTlsRemoteCertificateRequired': True,
            'SynchronousCMove': True, 'DicomThreadsCount': 8,
            'ConcurrentJobs': 4, 'DicomAssociationCloseDelay': 0,
            'StorageCompression': False, 'OverwriteInstances': True,
            'DicomModalities': {aet.lower(): {
                'AET': aet, 'Host': '127.0.0.1', 'Port': to,
                'UseDicomTls': True, 'AllowTranscoding': False}
                for aet, to in (modalities or {}).items()},
        }, **more), indent=1))
        self.program = Program(self.root, name, ['Orthanc', conf], self.port,
                               env={'TCP_NODELAY': '1'})
        await_port(self.http, self.program.process)

    def upload(self, part10_bytes):
        r = urllib.request.Request(
            'http://127.0.0.1:%d/instances' % self.http, part10_bytes,
            {'Content-Type': 'application/dicom'})
        with urllib.request.urlopen(r, timeout=60) as answer:
            return json.load(answer)['ID']

    def instances(self):
        with urllib.request.urlopen('http://127.0.0.1:%d/instances' %
                                    self.http, timeout=60) as answer:
            return json.load(answer)

    def stop(self):
        self.program.stop()


def study(n=1, instances=4, size=20000, sop=dicom.CT, modality='CT'):
    """Part 10 files of one study: [(SOP instance UID, file)]."""
    base = '1.2.826.0.1.3680043.10.1599.5.%d' % n
    out = []
    for i in range(instances):
        iuid = '%s.1.%d' % (base, i + 1)
        rows = max(1, size // 200)
        data = dicom.encode([
            (0x8, 0x5, 'CS', 'ISO_IR 100'), (0x8, 0x16, 'UI', sop),
            (0x8, 0x18, 'UI', iuid), (0x8, 0x20, 'DA', '2024010%d' % (n % 9)),
            (0x8, 0x30, 'TM', '101500'), (0x8, 0x50, 'SH', 'ACC%d' % n),
            (0x8, 0x60, 'CS', modality), (0x8, 0x90, 'PN', 'Ref^Doc'),
            (0x8, 0x1030, 'LO', 'Study %d' % n),
            (0x8, 0x103e, 'LO', 'Series %d' % n),
            (0x10, 0x10, 'PN', 'Archived^Number%d' % n),
            (0x10, 0x20, 'LO', 'ARC%d' % n), (0x10, 0x30, 'DA', '19700101'),
            (0x10, 0x40, 'CS', 'O'), (0x20, 0xd, 'UI', base),
            (0x20, 0xe, 'UI', base + '.1'), (0x20, 0x10, 'SH', str(n)),
            (0x20, 0x11, 'IS', '1'), (0x20, 0x13, 'IS', str(i + 1)),
            (0x28, 2, 'US', b'\1\0'), (0x28, 4, 'CS', 'MONOCHROME2'),
            (0x28, 0x10, 'US', dicom.u16(rows)),
            (0x28, 0x11, 'US', dicom.u16(100)),
            (0x28, 0x100, 'US', b'\x10\0'), (0x28, 0x101, 'US', b'\x10\0'),
            (0x28, 0x102, 'US', b'\x0f\0'), (0x28, 0x103, 'US', b'\0\0'),
            (0x7fe0, 0x10, 'OW', hashlib.shake_128(
                iuid.encode()).digest(rows * 200)),
        ])
        out.append((iuid, part10(data, sop, iuid)))
    return out


# ---- programs ----------------------------------------------------------------

def client(*args, cwd=None, timeout=120, check=True, env=None):
    """Run a client program to its end; its combined output."""
    p = subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       cwd=cwd, timeout=timeout,
                       env=dict(os.environ, **(env or {})))
    out = p.stdout.decode('utf-8', 'replace')
    if check:
        assert p.returncode == 0, (args, p.returncode, out[-3000:])
    return out
