"""Procedure steps: dcmjs-dimse as the device and as the RIS."""
import pytest

import dcmjs
import dicom
import relayed
from culvert import until
from dicom import IVLE, MPPS
from responder import CREATE, N_SET, Responder

STEP = '1.2.826.0.1.3680043.10.1599.60.%d'


def created(n):
    return {'op': 'create', 'class': MPPS, 'instance': STEP % n, 'data': {
        'PatientName': 'Doe^Jane', 'PatientID': 'PID%d' % n,
        'PerformedProcedureStepID': 'PPS%d' % n,
        'PerformedProcedureStepStatus': 'IN PROGRESS',
        'PerformedProcedureStepStartDate': '20240105',
        'PerformedProcedureStepStartTime': '101500',
        'PerformedStationAETitle': 'DCMJS', 'Modality': 'CT',
        'ScheduledStepAttributesSequence': [
            {'StudyInstanceUID': '1.2.3.%d' % n, 'AccessionNumber': 'A1',
             'RequestedProcedureID': 'RP1'}],
        'PerformedSeriesSequence': []}}


def completed(n, status='COMPLETED'):
    return {'op': 'set', 'class': MPPS, 'instance': STEP % n, 'data': {
        'PerformedProcedureStepStatus': status,
        'PerformedProcedureStepEndDate': '20240105',
        'PerformedProcedureStepEndTime': '103000',
        'PerformedSeriesSequence': [
            {'SeriesInstanceUID': '1.2.3.%d.1' % n, 'ProtocolName': 'Head',
             'ReferencedImageSequence': []}]}}


@pytest.fixture
def ris(pki):
    made = []

    def make(**kw):
        made.append(dcmjs.Scp(pki, **kw))
        return made[-1]
    yield make
    for s in made:
        s.stop()


def test_steps_are_created_and_completed_as_directly(both, ris, pki):
    s = ris()
    b = both(s.port, relayed.config(pki, s.port, s.port))

    def play(port):
        out = dcmjs.scu(port, 'RIS', [
            {'op': 'echo'}, created(1), completed(1), created(2),
            completed(2, 'DISCONTINUED')])
        assert out.statuses() == ['0000'] * 5, out
        return out
    b.compare(play)
    until('all requests', lambda: len(s.requests()) == 10)
    kinds = [(x['request'], x['data']) for x in s.requests()]
    assert kinds[:5] == kinds[5:]
    assert [k for k, _ in kinds[5:]] == ['echo', 'create', 'set', 'create',
                                         'set']


def test_a_ris_s_refusals_reach_the_device(both, ris, pki):
    s = ris(answers={'create': '0111', 'set': '0110'})
    b = both(s.port, relayed.config(pki, s.port, s.port))

    def play(port):
        out = dcmjs.scu(port, 'RIS', [created(1), completed(1)])
        assert out.statuses() == ['0111', '0110'], out
    b.compare(play)


def forwarding(pki, port):
    return relayed.config(pki, port, port, routes=[
        {'service': 'mpps', 'forward': ['ris']}])


def test_steps_wait_in_order_while_the_ris_is_away(daemons, tls, pki):
    """Taken into the spool, also across a crash, and delivered in order,
    never two of one step at once."""
    r = Responder(tls=tls.server())
    port = r.port
    r.stop()
    edge = daemons(forwarding(pki, port))
    steps = [STEP % n for n in range(12)]
    a = dicom.Association(edge.port(), [(1, MPPS, [IVLE])], called='RIS')
    for i, uid in enumerate(steps):
        assert a.n_create(1, uid, dicom.encode(
            [(0x40, 0x252, 'CS', 'IN PROGRESS')], IVLE)) == 0
        if i == 5:
            edge.kill()
            edge.start()
            a = dicom.Association(edge.port(), [(1, MPPS, [IVLE])],
                                  called='RIS')
    for n, uid in enumerate(steps):
        for status in ('IN PROGRESS', 'COMPLETED'):
            assert a.n_set(1, uid, dicom.encode(
                [(0x40, 0x252, 'CS', status)], IVLE)) == 0
    a.release()
    r = Responder(tls=tls.server(), port=port)
    try:
        until('all delivered', lambda: len(r.fields()) >= 36, 60)
        edge.wait_deliveries('delivered', 36)
        for uid in steps:
            mine = [(f, d) for f, _, c, d in r.fields() if uid in (
                dicom.uid_of(c.get(0x1000, b'')),
                dicom.uid_of(c.get(0x1001, b'')))]
            assert [f for f, _ in mine] == [CREATE, N_SET, N_SET], uid
            assert b'IN PROGRESS' in mine[1][1] and \
                b'COMPLETED' in mine[2][1]
        assert ('SCU', 'RIS') in r.callers
    finally:
        r.stop()


def test_forwarded_steps_come_from_an_independent_device(daemons, ris, pki):
    s = ris()
    edge = daemons(forwarding(pki, s.port))
    out = dcmjs.scu(edge.port(), 'RIS', [created(1), completed(1)])
    assert out.statuses() == ['0000', '0000']
    until('both arrived', lambda: len(s.requests()) == 2)
    assert [x['request'] for x in s.requests()] == ['create', 'set']
    assert s.requests('create')[0]['data']['PatientName'] is not None
    edge.wait_deliveries('delivered', 2)
