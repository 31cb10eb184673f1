"""Storage commitment through Culvert: a plaintext device, Orthanc behind TLS.

The device is told the truth, whatever is away in between: the archive, the
device itself, Culvert (killed with -9 at every step)."""
import io
import re
import time

import pytest

import dcmjs
import dicom
import peers
import relayed
from conftest import needs
from culvert import free_port, until
from dicom import CT, EVLE, IVLE

COMMITMENT = dicom.PREFIX + '1.20.1'
INSTANCE = COMMITMENT + '.1'
UID = '1.2.826.0.1.3680043.10.1599.81.%d.%d'


def names(transaction, refs):
    """The data set of a request for [(class, instance)]."""
    return dicom.encode([
        (8, 0x1195, 'UI', transaction),
        (8, 0x1199, 'SQ', [[(8, 0x1150, 'UI', c), (8, 0x1155, 'UI', i)]
                           for c, i in refs])])


class Report:
    """An N-EVENT-REPORT as the device got it."""

    def __init__(self, rq, data, titles):
        from pydicom.filereader import read_dataset
        d = read_dataset(io.BytesIO(data), True, True)
        self.type = dicom.number(rq[0x1002])
        self.instance = dicom.uid_of(rq[0x1000])
        self.titles = titles
        self.transaction = d.TransactionUID
        self.safe = {i.ReferencedSOPInstanceUID
                     for i in d.get('ReferencedSOPSequence', [])}
        self.failed = {i.ReferencedSOPInstanceUID: i.FailureReason
                       for i in d.get('FailedSOPSequence', [])}

    def __repr__(self):
        return 'Report(%s, type %d, safe %s, failed %s)' % (
            self.transaction, self.type, sorted(self.safe), self.failed)


class Device(dicom.Scp):
    """The device's own SCP, which takes reports."""

    def __init__(self, port):
        self.reports = []
        self.roles = []  # what follows listens already
        super().__init__(port)
        self.user = lambda proposed: b''.join(
            dicom.item(k, v) for k, v in proposed if k == 0x54)

    def _negotiate(self, k, body):
        contexts = super()._negotiate(k, body)
        for kind, v in dicom.items(body[68:]):
            if kind == 0x50:
                self.roles += [x for t, x in dicom.items(v) if t == 0x54]
        k.titles = self.callers[-1]
        return contexts

    def _association(self, k):
        contexts = {}
        kind, body = k.read_pdu()
        assert kind == 1
        contexts = self._negotiate(k, body)
        while True:
            try:
                pcid, rq, data = k.message()
            except dicom.Control as e:
                if e.args[0] == 5:
                    k.send(dicom.pdu(6, bytes(4)))
                return
            except dicom.Aborted:
                return
            assert contexts[pcid] == (COMMITMENT, IVLE)
            assert dicom.number(rq[0x100]) == 0x100
            with self.lock:
                self.reports.append(Report(rq, data, k.titles))
            k.respond(pcid, rq, 0)

    def of(self, transaction):
        with self.lock:
            return [r for r in self.reports if r.transaction == transaction]

    def wait(self, transaction, seconds=60):
        until('the report of ' + transaction,
              lambda: self.of(transaction), seconds)
        return self.of(transaction)[0]


class Site:
    """Culvert between device and Orthanc, with a gate before either end: what
    the gate leads to may be away."""

    def __init__(self, root, pki, daemons, deadline='1h', **more):
        self.nowhere = free_port()
        self.home = peers.Tap(self.nowhere, record=False)
        self.gate = peers.Tap(self.nowhere, record=False)
        self.orthanc = peers.Orthanc(root, pki, {
            aet: self.home.port for aet in ('CT', 'DCMJS')})
        self.device_port = free_port()
        self.device = None
        c = relayed.config(
            pki, self.gate.port, self.gate.port, back='PACS',
            device={'port': self.device_port,
                    'services': ['storage', 'commitment']})
        c['routes'] = [{'service': 'storage', 'forward': ['archive'],
                        'listener': ['modalities']},
                       {'service': 'commitment', 'device': ['ct'],
                        'hold': 'archive'}]
        for name in ('ris', 'pacs'):
            del c['destinations'][name]
        c['devices']['pacs-back']['services'] = ['commitment']
        c['commitment'] = {'unknown': '1s', 'deadline': deadline}
        c.update(more)
        self.edge = daemons(c)
        self.home.to = self.edge.port('back')

    def archive_up(self, up=True):
        self.gate.to = self.orthanc.port if up else self.nowhere

    def device_up(self):
        if self.device is None:
            self.device = Device(self.device_port)
        return self.device

    def store(self, study, numbers, wrong=()):
        """C-STORE; wrong ones are such as Orthanc cannot take."""
        out = []
        for n in numbers:
            uid = UID % (study, n)
            data = b'\1' * 400 if n in wrong else \
                dicom.data_set(uid, size=2000)
            out.append((uid, data))
        statuses = dicom.send(self.edge.port('modalities'), out, calling='CT',
                              called='PACS')
        assert statuses == [0] * len(out)
        return [u for u, _ in out]

    def ask(self, transaction, uids):
        a = dicom.Association(self.edge.port('modalities'),
                              [(1, COMMITMENT, [EVLE])], calling='CT',
                              called='PACS')
        a.request(1, 0x130, names(transaction, [(CT, u) for u in uids]),
                  c1001=INSTANCE.encode(), c1008=dicom.u16(1))
        rsp = a.response()
        a.release()
        assert dicom.number(rsp[0x900]) == 0, rsp
        assert dicom.number(rsp[0x100]) == 0x8130

    def again(self):
        """kill -9, and start."""
        self.edge.kill()
        self.edge.start()

    def stop(self):
        if self.device:
            self.device.stop()
        self.orthanc.program.kill()  # it takes its time to end
        self.home.stop()
        self.gate.stop()


@pytest.fixture
def site(tmp_path, pki, daemons):
    made = []

    def make(**more):
        made.append(Site(tmp_path, pki, daemons, **more))
        return made[-1]
    yield make
    for s in made:
        s.stop()


def check_titles(r):
    """PS3.4 J.3.3: from the AE title that the device called."""
    assert r.titles == ('PACS', 'CT')
    assert r.instance == INSTANCE


@needs('Orthanc')
def test_a_commitment_is_asked_for_and_reported(site):
    s = site()
    s.archive_up()
    device = s.device_up()
    uids = s.store(1, range(5))
    s.ask('1.2.3.1', uids)
    r = device.wait('1.2.3.1')
    check_titles(r)
    assert r.type == 1 and r.safe == set(uids) and not r.failed
    assert device.roles and all(x.endswith(b'\0\1') for x in device.roles)
    time.sleep(1)
    assert len(device.reports) == 1
    # one that nobody has: waits a second, then the archive says so
    begun = time.monotonic()
    s.ask('1.2.3.2', uids[:2] + ['1.2.3.404'])
    r = device.wait('1.2.3.2')
    assert time.monotonic() - begun > 1
    assert r.type == 2 and r.safe == set(uids[:2])
    assert r.failed == {'1.2.3.404': 0x112}


STEPS = ('stored', 'requested', 'archive back', 'asked', 'reported',
         'device back')


@needs('Orthanc')
@pytest.mark.parametrize('killed', [()] + [(x,) for x in STEPS] + [STEPS],
                         ids=lambda k: '-'.join(k).replace(' ', '_') or 'never')
def test_a_commitment_outlives_all(site, killed):
    """Requested while the archive is away; reported while the device is."""
    s = site(deadline='64s' if killed else '1h')

    def step(name):
        if name in killed:
            s.again()

    uids = s.store(2, range(4))
    step('stored')
    s.ask('1.2.3.3', uids)
    step('requested')
    time.sleep(1.5)  # longer than unknown ones wait
    assert 'commitment-asked' not in s.edge.log()
    assert s.edge.status()['commitment']['waiting'] == 1
    assert 'commitment  1 requests wait' in s.edge.cli('status').stdout
    s.archive_up()
    step('archive back')
    s.edge.wait_log('commitment-asked .*transaction=1.2.3.3 ', 60)
    assert len(s.orthanc.instances()) == 4
    step('asked')
    s.edge.wait_log('commitment-reported .*transaction=1.2.3.3 ', 60)
    step('reported')
    device = s.device_up()
    step('device back')
    r = device.wait('1.2.3.3')
    check_titles(r)
    assert r.type == 1 and r.safe == set(uids), r
    # nothing is left open, and nothing comes again but by a kill
    s.edge.wait_deliveries('delivered', 4 + 3)
    assert not s.edge.deliveries().get('held')
    until('the end of all', lambda: not s.edge.deliveries().get('queued'))
    if not killed:
        assert len(device.reports) == 1
    assert all(x.safe == r.safe for x in device.reports)


@needs('Orthanc')
def test_a_report_that_found_nobody_is_asked_for_again(site):
    """Orthanc reports once. If nobody listens then, it has to be asked again:
    after an eighth of the deadline."""
    s = site(deadline='64s')
    s.archive_up()
    s.home.to = s.nowhere
    device = s.device_up()
    uids = s.store(6, range(2))
    s.ask('1.2.3.6', uids)
    s.edge.wait_log('commitment-asked .*transaction=1.2.3.6 ', 60)
    until('the request is delivered', lambda: s.edge.sql(
        'SELECT 1 FROM deliveries WHERE state = 3 LIMIT 1 OFFSET 2'))
    time.sleep(2)
    s.edge.kill()
    s.home.to = s.edge.port('back')
    s.edge.start()
    s.edge.wait_log('commitment-repeated .*transaction=1.2.3.6 ', 30)
    r = device.wait('1.2.3.6')
    assert r.type == 1 and r.safe == set(uids)


@needs('Orthanc')
def test_what_is_in_quarantine_is_reported_as_failed(site):
    """Orthanc does not take one of them: it is given up, and its device
    told."""
    s = site()
    s.edge.stop()
    s.edge.config['destinations']['archive']['quarantine_after'] = 1
    s.edge.write()
    s.edge.start()
    device = s.device_up()
    uids = s.store(3, range(4), wrong=(2,))
    s.ask('1.2.3.4', uids)
    s.archive_up()
    s.edge.wait_deliveries('quarantined', 1)
    r = device.wait('1.2.3.4')
    assert r.type == 2
    assert r.safe == set(uids) - {uids[2]} and r.failed == {uids[2]: 0x110}
    assert re.search('commitment-reported .*failed=1 .*cause=', s.edge.log())


@needs('Orthanc')
def test_requests_right_behind_their_instances(site):
    """On one association, each request at once after its instance was
    acknowledged: the ledger lags, the answer does not."""
    s = site()
    s.archive_up()
    device = s.device_up()
    a = dicom.Association(s.edge.port('modalities'),
                          [(1, CT, [EVLE]), (3, COMMITMENT, [IVLE, EVLE])],
                          calling='CT', called='PACS')
    uids = []
    for n in range(40):
        uids.append(UID % (4, n))
        assert a.store(1, uids[n], dicom.data_set(uids[n], size=3000)) == 0
        a.request(3, 0x130,
                  dicom.encode([(8, 0x1195, 'UI', '1.2.4.%d' % n),
                                (8, 0x1199, 'SQ', [[
                                    (8, 0x1150, 'UI', CT),
                                    (8, 0x1155, 'UI', uids[n])]])],
                               a.accepted[3]),
                  c1001=INSTANCE.encode(), c1008=dicom.u16(1))
        assert dicom.number(a.response()[0x900]) == 0
    a.release()
    for n in range(40):
        r = device.wait('1.2.4.%d' % n)
        assert r.type == 1 and r.safe == {uids[n]}
    # none was unknown, not even for a moment
    assert not re.search('commitment-asked .*unknown=[1-9]', s.edge.log())


@needs('Orthanc')
def test_our_own_commitment_frees_the_copy(site):
    s = site(routes=[
        {'service': 'storage', 'forward': ['archive'], 'commit': 'archive',
         'listener': ['modalities']},
        {'service': 'commitment', 'device': ['ct'], 'hold': 'archive'}])
    s.archive_up()
    s.store(5, range(6))
    s.edge.wait_log('committed .*instances=6', 60)
    until('6 committed', lambda: s.edge.deliveries().get(7) == 6)


@needs('Orthanc')
@pytest.mark.parametrize('killed', [False, True])
def test_dcmjs_as_the_device(site, killed):
    """Another maker's device, all in one association; its reports come to a
    server of its own."""
    s = site(deadline='64s' if killed else '1h')
    operations, refs = [], []
    for uid, file in peers.study(7, 3):
        path = s.edge.root / (uid + '.dcm')
        path.write_bytes(file)
        operations.append({'op': 'store', 'file': str(path)})
        refs.append({'ReferencedSOPClassUID': CT,
                     'ReferencedSOPInstanceUID': uid})
    operations.append({
        'op': 'action', 'class': COMMITMENT, 'instance': INSTANCE, 'type': 1,
        'data': {'TransactionUID': '1.2.3.7',
                 'ReferencedSOPSequence': refs + [
                     {'ReferencedSOPClassUID': CT,
                      'ReferencedSOPInstanceUID': '1.2.3.404'}]}})
    answers = dcmjs.scu(s.edge.port('modalities'), 'PACS', operations)
    assert answers.statuses() == ['0000'] * 4
    if killed:
        s.again()
    device = dcmjs.Scp(port=s.device_port)
    try:
        s.archive_up()
        report, = until('the report', lambda: device.requests('report'), 60)
        assert report['type'] == 2
        d = report['data']
        assert d['TransactionUID'] == '1.2.3.7'
        safe = {x['ReferencedSOPInstanceUID']
                for x in d['ReferencedSOPSequence']}
        failed = d['FailedSOPSequence']
        failed = failed if isinstance(failed, list) else [failed]
        assert safe == {x['ReferencedSOPInstanceUID'] for x in refs}
        assert [(x['ReferencedSOPInstanceUID'], x['FailureReason'])
                for x in failed] == [('1.2.3.404', 0x112)]
        assert [x for x in device.lines if x.get('event') == 'association'][
            0] == {'event': 'association', 'calling': 'PACS',
                   'called': 'DCMJS'}
    finally:
        device.stop()


def test_who_may_not_ask_and_what_is_no_request(site, tls):
    s = site()
    a = dicom.Association(s.edge.port('modalities'),
                          [(1, COMMITMENT, [EVLE])], calling='CT',
                          called='PACS')

    def ask(data, instance=INSTANCE, action=1):
        a.request(1, 0x130, data, c1001=instance.encode(),
                  c1008=dicom.u16(action))
        return dicom.number(a.response()[0x900])

    good = names('1.2.3.9', [(CT, '1.2.3')])
    assert ask(good, instance='1.2.3') == 0x112
    assert ask(good, action=2) == 0x123
    assert ask(names('1.2.3.9', [])) == 0x120
    assert ask(dicom.encode([(8, 0x1199, 'SQ', [[
        (8, 0x1150, 'UI', CT), (8, 0x1155, 'UI', '1.2.3')]])])) == 0x120
    assert ask(b'\1' * 200) == 0x115
    assert ask(good) == 0
    a.release()
    # a report that nobody asked for, on the archive's listener
    b = dicom.Association(
        s.edge.port('back'), [(1, COMMITMENT, [IVLE])], calling='PACS',
        called='CT', tls=tls.client('archive'),
        extra=dicom.role(COMMITMENT, 0, 1))
    b.request(1, 0x100, dicom.encode([
        (8, 0x1195, 'UI', '1.2.3.77'),
        (8, 0x1199, 'SQ', [[(8, 0x1150, 'UI', CT),
                            (8, 0x1155, 'UI', '1.2.3')]])], IVLE),
        c1000=INSTANCE.encode(), c1002=dicom.u16(1))
    assert dicom.number(b.response()[0x900]) == 0x110
    b.release()
    assert 'commitment-unknown' in s.edge.log()
