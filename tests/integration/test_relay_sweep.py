"""Every way to end at every step of an association's life, on each leg.

A step is one reading or writing of a PDU, and the middle of it. At step n the
peer closes, resets, aborts, half-closes, stalls, sends rubbish or asks for
release, for every n until the association's whole life is through. Whatever a
peer behind Culvert does, the device is served on: its contexts are refused or
its messages answered with a failure. Nothing stays behind."""
import os
import queue
import select
import socket
import struct
import threading

import pytest

import dicom
import relayed
from culvert import until
from dicom import (CT, EVLE, IVLE, MPPS, PENDING, STUDY_FIND, STUDY_GET,
                   STUDY_MOVE, VERIFICATION, WORKLIST)
from responder import Responder

FAULTS = ['close', 'reset', 'abort', 'half', 'stall', 'junk', 'release']
CONTEXTS = [(1, VERIFICATION, [IVLE]), (3, CT, [EVLE]),
            (5, WORKLIST, [IVLE]), (7, STUDY_FIND, [IVLE]),
            (9, STUDY_GET, [IVLE]), (11, STUDY_MOVE, [IVLE]),
            (13, MPPS, [IVLE])]
TIMEOUTS = {'connect': '2s', 'relay': '2s', 'associate': '2s',
            'response': '1500ms', 'retrieve': '1500ms'}
QUIET = {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
         ':quarantine_size_mb=4'}


PATIENCE = 20  # seconds in which the other side must have ended
stuck = []     # where it has not


@pytest.fixture(autouse=True)
def nothing_is_stuck():
    del stuck[:]
    yield
    assert not stuck, stuck


class Struck(dicom.Gone):
    """The fault has been played."""


class Faulty(dicom.Link):
    """A link on which at step number n the fault is played."""

    def __init__(self, sock, n=None, fault=None):
        super().__init__(sock)
        self.plan(n, fault)

    def plan(self, n, fault):
        self.n, self.fault, self.steps = n, fault, 0
        self.struck = False   # the fault has been played
        self.inside = False   # in the middle of a message that it sends

    def step(self):
        self.steps += 1
        if self.steps - 1 == self.n:
            self.struck = True
            if not strike(self.sock, self.fault):
                stuck.append('%s at step %d' % (self.fault, self.n))
            raise Struck()

    def read_pdu(self):
        self.step()
        kind, n = struct.unpack('>BxI', self.read(6))
        self.step()
        return kind, self.read(n)

    def send(self, b):
        self.step()
        super().send(b[:len(b) // 2])
        self.step()
        super().send(b[len(b) // 2:])

    def send_message(self, *args, **kw):
        self.inside = True
        super().send_message(*args, **kw)
        self.inside = False


def ended(sock):
    """Wait, without reading, until the other side has closed."""
    p = select.poll()
    p.register(sock, select.POLLRDHUP)
    return bool(p.poll(PATIENCE * 1000))


def strike(sock, fault):
    """Play the fault and close; False if the other side never ended."""
    raw = socket.socket
    done = True
    try:
        if fault == 'reset':
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack('ii', 1, 0))
        elif fault == 'abort':
            sock.sendall(dicom.pdu(7, bytes(4)))
        elif fault == 'half':
            raw.shutdown(sock, socket.SHUT_WR)
            done = ended(sock)
        elif fault == 'stall':
            done = ended(sock)
        elif fault in ('junk', 'release'):
            sock.sendall(dicom.pdu(5, bytes(4)) if fault == 'release'
                         else b'\xee' * 64)
            sock.settimeout(PATIENCE)
            got = b''
            while fault == 'junk' or not got.endswith(
                    dicom.pdu(6, bytes(4))):
                part = sock.recv(65536)
                if not part:
                    break
                got += part
    except socket.timeout:
        done = False
    except OSError:
        pass
    sock.close()
    return done


class Caller(Faulty, dicom.Association):
    """A device's association with a fault at step n."""

    def __init__(self, port, n=None, fault=None, **kw):
        self.plan(n, fault)
        dicom.Association.__init__(self, port, CONTEXTS,
                                   extra=dicom.role(CT, 1, 1), **kw)


def final(answers):
    assert answers[-1][0] != PENDING
    return answers[-1][0]


def live(a, whole=None):
    """All services, one after the other; whole: each must succeed. A context
    that was refused is left out."""
    got = {}

    def use(pcid, name, operation):
        if a.results.get(pcid) == 0:
            got[name] = operation()
        else:
            got[name] = 'refused'
        assert not whole or got[name] == 0, (name, got)
    use(1, 'echo', lambda: a.echo(1))
    use(5, 'worklist', lambda: final(a.find(5, b'')))
    use(3, 'store', lambda: a.store(3, '1.2.3.4', dicom.data_set(
        '1.2.3.4', size=100)))
    use(7, 'query', lambda: final(a.find(7, b'')))
    use(13, 'create', lambda: a.n_create(13, '1.2.3.5', b''))
    use(9, 'get', lambda: final(a.get(9, b'')))
    use(11, 'move', lambda: final(a.move(11, b'', 'CT')))
    a.release()
    return got


def peers_of(tls):
    r = Responder(tls=tls)
    r.matches = [dicom.encode([(0x10, 0x10, 'PN', 'Found^%d' % i)], IVLE)
                 for i in range(2)]
    r.instances = [(CT, '1.2.3.7.%d' % i, dicom.data_set(
        '1.2.3.7.%d' % i, size=200)) for i in range(2)]
    return r


class Setting:
    def __init__(self, edge, ris, pacs, port, tls=None, called='CULVERT',
                 calling='SCU'):
        self.edge, self.ris, self.pacs, self.port = edge, ris, pacs, port
        self.kw = {'tls': tls, 'called': called, 'calling': calling}
        self.pid = edge.process.pid
        for _ in range(3):
            live(self.call(), whole=True)
        self.settle()
        self.before = self.sockets()

    def call(self, n=None, fault=None):
        return Caller(self.port, n, fault, **self.kw)

    def settle(self):
        until('no association', lambda: self.edge.status()[
            'associations'] == 0)
        # the command line's own connection, and legs that still close
        until('no leg', lambda: self.sockets() <= getattr(
            self, 'before', 1 << 30))

    def sockets(self):
        n, d = 0, '/proc/%d/fd' % self.pid
        for fd in os.listdir(d):
            try:
                n += os.readlink(os.path.join(d, fd)).startswith('socket:')
            except OSError:
                pass
        return n

    def memory(self):
        with open('/proc/%d/status' % self.pid) as f:
            return int(f.read().split('VmRSS:')[1].split()[0]) // 1024


@pytest.fixture
def setting(daemons, tls, pki, tmp_path):
    """A device, RIS and archive, all in order; storage goes to files."""
    made = [peers_of(tls.server()), peers_of(tls.server())]
    (tmp_path / 'files').mkdir()
    c = relayed.config(pki, made[0].port, made[1].port, listener={
        'timeouts': {'artim': '1s', 'idle': '2s', 'message': '1500ms'}})
    c['destinations']['archive'] = {'protocol': 'directory',
                                    'path': str(tmp_path / 'files')}
    for name in ('ris', 'pacs'):
        c['destinations'][name].update(timeouts=TIMEOUTS,
                                       breaker={'failures': 1000})
    edge = daemons(c, env=QUIET)
    yield Setting(edge, made[0], made[1], edge.port())
    for r in made:
        r.stop()


def in_parallel(jobs, work, fault=None):
    """work(job) for all jobs in some threads, in more where they only wait;
    the first failure counts."""
    todo = queue.Queue()
    for job in jobs:
        todo.put(job)
    failed = []

    def run():
        while not failed:
            try:
                job = todo.get_nowait()
            except queue.Empty:
                return
            try:
                work(job)
            except Exception as e:
                failed.append((job, type(e).__name__, e))
    threads = [threading.Thread(target=run) for _ in range(
        24 if fault == 'stall' else 8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed[0]


def steps_of_a_life(call):
    a = call()
    live(a, whole=True)
    return a.steps


@pytest.mark.parametrize('fault', FAULTS)
def test_a_device_ends_at_every_step(setting, fault):
    s = setting
    n = steps_of_a_life(s.call)
    assert n > 60
    memory = s.memory()

    def one(step):
        try:
            a = s.call(step, fault)
            live(a)
        except (Struck, dicom.Gone, dicom.Aborted, OSError, dicom.Control):
            return
        raise AssertionError('step %d was not reached' % step)
    in_parallel(range(n - 1), one, fault)
    s.settle()
    assert live(s.call(), whole=True)
    assert s.memory() < memory + 48
    until('the legs\' ends', lambda: len(s.ris.ended) == len(s.ris.callers))


@pytest.mark.parametrize('fault', FAULTS)
@pytest.mark.parametrize('leg', ['ris', 'pacs'])
def test_a_peer_behind_ends_at_every_step(setting, leg, fault):
    s = setting
    peer = getattr(s, leg)
    made, faults, lock = [], [], threading.Lock()

    def link(sock):
        with lock:
            made.append(Faulty(sock, *(faults.pop() if faults else ())))
            return made[-1]
    peer.link = link
    live(s.call(), whole=True)
    until('its end', lambda: made and made[0].steps > 10)
    s.settle()
    n = made[0].steps
    assert n > (20 if leg == 'ris' else 40)
    memory = s.memory()
    cut = []

    def one(step):
        with lock:
            faults.append((step, fault))
        try:
            got = live(s.call())
        except (dicom.Gone, dicom.Aborted) as e:
            cut.append(e)
            return
        assert got['store'] == 0, got
        assert got['worklist' if leg == 'pacs' else 'query'] == 0, got
    # A leg that is opened again may take a fault and not live up to it.
    steps = set(range(n - 1))
    for _ in range(8):
        in_parallel(steps, one, fault)
        del faults[:]
        struck = [f for f in made if f.struck]
        steps -= {f.n for f in struck}
        if not steps:
            break
    assert not steps
    peer.link = dicom.Link
    s.settle()
    assert live(s.call(), whole=True)
    assert s.memory() < memory + 48
    # a message half given to the device is the one thing that cannot be mended
    half = sum(f.inside for f in struck)
    assert len(cut) <= half, (len(cut), half, cut[:3])


def listening(behave):
    """A TCP listener, behave(socket) for each connection."""
    l = socket.socket()
    l.bind(('127.0.0.1', 0))
    l.listen(64)
    held = []

    def run():
        while True:
            try:
                s, _ = l.accept()
            except OSError:
                return
            held.append(s)
            threading.Thread(target=quietly, args=(s,), daemon=True).start()

    def quietly(s):
        try:
            behave(s)
        except OSError:
            pass
    threading.Thread(target=run, daemon=True).start()
    return l


def test_a_peer_behind_fails_before_it_is_one(daemons, tls, pki, tmp_path):
    """Refused, silent, closed at once or in the handshake, not TLS, a wrong
    certificate, none asked for, a rejection: the other legs do not care."""
    wrong = tls.server('elsewhere')

    def shake(context, then=lambda t: ended(t)):
        def behave(s):
            t = context.wrap_socket(s, server_side=True)
            then(t)
            t.close()
        return behave

    def rejected(result):
        def then(t):
            dicom.Link(t).read_pdu()
            t.sendall(dicom.pdu(3, bytes((0,) + result)))
            ended(t)
        return then
    ways = {
        'closed': lambda s: s.close(),
        'reset': lambda s: strike(s, 'reset'),
        'silent': ended,
        'closed in the handshake': lambda s: (s.recv(100), s.close()),
        'silent in the handshake': lambda s: (s.recv(10000), ended(s)),
        'rubbish': lambda s: (s.sendall(b'\xee' * 4096), ended(s)),
        'http': lambda s: (s.sendall(b'HTTP/1.1 400 Bad\r\n\r\n'), ended(s)),
        'dicom': lambda s: (s.sendall(dicom.pdu(7, bytes(4))), ended(s)),
        'an alert': lambda s: (s.sendall(b'\x15\3\3\0\2\2\x28'), ended(s)),
        'a wrong name': shake(wrong),
        'an unknown authority': shake(tls.server(where=pki.parent /
                                                 'other')),
        'rejected for good': shake(tls.server(), rejected((1, 1, 7))),
        'rejected for now': shake(tls.server(), rejected((2, 3, 1))),
        'an abort': shake(tls.server(), lambda t: (
            dicom.Link(t).read_pdu(), t.sendall(dicom.pdu(7, bytes(4))))),
    }
    pacs = peers_of(tls.server())
    sockets = [listening(w) for w in ways.values()]
    refused = socket.socket()
    refused.bind(('127.0.0.1', 0))
    (tmp_path / 'files').mkdir()
    ports = dict(zip(ways, (l.getsockname()[1] for l in sockets)))
    ports['refused'] = refused.getsockname()[1]
    try:
        # a worklist of each kind, chosen by the called title
        titles = {way: 'W%d' % i for i, way in enumerate(ports)}
        c = relayed.config(
            pki, pacs.port, pacs.port,
            listener={'ae_titles': list(titles.values())},
            device={'services': ['storage', 'query', 'verification']},
            destinations={t.lower(): relayed.destination(
                pki, ports[way], timeouts={'relay': '2s', 'connect': '2s'})
                for way, t in titles.items()},
            routes=[{'service': ['worklist', 'mpps'], 'called': [t],
                     'relay': t.lower()} for t in titles.values()])
        c['devices']['ct']['services'] = relayed.ALL
        c['destinations']['archive'] = {'protocol': 'directory',
                                        'path': str(tmp_path / 'files')}
        edge = daemons(c)

        def one(way):
            for _ in range(2):
                a = Caller(edge.port(), called=titles[way])
                got = live(a)
                assert got['worklist'] == got['create'] == 'refused', (way,
                                                                       got)
                assert all(v == 0 for k, v in got.items() if k not in (
                    'worklist', 'create')), (way, got)
        in_parallel(titles, one)
        until('no association', lambda: edge.status()['associations'] == 0)
    finally:
        pacs.stop()
        for l in sockets + [refused]:
            l.close()


@pytest.mark.parametrize('fault', FAULTS)
@pytest.mark.parametrize('leg', ['archive', 'device'])
def test_each_end_of_the_way_back_ends_at_every_step(daemons, tls, pki, leg,
                                                     fault):
    """The same for an archive that sends to a plaintext device."""
    device = Responder()
    unused = Responder(tls=tls.server())
    c = relayed.config(pki, unused.port, unused.port, back='PACS',
                       routes=[{'service': ['storage', 'verification'],
                                'listener': ['back'], 'relay': 'device'}])
    c['destinations']['device'] = {
        'protocol': 'dicom', 'endpoints': ['127.0.0.1:%d' % device.port],
        'plaintext': {'allowed': 'a test'}, 'health': {'interval': 0},
        'timeouts': TIMEOUTS, 'breaker': {'failures': 1000}}
    c['devices']['pacs-back']['services'] = ['storage', 'verification']
    c['listeners']['back'].update(
        timeouts={'artim': '1s', 'idle': '2s', 'message': '1500ms'})
    c['listeners']['back']['limits'] = c['listeners']['modalities']['limits']
    edge = daemons(c, env=QUIET)
    made, faults, lock = [], [], threading.Lock()

    def link(sock):
        with lock:
            made.append(Faulty(sock, *(faults.pop() if faults else ())))
            return made[-1]
    device.link = link

    def call(n=None, f=None):
        return Caller(edge.port('back'), n, f, tls=tls.client('archive'),
                      calling='PACS', called='CT')

    def play(a):
        got = [a.store(3, '1.2.3.%d' % i, dicom.data_set(
            '1.2.3.%d' % i, size=500)) for i in range(2)] + [a.echo(1)]
        a.release()
        return got
    try:
        a = call()
        assert play(a) == [0, 0, 0]
        until('its end', lambda: len(device.ended) == 1)
        n = a.steps if leg == 'archive' else made[0].steps
        assert n > 20

        def one(step):
            try:
                if leg == 'archive':
                    play(call(step, fault))
                else:
                    with lock:
                        faults.append((step, fault))
                    play(call())
            except (Struck, dicom.Gone, dicom.Aborted, dicom.Rejected,
                    dicom.Control, OSError, KeyError):
                pass
        in_parallel(range(n - 1), one, fault)
        device.link = dicom.Link
        until('no association', lambda: edge.status()['associations'] == 0)
        until('no leg', lambda: len(device.ended) >= len(made))
        until('a good one', lambda: play(call()) == [0, 0, 0])
    finally:
        device.stop()
        unused.stop()
