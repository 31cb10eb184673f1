"""One association with storage, verification, worklist on one leg and query
on another, used interleaved, while the RIS is frozen, killed and started."""
import threading
import time

import pytest

import dicom
import peers
import relayed
from conftest import needs
from culvert import SLOW, until
from dicom import (CT, EVLE, IVLE, MPPS, PENDING, STUDY_FIND, VERIFICATION,
                   WORKLIST)
from responder import Responder

CONTEXTS = [(1, VERIFICATION, [IVLE]), (3, CT, [EVLE, IVLE]),
            (5, WORKLIST, [EVLE, IVLE]), (7, STUDY_FIND, [IVLE]),
            (9, dicom.SC, [EVLE]), (11, dicom.PATIENT_FIND, [IVLE]),
            (13, MPPS, [IVLE])]
LISTED = 30


def is_failure(status):
    """A final status by which a service says that it cannot."""
    return status >> 12 in (0xa, 0xc) or status in (0x110, 0x122, 0x213)


@pytest.fixture
def ris(tmp_path, pki):
    (tmp_path / 'ris').mkdir()
    w = peers.Worklist(tmp_path / 'ris', pki, LISTED)
    yield w
    w.stop()


@pytest.fixture(scope='module')
def pacs(tmp_path_factory, pki):
    o = peers.Orthanc(tmp_path_factory.mktemp('pacs'), pki)
    for n in range(1, 4):
        for _, file in peers.study(n, 2, 1000):
            o.upload(file)
    yield o
    o.stop()


TIMEOUTS = {'connect': '1s', 'relay': '1s', 'response': '2s',
            'associate': '1s', 'retrieve': '2s'}


@pytest.fixture
def setting(daemons, scps, tls, pki):
    """setting(ris port, pacs port) -> a Culvert that forwards to .store."""
    def make(ris, pacs, timeouts=TIMEOUTS, **more):
        store = scps(tls=tls.server(), keep=True)
        c = relayed.config(pki, ris, pacs, archive=store.port, **more)
        for name in ('ris', 'pacs'):
            c['destinations'][name].update(ae_title=name.upper(),
                                           timeouts=timeouts)
        edge = daemons(c)
        edge.store = store
        return edge
    return make


class Device:
    """The association, with what each of its services must give."""

    def __init__(self, edge, listed=LISTED, studies=3):
        self.edge, self.listed, self.studies = edge, listed, studies
        self.a = dicom.Association(edge.port(), CONTEXTS)
        self.n = 0
        self.sent = {}
        self.query = dicom.encode([
            (0x8, 0x52, 'CS', 'STUDY'), (0x10, 0x10, 'PN', ''),
            (0x20, 0xd, 'UI', '')], IVLE)
        ts = self.a.accepted.get(5, IVLE)
        self.all = dicom.encode([
            (0x10, 0x10, 'PN', ''), (0x10, 0x20, 'LO', ''),
            (0x40, 0x100, 'SQ', [[(8, 0x60, 'CS', '')]])], ts)

    def store(self):
        self.n += 1
        iuid = '1.2.826.7.%d.%d' % (id(self) % 100000, self.n)
        sop, pcid = ((CT, 3), (dicom.SC, 9))[self.n % 2]
        data = dicom.data_set(iuid, sop=sop, size=2000 * self.n % 70000)
        assert self.a.store(pcid, iuid, data) == 0
        self.sent[iuid] = data

    def echo(self):
        assert self.a.echo(1) == 0

    def worklist(self):
        return self.a.find(5, self.all)

    def listing(self):
        answers = self.worklist()
        assert answers[-1][0] == 0 and len(answers) == self.listed + 1
        return sorted(d for _, d in answers[:-1])

    def studies_found(self):
        answers = self.a.find(7, self.query)
        assert answers[-1][0] == 0 and len(answers) == self.studies + 1
        return sorted(d for _, d in answers[:-1])

    def others(self):
        """All that has nothing to do with the RIS."""
        self.store()
        self.echo()
        self.studies_found()
        self.store()

    def delivered(self):
        self.edge.wait_deliveries('delivered', len(self.sent))
        for iuid, data in self.sent.items():
            assert self.edge.store.data[iuid] == data


@needs('Orthanc')
@needs('wlmscpfs')
def test_services_are_used_interleaved(setting, ris, pacs):
    edge = setting(ris.tls_port, pacs.port)
    d = Device(edge)
    assert all(d.a.results[i] == 0 for i in (1, 3, 5, 7, 9, 11))
    lists, studies = d.listing(), d.studies_found()
    for _ in range(10):
        d.others()
        assert d.listing() == lists
        d.echo()
        assert d.studies_found() == studies
        d.store()
        d.store()
    d.a.release()
    d.delivered()
    until('nothing is open', lambda: edge.status()['associations'] == 0)


@needs('Orthanc')
@needs('wlmscpfs')
def test_a_ris_is_frozen_killed_and_started(setting, ris, pacs):
    edge = setting(ris.tls_port, pacs.port)
    d = Device(edge)
    lists = d.listing()
    d.others()
    for again in range(2):
        # frozen: connections are made, nothing answers
        ris.freeze()
        began = time.monotonic()
        for _ in range(2):
            answers = d.worklist()
            assert len(answers) == 1 and is_failure(answers[0][0]), answers
            d.others()
        assert time.monotonic() - began < 12 * SLOW
        # a new association gets everything else in time
        began = time.monotonic()
        other = Device(edge)
        assert time.monotonic() - began < 4 * SLOW
        assert other.a.results[5] != 0
        assert all(other.a.results[i] == 0 for i in (1, 3, 7, 9))
        other.others()
        # killed: connections are refused
        ris.kill()
        answers = d.worklist()
        assert len(answers) == 1 and is_failure(answers[0][0]), answers
        d.others()
        other.others()
        other.a.release()
        # there again
        ris.start()
        until('the worklist', lambda: d.worklist()[-1][0] == 0)
        assert d.listing() == lists
        d.others()
    other = Device(edge)
    assert other.listing() == lists
    other.a.release()
    d.a.release()
    until('nothing is open', lambda: edge.status()['associations'] == 0)
    # what was acknowledged while all this went on has arrived
    until('all images', lambda: set(d.sent) <= set(edge.store.data))
    assert all(edge.store.data[i] == x for i, x in d.sent.items())


@pytest.fixture
def scripted(tls):
    made = []

    def make(port=0):
        made.append(Responder(tls=tls.server(), port=port))
        return made[-1]
    yield make
    for r in made:
        r.stop()


MATCHES = [dicom.encode([(0x10, 0x10, 'PN', 'Found^%d' % i)], IVLE)
           for i in range(6)]


@pytest.mark.tsan
def test_a_leg_is_lost_between_two_answers(setting, scripted):
    """What came has come; then the service's failure, and no abort. The next
    message opens the leg again."""
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    edge = setting(ris.port, pacs.port)
    d = Device(edge, 6, 6)
    for victim, pcid in ((ris, 5), (pacs, 7)):
        for _ in range(3):
            victim.hold = 4
            d.a.request(pcid, 0x20, b'')
            answers = []
            while len(answers) < 4:
                _, c, data = d.a.message()
                answers.append((dicom.number(c[0x900]), data))
            assert answers == [(PENDING, m) for m in MATCHES[:4]]
            victim.cut()
            last = d.a.answers(pcid)
            assert len(last) == 1 and is_failure(last[0][0]), last
            victim.hold = None
            assert len(d.a.find(pcid, b'')) == 7
            d.others()
            d.listing()
    d.a.release()
    d.delivered()


def lose(edge, destination, how):
    """how() ends the leg; waits until it is known to have ended."""
    with edge.changed:
        mark = len(edge.lines)
    how()
    edge.wait_log('leg-ended .*destination=' + destination, since=mark)


def test_a_leg_is_lost_while_nothing_goes_on(setting, scripted):
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    edge = setting(ris.port, pacs.port)
    d = Device(edge, 6, 6)
    for name, victim in (('ris', ris), ('pacs', pacs)):
        d.others()
        lose(edge, name, victim.cut)
        d.others()
        d.listing()
    # the same contexts and titles when it is opened again
    assert ris.proposed[0] == ris.proposed[1]
    assert pacs.proposed[0] == pacs.proposed[1]
    assert set(ris.callers) == {('SCU', 'RIS')}
    d.a.release()


def test_a_leg_that_comes_back_with_other_contexts_is_not_used(setting,
                                                               scripted):
    """What the device was told must hold: else its messages get the service's
    failure, until the peer accepts what it did."""
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    edge = setting(ris.port, pacs.port)
    d = Device(edge, 6, 6)
    d.studies_found()
    before = pacs.accept
    for accept in (lambda abstract, syntaxes, calling:
                   None if abstract == STUDY_FIND else syntaxes[0],
                   lambda abstract, syntaxes, calling: None):
        pacs.accept = accept
        lose(edge, 'pacs', pacs.cut)
        answers = d.a.find(7, b'')
        assert len(answers) == 1 and is_failure(answers[0][0])
        d.store()
        d.listing()
        pacs.accept = before
        until('queries', lambda: d.a.find(7, b'')[-1][0] == 0)
        d.studies_found()
        d.echo()
    d.a.release()


def test_a_leg_that_is_released_by_its_peer_is_opened_again(setting,
                                                            scripted):
    """A release by the acceptor, as PS3.8 allows."""
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    links = []

    class Kept(dicom.Link):
        def __init__(self, sock):
            super().__init__(sock)
            links.append(self)
    ris.link = Kept
    edge = setting(ris.port, pacs.port)
    d = Device(edge, 6, 6)
    d.listing()
    lose(edge, 'ris', lambda: links[-1].send(dicom.pdu(5, bytes(4))))
    d.others()
    d.listing()
    assert len(ris.callers) == 2
    d.a.release()


@pytest.mark.parametrize('service, field', [
    ('worklist', 0x20), ('mpps', 0x140)])
def test_each_message_has_its_answer_when_nobody_is_there(
        setting, scripted, service, field):
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    edge = setting(ris.port, pacs.port)
    d = Device(edge, 6, 6)
    ris.stop()
    pcid = 5 if service == 'worklist' else 13
    for _ in range(3):
        d.a.request(pcid, field, b'', **(
            {'c1000': b'1.2.3'} if field == 0x140 else {}))
        where, c, data = d.a.message()
        assert where == pcid and data is None
        assert dicom.number(c[0x100]) == field | 0x8000
        assert dicom.number(c[0x120]) == d.a.message_id
        assert is_failure(dicom.number(c[0x900])), hex(
            dicom.number(c[0x900]))
        d.store()
        d.echo()
    d.a.release()


def test_legs_are_opened_side_by_side(setting, scripted, tls):
    """Two peers that both take their time cost it once."""
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    slow = 1.5

    def late(abstract, syntaxes, calling):
        if abstract in (WORKLIST, STUDY_FIND):
            time.sleep(slow)
        return syntaxes[0]
    ris.accept = pacs.accept = late
    edge = setting(ris.port, pacs.port, timeouts={})
    began = time.monotonic()
    d = Device(edge, 6, 6)
    took = time.monotonic() - began
    assert all(r == 0 for r in d.a.results.values())
    assert slow <= took < 1.9 * slow, took
    d.others()
    d.a.release()


@pytest.mark.tsan
def test_bulk_and_questions_do_not_wait_for_each_other(setting, scripted):
    """Large images on one association, questions on others."""
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = MATCHES
    edge = setting(ris.port, pacs.port)
    stop = threading.Event()
    failed = []

    def bulk():
        try:
            a = dicom.Association(edge.port(), CONTEXTS)
            i = 0
            while not stop.is_set():
                i += 1
                iuid = '1.2.9.%d.%d' % (threading.get_ident() % 99999, i)
                assert a.store(3, iuid, dicom.data_set(
                    iuid, size=2 << 20)) == 0
            a.release()
        except Exception as e:
            failed.append(e)
    threads = [threading.Thread(target=bulk) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        d = Device(edge, 6, 6)
        for _ in range(30):
            d.listing()
            d.echo()
            d.studies_found()
        d.a.release()
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not failed, failed


def test_two_at_once_when_a_device_does_not_wait(setting, scripted):
    """A device that sends to one leg before another has answered is served
    by both: each answer is whole and comes in its own context."""
    ris, pacs = scripted(), scripted()
    ris.matches = pacs.matches = [dicom.encode(
        [(0x10, 0x4000, 'LT', '%d' % i * 9000)], IVLE) for i in range(40)]
    edge = setting(ris.port, pacs.port)
    a = dicom.Association(edge.port(), CONTEXTS, max_pdu=16384)
    for _ in range(5):
        a.request(5, 0x20, b'')
        a.request(7, 0x20, b'')
        got = {5: [], 7: []}
        while len(got[5]) < 41 or len(got[7]) < 41:
            pcid, c, data = a.message()
            got[pcid].append(data)
        assert got[5][:-1] == got[7][:-1] == ris.matches
    a.release()


def test_an_image_is_not_interrupted_by_another_leg_s_answer(setting,
                                                             scripted):
    """The archive stops in the middle of an instance (C-GET); what the RIS
    answers meanwhile waits for the end of it."""
    ris, pacs = scripted(), scripted()
    ris.matches = MATCHES
    pacs.instances = [(CT, '1.2.3.%d' % i, dicom.data_set(
        '1.2.3.%d' % i, size=400000)) for i in range(3)]
    listed = threading.Semaphore(0)
    stopped = threading.Semaphore(0)

    class Stopping(dicom.Link):
        def send_message(self, pcid, fields, data=None, step=None):
            if data is None or len(data) < 100000:
                return super().send_message(pcid, fields, data, step)
            self.send(dicom.pdata(pcid, 3, dicom.command(fields)))
            for at in range(0, len(data), 10000):
                part = data[at:at + 10000]
                self.send(dicom.pdata(
                    pcid, 2 if at + len(part) == len(data) else 0, part))
                if at == 200000:
                    stopped.release()
                    assert listed.acquire(timeout=20)
    pacs.link = Stopping

    class Telling(dicom.Link):
        def respond(self, pcid, rq, status, data=None, extra=None):
            super().respond(pcid, rq, status, data, extra)
            if status == 0:
                listed.release()
    ris.link = Telling
    edge = setting(ris.port, pacs.port)
    a = dicom.Association(edge.port(), [
        (1, dicom.STUDY_GET, [IVLE]), (3, CT, [EVLE]), (5, WORKLIST, [IVLE])],
        extra=dicom.role(CT, 0, 1))
    a.request(1, 0x10, b'')
    order, found = [], 0

    def ask():
        for _ in range(3):
            assert stopped.acquire(timeout=20)
            a.request(5, 0x20, b'')
    asking = threading.Thread(target=ask)
    asking.start()
    while order.count('final') < 1 or found < 3:
        pcid, c, data = a.message()
        if pcid == 3:
            assert data == pacs.instances[order.count('image')][2]
            order.append('image')
            a.respond(3, c, 0)
        elif pcid == 1:
            order.append('final' if dicom.number(c[0x900]) == 0 else 'next')
        else:
            found += data is None
    asking.join()
    assert order == ['image', 'next', 'image', 'next', 'image', 'final']
    a.release()
