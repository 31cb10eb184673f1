"""Cut-through: a large instance travels while it still comes in.

A slow device (a paced C-STORE) and archives that say when bytes came."""
import hashlib
import threading
import time

import pytest

import culvert
import dicom
import peers
from conftest import needs
from culvert import until
from dicom import CT, EVLE

MIB = 1 << 20
LONG = 60 * MIB
EARLY = {'cut_through': '4MiB'}


class Slow(threading.Thread):
    """A device that sends one instance evenly over some seconds; stop_at: at
    so many bytes it waits for go."""

    def __init__(self, port, iuid, data, seconds=0, stop_at=None,
                 calling='SCU'):
        super().__init__(daemon=True)
        self.iuid, self.data, self.seconds = iuid, data, seconds
        self.link = dicom.Association(port, [(1, CT, [EVLE])], timeout=120,
                                      calling=calling)
        self.stop_at, self.go = stop_at, threading.Event()
        self.sent, self.status = 0, None
        self.start()

    def run(self):
        try:
            self._send()
        except (OSError, dicom.Gone, AssertionError):
            self.status = 'broken'

    def _send(self):
        a, step, began = self.link, 64 * 1024, time.monotonic()
        a.send(dicom.pdata(1, 3, dicom.command(
            a.store_rq(1, CT, self.iuid))))
        while self.sent < len(self.data):
            if self.stop_at is not None and self.sent >= self.stop_at:
                self.go.wait(120)
            part = self.data[self.sent:self.sent + step]
            last = self.sent + len(part) == len(self.data)
            a.send(dicom.pdata(1, 2 if last else 0, part))
            self.sent += len(part)
            early = began + self.seconds * self.sent / len(self.data) - \
                time.monotonic()
            if early > 0:
                time.sleep(early)
        self.status = dicom.number(a.response()[0x900])
        a.release()

    def end(self):
        """Go on to the end; the status."""
        self.go.set()
        self.join(120)
        return self.status


class Archive(dicom.Scp):
    """came: bytes read, as they come; rate: bytes per second that it reads;
    ends: how its associations ended."""

    def __init__(self, **kw):
        self.came, self.rate, self.ends = 0, None, []
        super().__init__(**kw)

    def _association(self, k):
        read, kind = k.read, [None]

        def counted(n):
            b = read(n)
            with self.lock:
                self.came += n
            if n == 6:
                kind[0] = b[0]
            if self.rate:
                time.sleep(n / self.rate)
            return b
        k.read = counted
        try:
            super()._association(k)
        except dicom.Gone:
            kind[0] = 'cut'
            raise
        finally:
            with self.lock:
                self.ends.append({5: 'released', 7: 'aborted'}.get(kind[0],
                                                                  kind[0]))


@pytest.fixture
def archives():
    made = []

    def make(**kw):
        made.append(Archive(**kw))
        return made[-1]
    yield make
    for a in made:
        a.stop()


@pytest.fixture
def edge_to(daemons, edge_config):
    """edge_to(port): an edge that cuts through, with more of a destination."""
    def make(port, config=None, **destination):
        return daemons(edge_config(
            port, destination=dict(EARLY, **destination), **(config or {})))
    return make


def instance(iuid='1.2.3.60', size=LONG):
    return iuid, dicom.data_set(iuid, size=size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def failed(edge):
    """Attempts before the one that was the last."""
    return edge.sql('SELECT max(attempts) FROM deliveries')[0][0] - 1


def arrived(archive, edge, *instances):
    """All of them, once, as they were sent."""
    edge.wait_deliveries('delivered', len(instances))
    assert sorted((s[0], s[2]) for s in archive.stored) == \
        sorted((iuid, digest(data)) for iuid, data in instances)



@pytest.mark.tsan
def test_bytes_arrive_before_the_device_has_finished(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=LONG - 4 * MIB)
    # all but what is held back, and what is not durable for lack of a chunk
    until('most of it', lambda: archive.came > LONG - 8 * MIB)
    assert device.status is None and archive.stored == []
    assert edge.deliveries() == {}
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))
    assert failed(edge) == 0
    assert archive.ends == [] or archive.ends == ['released']
    assert len(archive.callers) - len(archive.ends) <= 1


def test_it_takes_the_longer_of_the_two_times_not_their_sum(archives, tls,
                                                            edge_to):
    archive = archives(tls=tls.server())
    archive.rate = LONG / 6
    edge = edge_to(archive.port)
    iuid, data = instance()
    began = time.monotonic()
    device = Slow(edge.port(), iuid, data, seconds=6)
    assert device.end() == 0
    edge.wait_deliveries('delivered', 1)
    took = time.monotonic() - began
    arrived(archive, edge, (iuid, data))
    print('took %.1f s' % took)
    assert took < 9.5


@pytest.mark.tsan
def test_an_abort_of_the_device_withdraws_it(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    device.link.abort()
    until('its end', lambda: archive.ends)
    assert archive.ends == ['aborted'] and archive.stored == []
    assert 'cut-through-withdrawn' in edge.log()
    small = ('1.2.3.1', dicom.data_set('1.2.3.1', size=3000))
    assert dicom.send(edge.port(), [small]) == [0]
    arrived(archive, edge, small)
    assert edge.deliveries() == {'delivered': 1}
    assert edge.status()['destinations'][0]['queued'] == 0
    assert dicom.send(edge.port(), [(iuid, data)]) == [0]
    arrived(archive, edge, small, (iuid, data))


def test_a_connection_of_the_device_that_breaks_does_the_same(archives, tls,
                                                              edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    device.link.close()
    until('its end', lambda: archive.ends)
    assert archive.ends == ['aborted'] and archive.stored == []
    assert edge.deliveries() == {}


@pytest.mark.parametrize('held', [30 * MIB, LONG])
def test_kill_in_the_middle_loses_nothing_and_invents_nothing(
        archives, tls, edge_to, held):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=held)
    until('some of it', lambda: archive.came > 20 * MIB)
    edge.kill()
    device.go.set()
    device.join(60)
    acknowledged = device.status == 0
    edge.start()
    if not acknowledged:
        device = Slow(edge.port(), iuid, data)
        assert device.end() == 0
    until('delivered', lambda: (iuid, EVLE, digest(data), len(data))
          in archive.stored)
    edge.wait_deliveries('delivered', 1)
    assert {(s[0], s[2]) for s in archive.stored} == {(iuid, digest(data))}
    assert 'queued' not in edge.deliveries()


@pytest.mark.tsan
def test_a_device_that_pauses_does_not_hold_the_archive(archives, tls,
                                                        edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port, timeouts={'response': '2s'})
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    began = time.monotonic()
    until('its end', lambda: archive.ends)
    assert time.monotonic() - began < 3 * culvert.SLOW + 2
    assert archive.ends == ['aborted'] and archive.stored == []
    assert 'the device does not send the rest' in \
        edge.wait_log('cut-through-failed')
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))
    assert failed(edge) == 0


def test_a_line_that_breaks_costs_no_attempt(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    archive.cut()
    edge.wait_log('cut-through-failed')
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))
    assert failed(edge) == 0


def test_the_answer_is_that_of_the_delivery(archives, tls, edge_to):
    """A700 once: tried again as a whole; 0xC000 is what it always was."""
    archive = archives(tls=tls.server())
    answers = [0xa700]
    archive.status = lambda iuid: answers.pop() if answers else 0
    edge = edge_to(archive.port)
    iuid, data = instance(size=20 * MIB)
    device = Slow(edge.port(), iuid, data, stop_at=16 * MIB)
    until('some of it', lambda: archive.came > 10 * MIB)
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))
    assert failed(edge) == 1


@pytest.mark.tsan
def test_what_is_whole_goes_first(archives, tls, edge_to):
    """One association: the large one gives it up, and goes when it is whole."""
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port, associations=1)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    small = [('1.2.3.%d' % i, dicom.data_set('1.2.3.%d' % i, size=3000))
             for i in range(3)]
    assert dicom.send(edge.port(), small) == [0] * 3
    edge.wait_deliveries('delivered', 3)
    assert device.status is None and archive.uids() == [i for i, _ in small]
    assert device.end() == 0
    arrived(archive, edge, (iuid, data), *small)
    assert failed(edge) == 0


def test_beside_it_small_ones_pass(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port, associations=2)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    small = [('1.2.3.%d' % i, dicom.data_set('1.2.3.%d' % i, size=3000))
             for i in range(2)]
    for one in small:
        assert dicom.send(edge.port(), [one]) == [0]
        until('there', lambda: one[0] in archive.uids())
    assert device.end() == 0
    arrived(archive, edge, (iuid, data), *small)
    assert 'cut-through-withdrawn' not in edge.log()


def test_an_earlier_one_of_its_uid_goes_first(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    other = dicom.data_set(iuid, size=3000)
    assert dicom.send(edge.port(), [(iuid, other)]) == [0]
    until('that one', lambda: archive.uids() == [iuid])
    assert device.end() == 0
    edge.wait_deliveries('delivered', 2)
    assert [s[2] for s in archive.stored] == [digest(other), digest(data)]


def test_it_keeps_to_the_limit_of_the_line(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port, rate={'limit': '40Mbit'})
    iuid, data = instance(size=24 * MIB)
    began = time.monotonic()
    device = Slow(edge.port(), iuid, data, stop_at=20 * MIB)
    until('some of it', lambda: archive.came > 10 * MIB)
    assert archive.came * 8 / (time.monotonic() - began) < 44e6
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))
    assert time.monotonic() - began > 24 * MIB * 8 / 40e6 * 0.95


def test_it_goes_to_the_endpoint_that_answers(archives, tls, daemons,
                                              edge_config):
    archive = archives(tls=tls.server())
    config = edge_config(archive.port, destination=dict(EARLY))
    config['destinations']['archive']['endpoints'].insert(
        0, '127.0.0.1:%d' % culvert.free_port())
    edge = daemons(config)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: archive.came > 20 * MIB)
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))


def test_never_means_never(archives, tls, edge_to):
    archive = archives(tls=tls.server())
    edge = edge_to(archive.port, cut_through=0)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=50 * MIB)
    until('50 MiB in', lambda: device.sent >= 50 * MIB)
    time.sleep(0.5)
    assert archive.came < MIB  # it was asked what it takes, no more
    assert device.end() == 0
    arrived(archive, edge, (iuid, data))


def test_two_archives_each_at_its_pace(archives, tls, daemons, edge_config):
    one, two = archives(tls=tls.server()), archives(tls=tls.server())
    config = edge_config(one.port, destination=dict(EARLY))
    config['destinations']['second'] = dict(
        config['destinations']['archive'], cut_through='20MiB',
        endpoints=['127.0.0.1:%d' % two.port])
    config['routes'] = [{'service': 'storage',
                         'forward': ['archive', 'second']}]
    edge = daemons(config)
    iuid, data = instance()
    device = Slow(edge.port(), iuid, data, stop_at=10 * MIB)
    until('in the first', lambda: one.came > 6 * MIB)
    assert two.came < MIB
    device.stop_at = 40 * MIB
    device.go.set()
    until('in both', lambda: two.came > 30 * MIB)
    assert device.end() == 0
    edge.wait_deliveries('delivered', 2)
    for a in (one, two):
        assert [s[2] for s in a.stored] == [digest(data)]


# ---- real far ends -----------------------------------------------------------

def through(tap, edge, size=32 * MIB):
    """An instance through a tap before a real archive, seen to leave early."""
    iuid, data = instance(size=size)
    device = Slow(edge.port(), iuid, data, stop_at=24 * MIB)
    until('some of it', lambda: sum(len(r[0]) for r in tap.recordings)
          > 16 * MIB)
    assert device.status is None
    assert device.end() == 0
    edge.wait_deliveries('delivered', 1)
    assert failed(edge) == 0
    return iuid, data


@pytest.fixture
def taps():
    made = []

    def make(to):
        made.append(peers.Tap(to))
        return made[-1]
    yield make
    for t in made:
        t.stop()


@needs('storescp')
def test_dcmtk_takes_it(programs, taps, pki, edge_to, tmp_path):
    out, port = tmp_path / 'out', culvert.free_port()
    out.mkdir()
    peers.await_port(port, programs(
        'storescp', '-aet', 'ARCHIVE', '+xe', '+B', '+uf', '-od', out, '+tls',
        pki / 'archive.key', pki / 'archive.pem', '+cf', pki / 'ca.pem', port))
    tap = taps(port)
    _, data = through(tap, edge_to(tap.port))
    files = list(out.iterdir())
    assert len(files) == 1
    assert dicom.split_part10(files[0].read_bytes())[1] == data


@needs('Orthanc')
def test_orthanc_takes_it_and_forgets_what_was_broken_off(taps, pki, edge_to,
                                                          tmp_path):
    orthanc = peers.Orthanc(tmp_path, pki)
    try:
        tap = taps(orthanc.port)
        edge = edge_to(tap.port, ae_title='PACS')
        iuid, data = instance('1.2.3.61', 32 * MIB)
        device = Slow(edge.port(), iuid, data, stop_at=24 * MIB)
        until('some of it', lambda: sum(len(r[0]) for r in tap.recordings)
              > 16 * MIB)
        device.link.abort()
        edge.wait_log('cut-through-withdrawn')
        assert orthanc.instances() == []
        through(tap, edge)
        assert len(orthanc.instances()) == 1
    finally:
        orthanc.stop()


def test_a_second_culvert_takes_it(daemons, taps, pki, edge_to, tmp_path):
    files = tmp_path / 'files'
    far = daemons({
        'listeners': {'edges': {
            'protocol': 'dicom-tls', 'ae_titles': ['ARCHIVE'],
            'tls': {'ca': str(pki / 'ca.pem'),
                    'certificate': str(pki / 'archive.pem'),
                    'key': str(pki / 'archive.key')}}},
        'devices': {'edge': {'ae_title': 'SCU', 'address': '127.0.0.1'}},
        'destinations': {'files': {'protocol': 'directory',
                                   'path': str(files)}},
        'routes': [{'service': 'storage', 'forward': ['files']}]}, 'far')
    tap = taps(far.port())
    _, data = through(tap, edge_to(tap.port))
    far.wait_deliveries('delivered', 1)
    found = [f for f in files.rglob('*') if f.is_file()]
    assert len(found) == 1
    assert dicom.split_part10(found[0].read_bytes())[1] == data
