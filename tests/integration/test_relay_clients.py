"""Further clients, each of its own making, against real peers: gdcmscu,
dcmjs-dimse, and storescu with all its 128 presentation contexts."""
import pathlib

import pytest

import dcmjs
import dicom
import peers
import relayed
from conftest import needs
from responder import Responder
from test_relay_retrieve import BACK, Archive, STUDY


@pytest.fixture(scope='module')
def archive(tmp_path_factory, pki):
    a = Archive(tmp_path_factory.mktemp('archive'), pki)
    yield a
    a.stop()


@pytest.fixture(scope='module')
def ris(tmp_path_factory, pki):
    w = peers.Worklist(tmp_path_factory.mktemp('ris'), pki, 40)
    yield w
    w.stop()


@pytest.fixture
def pair(daemons, tmp_path, pki):
    """pair(edge, tls port): Both for a Culvert that runs already."""
    made = []

    def make(edge, tls_port):
        made.append(relayed.Both(tmp_path / ('both%d' % len(made)), pki,
                                 tls_port, edge.port('modalities')))
        made[-1].edge = edge
        return made[-1]
    yield make
    for b in made:
        b.stop()


def gdcmscu(port, called, *args):
    # Debian's throws when the peer closes after the release, whatever the
    # peer: what it said and heard is what counts.
    peers.client('gdcmscu', '127.0.0.1', port, '--aetitle', 'GDCMSCU',
                 '--call', called, *args, check=False)


@needs('gdcmscu')
def test_gdcm_asks_as_over_a_direct_connection(daemons, pair, archive, ris,
                                               pki):
    edge = daemons(relayed.config(pki, ris.tls_port, archive.port))
    pacs = pair(edge, archive.port)
    pacs.compare(lambda p: gdcmscu(p, 'PACS', '--echo'), 'echo')
    t, _ = pacs.compare(lambda p: gdcmscu(
        p, 'PACS', '--find', '--studyroot', '--study', '--key', '10,10=',
        '--key', '20,d=', '--key', '8,1030='), 'studies')
    assert sum(len(x.messages()) for x in t) == 4
    t, _ = pacs.compare(lambda p: gdcmscu(
        p, 'PACS', '--find', '--patientroot', '--patient', '--key',
        '10,20=ARC2'), 'patient')
    assert sum(len(x.messages()) for x in t) == 2


@needs('gdcmscu')
def test_gdcm_sends_live_and_spooled(daemons, pair, tls, pki, tmp_path):
    (iuid, file), = peers.study(6, 1, 200000)
    sent = tmp_path / 'sent.dcm'
    sent.write_bytes(file)
    r = Responder(tls=tls.server())
    try:
        edge = daemons(relayed.config(pki, r.port, r.port, routes=[
            {'service': 'storage', 'called': ['PACS'], 'relay': 'pacs'}]))
        b = pair(edge, r.port)
        b.compare(lambda p: gdcmscu(p, 'PACS', '--store', '-i', sent))
        assert [x[0] for x in r.stored] == [iuid] * 2
        gdcmscu(edge.port(), 'CULVERT', '--store', '-i', sent)
        edge.wait_deliveries('delivered', 1)
        assert r.stored[2][2] == r.stored[0][2]
    finally:
        r.stop()


def test_dcmjs_asks_as_over_a_direct_connection(daemons, pair, archive, ris,
                                                pki):
    edge = daemons(relayed.config(pki, ris.tls_port, archive.port))
    wl, pacs = pair(edge, ris.tls_port), pair(edge, archive.port)

    def worklist(port):
        out = dcmjs.scu(port, 'RIS', [
            {'op': 'find', 'level': 'worklist', 'keys': {
                'PatientName': '*', 'PatientID': '', 'AccessionNumber': '',
                'ScheduledProcedureStepSequence': [
                    {'Modality': 'MR', 'ScheduledProcedureStepID': ''}]}},
            {'op': 'find', 'level': 'worklist', 'keys': {
                'PatientName': 'Nobody', 'PatientID': ''}}])
        assert out.statuses(0) == ['ff00'] * 20 + ['0000'], out
        assert out.statuses(1) == ['0000']
    wl.compare(worklist, 'worklist')

    def archived(port):
        out = dcmjs.scu(port, 'PACS', [
            {'op': 'echo'},
            {'op': 'find', 'level': 'study', 'keys': {
                'PatientName': 'Arch*', 'StudyInstanceUID': '',
                'PatientID': ''}},
            {'op': 'find', 'level': 'image', 'keys': {
                'StudyInstanceUID': STUDY % 1, 'SOPInstanceUID': '',
                'SeriesInstanceUID': STUDY % 1 + '.1'}}])
        assert out.statuses(0) == ['0000']
        assert len(out.statuses(1)) == 4 and len(out.statuses(2)) == 6
    pacs.compare(archived, 'archive')


def test_dcmjs_speaks_all_services_on_one_association(
        daemons, archive, ris, scps, tls, pki, tmp_path):
    store = scps(tls=tls.server(), keep=True)
    edge = daemons(relayed.config(pki, ris.tls_port, archive.port,
                                  archive=store.port))
    sent = tmp_path / 'sent.dcm'
    (iuid, file), = peers.study(9, 1)
    sent.write_bytes(file)
    find = {'op': 'find', 'level': 'worklist', 'keys': {
        'PatientName': 'Patient0000*', 'PatientID': ''}}
    study = {'op': 'find', 'level': 'study', 'keys': {
        'PatientName': '', 'StudyInstanceUID': ''}}
    store_op = {'op': 'store', 'file': str(sent)}
    # the RIS is called by the archive's name: the listener has both
    out = dcmjs.scu(edge.port(), 'RIS', [
        find, {'op': 'echo'}, store_op, find, store_op, {'op': 'echo'}],
        check=False)
    # Orthanc insists on its own title: its contexts alone are refused
    accepted = dict(out.events('associationAccepted')[0]['contexts'])
    assert accepted[dicom.WORKLIST] == 0 and accepted[dicom.CT] == 0
    edge.stop()
    edge.config['destinations']['ris']['ae_title'] = 'RIS'
    edge.config['destinations']['pacs']['ae_title'] = 'PACS'
    edge.write()
    edge.start()
    out = dcmjs.scu(edge.port(), 'CULVERT', [
        find, {'op': 'echo'}, store_op, study, find, store_op,
        {'op': 'get', 'study': STUDY % 2}, {'op': 'echo'}])
    assert [out.statuses(i)[-1] for i in range(8)] == ['0000'] * 8, out
    assert len(out.statuses(0)) == 11 == len(out.statuses(4))
    assert len(out.statuses(3)) == 4
    edge.wait_deliveries('delivered', 2)
    assert set(store.uids()) == {iuid}


def test_dcmjs_retrieves_both_ways(daemons, pair, archive, ris, pki, scps):
    device = scps()
    edge = daemons(relayed.config(pki, ris.tls_port, archive.port,
                                  back='PACS', routes=BACK,
                                  device={'port': device.port}))
    archive.gate.to = edge.port('back')
    pacs = pair(edge, archive.port)
    out = dcmjs.scu(edge.port(), 'PACS', [
        {'op': 'move', 'to': 'CT', 'study': STUDY % 1}])
    assert out.statuses()[-1] == '0000' and out[-1 - [
        'status' in x for x in reversed(out)].index(True)]['completed'] == 5
    assert set(device.uids()) == set(archive.files[1])
    pacs.compare(lambda port: dcmjs.scu(port, 'PACS', [
        {'op': 'get', 'study': STUDY % 1}]), 'get')


@needs('storescu')
def test_storescu_with_all_its_contexts(daemons, pair, tls, pki, tmp_path):
    """128 contexts, relayed: as over a direct connection; forwarded: taken,
    delivered, with the same bytes."""
    r = Responder(tls=tls.server())
    files = []
    for iuid, file in peers.study(8, 6, 50000):
        files.append(tmp_path / (iuid + '.dcm'))
        files[-1].write_bytes(file)
    data = {dicom.split_part10(f.read_bytes())[1] for f in files}
    try:
        edge = daemons(relayed.config(pki, r.port, r.port, routes=[
            {'service': 'storage', 'called': ['PACS'], 'relay': 'pacs'}]))
        b = pair(edge, r.port)
        t, _ = b.compare(lambda port: peers.client(
            'storescu', '-v', '-aet', 'STORESCU', '-aec', 'PACS',
            '127.0.0.1', port, *files))
        assert len(t[0].server[0]['contexts']) == 128
        assert t[0].statuses() == [0] * 6
        assert [set(x[2] for x in r.stored[i:i + 6]) for i in (0, 6)] == \
            [data, data]
        peers.client('storescu', '-aet', 'STORESCU', '-aec', 'CULVERT',
                     '127.0.0.1', edge.port(), *files)
        edge.wait_deliveries('delivered', 6)
        assert set(x[2] for x in r.stored[12:]) == data
    finally:
        r.stop()


@needs('storescu')
@needs('Orthanc')
def test_storescu_through_the_relay_to_an_archive(daemons, pair, archive,
                                                  ris, pki, tmp_path):
    """Live storage: what the archive says is what the device hears."""
    files = []
    for iuid, file in peers.study(7, 4, 300000):
        files.append(tmp_path / (iuid + '.dcm'))
        files[-1].write_bytes(file)
    bad = pathlib.Path(tmp_path / 'bad.dcm')
    # a class that the archive takes with an instance that it cannot keep
    bad.write_bytes(peers.part10(dicom.encode(
        [(8, 0x16, 'UI', dicom.CT), (8, 0x18, 'UI', '1.2.3.9')]),
        dicom.CT, '1.2.3.9'))
    edge = daemons(relayed.config(pki, ris.tls_port, archive.port, routes=[
        {'service': 'storage', 'relay': 'pacs'}]))
    b = pair(edge, archive.port)
    b.compare(lambda port: peers.client(
        'storescu', '-v', '-nh', '-aet', 'STORESCU', '-aec', 'PACS',
        '127.0.0.1', port, *files, bad, check=False))
