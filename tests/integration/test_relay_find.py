"""Worklist and query, live: each message as over a direct connection."""
import struct

import pytest

import dicom
import peers
import relayed
from conftest import needs
from culvert import until
from dicom import EVLE, IVLE, STUDY_FIND, VERIFICATION, WORKLIST
from responder import CANCEL, FIND, Responder

PSONLY_FIND = dicom.PREFIX + '5.1.4.1.2.3.1'
UPS_PULL = dicom.PREFIX + '5.1.4.34.6.3'
PRIVATE = '1.2.826.0.1.3680043.10.1599.42.1'
LISTED = 620


@pytest.fixture(scope='module')
def ris(tmp_path_factory, pki):
    w = peers.Worklist(tmp_path_factory.mktemp('ris'), pki, LISTED)
    yield w
    w.stop()


@pytest.fixture(scope='module')
def pacs(tmp_path_factory, pki):
    o = peers.Orthanc(tmp_path_factory.mktemp('pacs'), pki)
    for n in range(1, 8):
        for _, file in peers.study(n, 3, 2000, modality='CT'):
            o.upload(file)
    yield o
    o.stop()


WORKLIST_QUERIES = {
    'all': [],
    'by modality': ['ScheduledProcedureStepSequence[0].Modality=CT'],
    'by date': ['ScheduledProcedureStepSequence[0].'
                'ScheduledProcedureStepStartDate=20240103-20240109'],
    'by name': ['PatientName=Patient0001*'],
    'by id': ['PatientID=PID00042', 'AccessionNumber'],
    'none': ['PatientName=Nobody*'],
}
KEYS = ['PatientName', 'PatientID', 'AccessionNumber', 'PatientSex',
        'PatientBirthDate', 'StudyInstanceUID', 'RequestedProcedureID',
        'RequestedProcedureDescription', 'ReferringPhysicianName',
        'ScheduledProcedureStepSequence[0].Modality',
        'ScheduledProcedureStepSequence[0].ScheduledStationAETitle',
        'ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate',
        'ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime',
        'ScheduledProcedureStepSequence[0].ScheduledProcedureStepID']


def findscu(port, model, called, keys, *more, **kw):
    args = []
    for k in keys:
        args += ['-k', k]
    return peers.client('findscu', '-v', model, '-aet', 'FINDSCU', '-aec',
                        called, *more, '127.0.0.1', port, *args, **kw)


@needs('wlmscpfs')
def test_worklist_is_what_a_direct_connection_gives(both, ris, pki):
    b = both(ris.tls_port, relayed.config(pki, ris.tls_port, ris.tls_port))
    for what, query in WORKLIST_QUERIES.items():
        asked = [k.split('=')[0] for k in query]
        t, _ = b.compare(lambda port: findscu(
            port, '-W', 'RIS', query + [k for k in KEYS if k not in asked]),
            what)
        n = len(t[0].messages())
        if what == 'all':
            assert n == LISTED + 1 and t[0].statuses()[-1] == 0
        else:
            assert (n == 1) == (what == 'none'), (what, n)
    # other transfer syntaxes and fragment sizes, several on one association
    for more in (('-xi',), ('-xd',), ('-xb',), ('-pdu', '4096'),
                 ('-pdu', '131072', '--repeat', '5')):
        b.compare(lambda port: findscu(
            port, '-W', 'RIS', ['PatientName=Patient000*'] + KEYS[1:], *more),
            more)


@needs('Orthanc')
def test_query_is_what_a_direct_connection_gives(both, pacs, pki):
    b = both(pacs.port, relayed.config(pki, pacs.port, pacs.port))
    base = '1.2.826.0.1.3680043.10.1599.5.'
    for model, keys, n in (
            ('-S', ['QueryRetrieveLevel=STUDY', 'PatientName=A*', 'StudyDate',
                    'StudyInstanceUID', 'StudyDescription',
                    'ModalitiesInStudy', 'NumberOfStudyRelatedInstances'], 7),
            ('-S', ['QueryRetrieveLevel=SERIES', 'SeriesInstanceUID',
                    'StudyInstanceUID=' + base + '3', 'SeriesDescription'], 1),
            ('-S', ['QueryRetrieveLevel=IMAGE', 'SOPInstanceUID',
                    'StudyInstanceUID=' + base + '3', 'InstanceNumber',
                    'SeriesInstanceUID=' + base + '3.1'], 3),
            ('-P', ['QueryRetrieveLevel=PATIENT', 'PatientID=ARC4',
                    'PatientName'], 1),
            ('-S', ['QueryRetrieveLevel=STUDY', 'PatientName=Nobody'], 0)):
        t, _ = b.compare(lambda port: findscu(port, model, 'PACS', keys), keys)
        assert len(t[0].messages()) == n + 1, keys


@needs('Orthanc')
def test_echo_is_what_a_direct_connection_gives(both, pacs, pki):
    b = both(pacs.port, relayed.config(pki, pacs.port, pacs.port))
    for more in ((), ('--repeat', '50'), ('-pts', '38'), ('--abort',)):
        b.compare(lambda port: peers.client(
            'echoscu', '-v', '-aet', 'ECHOSCU', '-aec', 'PACS', *more,
            '127.0.0.1', port), more)


@needs('wlmscpfs')
def test_a_query_is_cancelled_in_mid_stream(both, ris, pki):
    """How many answers come before the cancel is seen is the peer's affair:
    that it ends with FE00 before the last one is what must be the same."""
    b = both(ris.tls_port, relayed.config(pki, ris.tls_port, ris.tls_port))
    for tap in (b.direct, b.through):
        for again in range(5):
            out = findscu(tap.port, '-W', 'RIS', KEYS, '--cancel', '3')
            t, = tap.take()
            if t.statuses()[-1] != 0:
                break  # else it was done before the cancel came
        assert 4 <= len(t.messages()) < LISTED, len(t.messages())
        assert t.statuses()[-1] == dicom.CANCELLED, t.statuses()[-3:]
        assert 'Cancel' in out


@pytest.fixture
def scripted(tls):
    """A RIS that is told what to answer."""
    r = Responder(tls=tls.server())
    yield r
    r.stop()


def found(n, size=0):
    return [dicom.encode([(0x10, 0x10, 'PN', 'Found^%d' % i),
                          (0x10, 0x4000, 'LT', 'x' * size)], IVLE)
            for i in range(n)]


@pytest.mark.tsan
def test_cancel_reaches_the_peer_between_two_answers(both, scripted, pki):
    scripted.matches, scripted.hold = found(2000), 700
    b = both(scripted.port, relayed.config(pki, scripted.port, scripted.port))

    def play(port):
        a = dicom.Association(port, [(1, WORKLIST, [IVLE])], called='RIS')
        answers = a.find(1, b'', cancel_after=700)
        assert [s for s, _ in answers] == [dicom.PENDING] * 700 + \
            [dicom.CANCELLED]
        # and the association is good for more
        scripted.hold = None
        assert len(a.find(1, b'')) == 2001
        scripted.hold = 700
        a.release()
    b.compare(play)
    assert len(scripted.fields(CANCEL)) == 2


def test_long_answers_pass_with_any_fragment_size(both, scripted, pki):
    scripted.matches = found(3, 100000)
    c = relayed.config(pki, scripted.port, scripted.port)
    b = both(scripted.port, c)
    for mine, theirs in ((4096, 131072), (131072, 4096), (16384, 16384),
                         (1 << 20, 1 << 20)):
        scripted.max_pdu = theirs

        def play(port):
            a = dicom.Association(port, [(1, STUDY_FIND, [IVLE])],
                                  called='PACS', max_pdu=mine)
            assert a.peer_max <= theirs
            query = dicom.encode([(0x10, 0x4000, 'LT', 'q' * 50000)], IVLE)
            answers = a.find(1, query)
            assert [d for _, d in answers[:-1]] == scripted.matches
            a.release()
        b.compare(play, (mine, theirs))


def test_fragments_never_exceed_what_a_peer_takes(both, scripted, pki):
    """The smallest maximum length of both legs holds, in both directions."""
    scripted.matches, scripted.max_pdu = found(3, 50000), 5000
    seen = []

    class Measuring(dicom.Link):
        def read_pdu(self):
            kind, body = super().read_pdu()
            seen.append(len(body))
            return kind, body
    scripted.link = Measuring
    b = both(scripted.port, relayed.config(pki, scripted.port, scripted.port))
    a = dicom.Association(b.through.port, [(1, STUDY_FIND, [IVLE])],
                          called='PACS', max_pdu=4096)
    query = dicom.encode([(0x10, 0x4000, 'LT', 'q' * 50000)], IVLE)
    assert [d for _, d in a.find(1, query)[:-1]] == scripted.matches
    a.release()
    t, = b.through.take()
    assert max(len(body) for kind, body in peers.pdus(t.raw[1])
               if kind == 4) <= 4096
    assert max(seen[1:]) <= 5000
    assert scripted.fields(FIND)[0][3] == query


def test_retired_and_private_classes_are_relayed(both, scripted, pki):
    """Patient/study only queries, a class that only 'other' names, and a
    private class, which is storage."""
    scripted.matches = found(4)
    c = relayed.config(pki, scripted.port, scripted.port, routes=[
        {'service': ['storage', 'other'], 'relay': 'pacs'}], device={
            'services': relayed.ALL + ['other']})
    b = both(scripted.port, c)

    def play(port):
        a = dicom.Association(port, [
            (1, PSONLY_FIND, [IVLE]), (3, UPS_PULL, [IVLE]),
            (5, PRIVATE, [IVLE, PRIVATE + '.7'])], called='PACS')
        assert a.results == {1: 0, 3: 0, 5: 0}
        assert len(a.find(1, b'')) == 5
        assert a.store(5, '1.2.3.4', b'whatever it may be') == 0
        assert len(a.find(3, b'')) == 5
        a.release()
    b.compare(play)
    assert [d for _, _, d, _ in scripted.stored] == [b'whatever it may be'] * 2


@pytest.mark.tsan
def test_negotiation_is_carried_both_ways(both, scripted, pki):
    """Roles, extended and common extended negotiation, the user's identity
    and the window reach the peer; its answers reach the device."""
    asked = []

    def user(proposed):
        asked.append(sorted((k, v) for k, v in proposed
                            if k in (0x53, 0x54, 0x56, 0x57, 0x58)))
        return dicom.role(dicom.CT, 1, 1) + \
            dicom.extended(STUDY_FIND, b'\1\0\1') + \
            dicom.item(0x59, struct.pack('>H', 6) + b'ticket')
    scripted.user = user
    # all of it with one peer: storage goes nowhere else
    c = relayed.config(pki, scripted.port, scripted.port, routes=[
        {'service': 'storage', 'relay': 'pacs'}])
    b = both(scripted.port, c)
    extra = dicom.window(1, 1) + dicom.role(dicom.CT, 1, 1) + \
        dicom.extended(STUDY_FIND, b'\1\1\1\1') + \
        dicom.common_extended(dicom.CT, dicom.PREFIX + '4.2',
                              [dicom.SC]) + \
        dicom.user_identity(b'radiographer', b'secret', kind=2)

    def play(port):
        a = dicom.Association(port, [
            (1, STUDY_FIND, [EVLE, IVLE]), (3, dicom.CT, [EVLE]),
            (5, VERIFICATION, [IVLE])], called='PACS', extra=extra)
        assert a.echo(5) == 0
        a.release()
    t, _ = b.compare(play)
    granted = t[0].server[0]
    assert [k for k, _ in granted['user']] == [0x54, 0x56, 0x59]
    # asynchronous operations may be answered by the relay itself
    through = [x for x in asked[-1] if x[0] != 0x53]
    assert through == [x for x in asked[0] if x[0] != 0x53]
    for path in b.edge.root.rglob('*'):  # its log among them
        if path.is_file():
            assert b'secret' not in path.read_bytes(), path
            assert b'radiographer' not in path.read_bytes(), path


def test_the_peer_s_refusals_are_the_device_s(both, scripted, pki):
    """Contexts are refused as the peer refuses them, with its reasons."""
    scripted.accept = lambda abstract, syntaxes, calling: \
        None if abstract == STUDY_FIND else syntaxes[-1]
    b = both(scripted.port, relayed.config(pki, scripted.port, scripted.port))

    def play(port):
        a = dicom.Association(port, [
            (1, STUDY_FIND, [EVLE, IVLE]), (3, VERIFICATION, [EVLE, IVLE]),
            (5, dicom.PATIENT_FIND, [EVLE, IVLE])], called='PACS')
        assert a.results == {1: 4, 3: 0, 5: 0}
        assert a.accepted == {3: IVLE, 5: IVLE}
        a.release()
    b.compare(play)


def test_titles_are_mapped_as_the_destination_says(daemons, scripted, pki):
    c = relayed.config(pki, scripted.port, scripted.port)
    c['destinations']['ris'].update(ae_title='HOSPITALRIS',
                                    calling_ae_title='GATEWAY')
    edge = daemons(c)
    a = dicom.Association(edge.port(), [(1, WORKLIST, [IVLE])], calling='CT')
    assert a.find(1, b'') == [(0, None)]
    a.release()
    assert scripted.callers == [('GATEWAY', 'HOSPITALRIS')]


@pytest.mark.tsan
def test_what_was_asked_is_on_record_without_what_identifies(daemons,
                                                             scripted, pki):
    scripted.matches = found(30)
    edge = daemons(relayed.config(pki, scripted.port, scripted.port))
    a = dicom.Association(edge.port(), [(1, WORKLIST, [IVLE])], called='RIS')
    query = dicom.encode([(0x10, 0x10, 'PN', 'Secret^Person')], IVLE)
    assert len(a.find(1, query)) == 31
    a.release()
    row, = until('the operation', lambda: edge.sql(
        'SELECT command, sop_class, status, responses FROM operations'))
    assert row == (FIND, WORKLIST, 0, 30)
    for path in edge.root.rglob('*'):
        if path.is_file():
            assert b'Secret^Person' not in path.read_bytes(), path
    assert 'C-FIND' in edge.cli('association', 'show', edge.sql(
        "SELECT id FROM associations WHERE calling_ae = 'SCU'")[0][0],
        check=True).stdout


def test_a_device_uses_only_its_services(daemons, scripted, pki):
    """A context for an undeclared service is refused; a message that the
    context's service does not have is answered 0124, and neither is passed
    on."""
    scripted.matches = found(2)
    c = relayed.config(pki, scripted.port, scripted.port, device={
        'services': ['worklist', 'verification']})
    edge = daemons(c)
    a = dicom.Association(edge.port(), [
        (1, WORKLIST, [IVLE]), (3, STUDY_FIND, [IVLE]),
        (5, VERIFICATION, [IVLE])], called='RIS')
    assert a.results[1] == 0 and a.results[5] == 0 and a.results[3] != 0
    a.request(1, 0x01, b'', c0700=dicom.u16(0), c1000=b'1.2.3')
    _, answer, _ = a.message()
    assert dicom.number(answer[0x100]) == 0x8001
    assert dicom.number(answer[0x900]) == 0x124
    assert a.n_create(1, '1.2.3', b'') == 0x124
    assert len(a.find(1, b'')) == 3
    a.release()
    assert [f for f, *_ in scripted.fields()] == [FIND]


def test_the_smallest_window_and_length_of_all_legs_hold(daemons, scripted,
                                                         tls, pki):
    """0 is no limit, and absent is one."""
    other = Responder(tls=tls.server())
    try:
        edge = daemons(relayed.config(pki, scripted.port, other.port))
        for asked, ris, pacs, got in (
                ((5, 5), (3, 2), (4, 1), (3, 1)),
                ((0, 0), (3, 0), (0, 2), (3, 2)),
                ((0, 0), (0, 0), (0, 0), (0, 0)),
                ((5, 5), None, (4, 4), (1, 1)),
                (None, (4, 4), (4, 4), (1, 1))):
            for peer, w in ((scripted, ris), (other, pacs)):
                peer.user = lambda proposed, w=w: \
                    dicom.window(*w) if w else b''
            scripted.max_pdu, other.max_pdu = 9000, 40000
            a = dicom.Association(
                edge.port(), [(1, WORKLIST, [IVLE]), (3, STUDY_FIND, [IVLE])],
                extra=dicom.window(*asked) if asked else b'')
            there = [struct.unpack('>HH', v) for k, v in a.user if k == 0x53]
            assert there == [got] or (not there and got == (1, 1)), (
                asked, ris, pacs, there)
            assert 0 < a.peer_max <= 9000
            assert a.find(1, b'') == a.find(3, b'') == [(0, None)]
            a.release()
    finally:
        other.stop()
