"""The setting of the link's tests: edges with a destination `protocol: link`,
an emulated line each, and a Culvert in the cloud that takes their links.

Every Culvert has a certificate of its own, and the cloud knows each edge by the
fingerprint of that. What is far from the cloud is a directory, or an archive
over TLS. Objects of any size come from Big, byte by byte the same each time."""
import collections
import hashlib
import json
import os
import pathlib
import random
import signal
import socket
import ssl
import struct
import subprocess

import culvert
import dicom
import relayed
from culvert import free_port, until
from dicom import CT, EVLE

LINE = pathlib.Path(os.environ.get('BENCH', 'build/bench')) / 'line'
BUILD = pathlib.Path(os.environ.get('CULVERT_BUILD', 'build/asan'))
MIB = 1 << 20
EDGES = ('edge-1', 'edge-2', 'edge-3')
QUICK = {'first': '100ms', 'max': '1s', 'probe': '1s'}


# ---- certificates ------------------------------------------------------------

def make_pki(directory):
    """A CA of edges and clouds, with a stranger whom nobody declares, and a
    foreign one. Returns its directory; the foreign one stands beside it."""
    directory = pathlib.Path(directory)
    for ca, names in (('links', ('cloud', 'stranger') + EDGES),
                      ('foreign', ('edge-1', 'cloud'))):
        culvert.run('pki', 'init', directory / ca, '--name', ca + ' CA',
                    check=True)
        for name in names:
            culvert.run('pki', 'issue', directory / ca, name,
                        '--san', 'DNS:%s.example' % name,
                        '--san', 'IP:127.0.0.1', check=True)
    return directory / 'links'


def fingerprint(path):
    """SHA-256 of the certificate in a PEM file, with colons."""
    der = ssl.PEM_cert_to_DER_cert(pathlib.Path(path).read_text())
    text = hashlib.sha256(der).hexdigest()
    return ':'.join(text[i:i + 2] for i in range(0, 64, 2))


def tls_files(pki, name):
    return {'ca': str(pki / 'ca.pem'), 'certificate': str(pki / (name + '.pem')),
            'key': str(pki / (name + '.key'))}


# ---- the line ----------------------------------------------------------------

class Line:
    """The emulated line (see its --help) from port to port."""

    def __init__(self, to, *options, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [LINE, '--port', str(self.port), '--to', str(to),
             *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        until('the line', self._up, 10)

    def _up(self):
        assert self.process.poll() is None, 'the line ended'
        with socket.socket() as s:
            return s.connect_ex(('127.0.0.1', self.port)) == 0

    def say(self, text):
        """An order; the numbers after it."""
        self.process.stdin.write(text + '\n')
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert 'error' not in answer, (text, answer)
        return answer

    def stat(self):
        return self.say('stat')

    def up(self):
        return self.stat()['up']

    def cut(self):
        return self.say('cut')

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


# ---- objects -----------------------------------------------------------------

class Big:
    """A synthetic object of some size that need not be in memory."""

    def __init__(self, iuid, size):
        self.iuid = iuid
        self.head = dicom.data_set(iuid) + struct.pack(
            '<HH', 0x7fe0, 0x10) + b'OW\0\0' + struct.pack('<I', size & ~1)
        self.size = size & ~1
        self.length = len(self.head) + self.size
        self._digest = None

    def parts(self):
        yield self.head
        rng = random.Random(self.iuid)
        left = self.size
        while left:
            n = min(left, MIB)
            yield rng.randbytes(n)
            left -= n

    def digest(self):
        if self._digest is None:
            h = hashlib.sha256()
            for part in self.parts():
                h.update(part)
            self._digest = h.hexdigest()
        return self._digest

    def store(self, port, calling='SCU', called='CULVERT', timeout=300):
        """C-STORE on an association of its own, as it is made; the status.
        The digest is known then."""
        a = dicom.Association(port, [(1, CT, [EVLE])], timeout=timeout,
                              calling=calling, called=called)
        most = max(1024, (a.peer_max or 131072) - 6) & ~1
        a.send(dicom.pdata(1, 3, dicom.command(
            a.store_rq(1, CT, self.iuid))))
        h, left = hashlib.sha256(), self.length
        for part in self.parts():
            h.update(part)
            out = []
            for at in range(0, len(part), most):
                piece = part[at:at + most]
                left -= len(piece)
                out.append(dicom.pdata(1, 0 if left else 2, piece))
            a.send(b''.join(out))
        self._digest = h.hexdigest()
        status = dicom.number(a.response()[0x900])
        a.release()
        return status


def digest_of(data):
    return hashlib.sha256(data).hexdigest()


def data_at(path):
    """Where the data set of a Part 10 file begins."""
    with open(path, 'rb') as f:
        head = f.read(4096)
    return len(head) - len(dicom.split_part10(head)[1])


def file_digest(path):
    """(SOP instance UID, SHA-256 of the data set) of a Part 10 file."""
    with open(path, 'rb') as f:
        meta, _ = dicom.split_part10(f.read(4096))
        f.seek(data_at(path))
        h = hashlib.sha256()
        while part := f.read(MIB):
            h.update(part)
    return meta[3], h.hexdigest()


class Far:
    """A directory that is a destination."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def files(self):
        return sorted(p for p in self.path.rglob('*.dcm') if p.is_file())

    def digests(self):
        return dict(file_digest(p) for p in self.files())

    def wait(self, sent, seconds=60):
        """Until every one of {iuid: digest} is there; all that is there must be
        as it was sent."""
        until('%d files at the far end' % len(sent),
              lambda: len(self.files()) >= len(sent), seconds)
        assert self.digests() == sent


def several(n, size=20000, prefix='1.2.3.800'):
    """[(iuid, data set)] and {iuid: digest} of them."""
    made = [('%s.%d' % (prefix, i + 1), None) for i in range(n)]
    made = [(u, dicom.data_set(u, size=size)) for u, _ in made]
    return made, {u: digest_of(d) for u, d in made}


# ---- configurations ----------------------------------------------------------

def link_to(pki, name, port, **more):
    """A destination: the cloud, over the link, as edge NAME."""
    return dict({
        'protocol': 'link', 'endpoints': ['127.0.0.1:%d' % port],
        'tls': dict(tls_files(pki, name), server_name='cloud.example'),
        'retry': dict(QUICK), 'breaker': {'failures': 3, 'pause': '1s'},
    }, **more)


def edge_config(pki, name, port, destination=None, **more):
    return dict({
        'listeners': {'modalities': {'limits': {
            'associations': 200, 'per_device': 100, 'rate': '1000000/min'}}},
        'devices': {'scanner': {
            'ae_title': ['SCU', 'STORESCU'], 'address': '127.0.0.1'}},
        'destinations': {'cloud': link_to(pki, name, port,
                                          **(destination or {}))},
        'routes': [{'service': 'storage', 'forward': ['cloud']}],
        'spool': {'path': 'spool', 'quota': '1GiB', 'segment': '16MiB'},
    }, **more)


def link_device(pki, name, **more):
    return dict({'ae_title': '*', 'address': '127.0.0.1', 'services': ['link'],
                 'certificate': {
                     'fingerprint': fingerprint(pki / (name + '.pem'))}},
                **more)


def cloud_config(pki, far, names, listener=None, **more):
    """far: the destination that what comes is forwarded to."""
    return dict({
        'listeners': {'links': dict({
            'protocol': 'link', 'tls': tls_files(pki, 'cloud')},
            **(listener or {}))},
        'devices': {n: link_device(pki, n) for n in names},
        'destinations': {'far': far},
        'routes': [{'service': 'storage', 'forward': ['far']}],
        'spool': {'path': 'spool', 'quota': '1GiB', 'segment': '16MiB'},
    }, **more)


def archive_at(pki, port, **more):
    """A destination of the cloud: an archive over TLS (pki: conftest's)."""
    return relayed.destination(pki, port, **dict(
        {'ae_title': 'PACS', 'retry': dict(QUICK)}, **more))


class Setting:
    """One cloud, some edges, a line before each edge's link: .cloud, .edges,
    .lines, .edge and .line the first ones, .far the directory if there is
    no other destination. near: a second destination of the edges."""

    def __init__(self, daemons, root, pki, edges=1, line=(), far=None,
                 destination=None, near=None, listener=None, edge=None,
                 cloud=None, env=None, cloud_env=None):
        self.pki, self.far = pki, Far(root / 'far')
        far = far or {'protocol': 'directory', 'path': str(self.far.path)}
        names = EDGES[:edges]
        self.lines, self.edges = [], []
        self.cloud = daemons(cloud_config(pki, far, names, listener,
                                          **(cloud or {})),
                             'cloud', env=cloud_env)
        for name in names:
            port = self.cloud.port('links')
            if line is not None:
                self.lines.append(Line(port, '--mbit', 4000, '--delay', 0.001,
                                       '--queue', '1M', '--mtu', 65000,
                                       *line))
                port = self.lines[-1].port
            c = edge_config(pki, name, port, destination, **(edge or {}))
            if near:
                c['destinations']['near'] = near
            self.edges.append(daemons(c, name, env=env))
        for c in self.edges + [self.cloud]:
            c.large = True

    @property
    def edge(self):
        return self.edges[0]

    @property
    def line(self):
        return self.lines[0]

    def stop(self):
        for line in self.lines:
            line.stop()


class KeptPort:
    """A port where nothing listens, and that nobody else is given: for an
    archive that is down for a while. Who sets SO_REUSEADDR can take it."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(('127.0.0.1', 0))
        self.port = self.sock.getsockname()[1]


# ---- looking -----------------------------------------------------------------

def states(c):
    """{state: count} of all deliveries, with the states' own names."""
    return dict(c.sql('SELECT state, count(*) FROM v_deliveries GROUP BY 1'))


def wait_state(c, state, count, seconds=60):
    until('%d %s at %s' % (count, state, c.name),
          lambda: states(c).get(state, 0) >= count, seconds)


def wait_only(c, state, count, seconds=60):
    """Until each delivery is in that state, and count of them are."""
    def good():
        now = states(c)
        return now == {state: count}
    try:
        until('%d, all %s, at %s' % (count, state, c.name), good, seconds)
    except AssertionError as e:
        raise AssertionError('%s; there are %s' % (e, states(c)))


def spool_used(c):
    return c.status()['spool']['used']


Chunk = collections.namedtuple('Chunk', 'path at length index id sequence')


def chunks_in(spool):
    """The chunk records of a spool's directory in order of sequence; at is
    where the payload begins in the file. See store/record.h."""
    out = []
    for path in pathlib.Path(spool).glob('segment-*.spool'):
        number = int(path.stem.partition('-')[2], 16)
        content = path.read_bytes()
        for at in range(4096, len(content) - 4096, 4096):
            head = content[at:at + 196]
            if head[:4] != b'CVRC' or head[6] != 1:
                continue
            segment, offset = struct.unpack('>II', head[64:72])
            index, sequence = struct.unpack('>IQ', head[80:92])
            length = struct.unpack('>I', head[132:136])[0]
            if (segment, offset) == (number, at) and length:
                out.append(Chunk(path, at + 4096, length, index,
                                 head[100:116].hex(), sequence))
    return sorted(out, key=lambda c: c.sequence)


def flip(path, at, bit=0):
    with open(path, 'r+b') as f:
        f.seek(at)
        old = f.read(1)[0]
        f.seek(at)
        f.write(bytes([old ^ 1 << bit]))


def numbers_of(line):
    """{key: int} of a log line."""
    out = {}
    for word in line.split():
        key, _, value = word.partition('=')
        if value.isdigit():
            out[key] = int(value)
    return out

