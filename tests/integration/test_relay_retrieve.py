"""Images retrieved through Culvert: C-MOVE, whose images come back through
the TLS listener, and C-GET, whose images come on the same association."""
import pathlib
import ssl

import pytest

import dicom
import peers
import relayed
from conftest import needs
from culvert import free_port, until
from dicom import CT, EVLE, IVLE, STUDY_GET, STUDY_MOVE
from peers import assert_same
from responder import CANCEL, Responder

STUDY = '1.2.826.0.1.3680043.10.1599.5.%d'


class Archive:
    """Orthanc, whose C-MOVE to the device goes where the gate leads: straight
    to the device (through stunnel), or to Culvert's listener for it."""

    def __init__(self, root, pki):
        self.gate = peers.Tap(record=False)
        self.orthanc = peers.Orthanc(root, pki, {
            aet: self.gate.port for aet in ('MOVESCU', 'CT', 'GDCMSCU')})
        self.port = self.orthanc.port
        self.files = {}
        for n, count, size in ((1, 5, 20000), (2, 3, 900000), (3, 40, 1000)):
            for iuid, file in peers.study(n, count, size):
                self.orthanc.upload(file)
                self.files.setdefault(n, {})[iuid] = \
                    dicom.split_part10(file)[1]

    def stop(self):
        self.orthanc.stop()
        self.gate.stop()


@pytest.fixture(scope='module')
def archive(tmp_path_factory, pki):
    a = Archive(tmp_path_factory.mktemp('archive'), pki)
    yield a
    a.stop()


BACK = [{'service': 'storage', 'listener': ['back'], 'relay': '@ct'}]


def there(directory):
    """{SOP instance UID: data set} of the files in a directory."""
    out = {}
    for p in pathlib.Path(directory).iterdir():
        meta, data = dicom.split_part10(p.read_bytes())
        out[meta[3]] = data
    return out


def movescu(port, mine, study, directory, *more):
    directory.mkdir(exist_ok=True)
    return peers.client(
        'movescu', '-v', '-S', '-aet', 'MOVESCU', '-aec', 'PACS', '-aem',
        'MOVESCU', '+P', mine, '+B', *more, '-k', 'QueryRetrieveLevel=STUDY',
        '-k', 'StudyInstanceUID=' + STUDY % study, '127.0.0.1', port,
        cwd=directory)


@needs('Orthanc')
def test_moved_images_come_back_to_the_device_as_directly(both, archive, pki,
                                                          tmp_path):
    """Both associations, the device's and the archive's, are the same ones
    message by message, and so are the files."""
    mine = free_port()
    home = {True: peers.Tap(mine), False: peers.Tap(mine)}
    c = relayed.config(pki, archive.port, archive.port, back='PACS',
                       routes=BACK, device={'port': home[False].port})
    b = both(archive.port, c)
    straight = peers.stunnel(tmp_path, pki, 'straight', home[True].port)
    try:
        for study in (1, 2, 3):
            arrived, asked = {}, {}
            for direct in (True, False):
                archive.gate.to = straight.port if direct else \
                    b.edge.port('back')
                tap = b.direct if direct else b.through
                directory = tmp_path / ('%d%s' % (study, direct))
                movescu(tap.port, mine, study, directory)
                asked[direct], = tap.take()
                arrived[direct] = home[direct].take()
                assert there(directory).keys() == archive.files[study].keys()
                assert asked[direct].statuses()[-1] == 0
            assert there(tmp_path / ('%dTrue' % study)) == \
                there(tmp_path / ('%dFalse' % study))
            assert_same(asked[True], asked[False], 'asked')
            assert len(arrived[True]) == len(arrived[False])
            for x, y in zip(arrived[True], arrived[False]):
                assert_same(x, y, 'arrived')
                # the archive speaks to the device under the titles it knows
                assert y.raw[0][10:42] == b'MOVESCU'.ljust(16) + \
                    b'PACS'.ljust(16)
    finally:
        straight.stop()
        for t in home.values():
            t.stop()


@needs('Orthanc')
def test_moved_images_come_to_another_of_the_device_s_programs(
        both, archive, programs, pki, tmp_path):
    port = free_port()
    c = relayed.config(pki, archive.port, archive.port, back='PACS',
                       routes=BACK, device={'port': port})
    b = both(archive.port, c)
    archive.gate.to = b.edge.port('back')
    (tmp_path / 'files').mkdir()
    p = programs('storescp', '-aet', 'CT', '+B', '-od', tmp_path / 'files',
                 port)
    peers.await_port(port, p)
    for _ in range(2):
        peers.client('movescu', '-S', '-aet', 'CT', '-aec', 'PACS', '-aem',
                     'CT', '-k', 'QueryRetrieveLevel=STUDY', '-k',
                     'StudyInstanceUID=' + STUDY % 1, '127.0.0.1',
                     b.edge.port())
    assert there(tmp_path / 'files').keys() == archive.files[1].keys()


@needs('Orthanc')
def test_gotten_images_are_what_a_direct_connection_gives(both, archive, pki,
                                                          tmp_path):
    b = both(archive.port, relayed.config(pki, archive.port, archive.port))
    for study in (1, 2, 3):
        made = []

        def play(port):
            made.append(tmp_path / ('%d-%d' % (study, len(made))))
            made[-1].mkdir()
            peers.client(
                'getscu', '-v', '-S', '-aet', 'GETSCU', '-aec', 'PACS', '+B',
                '-od', made[-1], '-k', 'QueryRetrieveLevel=STUDY', '-k',
                'StudyInstanceUID=' + STUDY % study, '127.0.0.1', port)
        t, _ = b.compare(play, study)
        assert there(made[0]) == there(made[1])
        assert there(made[1]).keys() == archive.files[study].keys()
        # each context came back with the role that was asked for
        roles = [v for k, v in t[0].server[0]['user'] if k == 0x54]
        assert len(roles) > 50 and all(v[-1] == 1 for v in roles)


@pytest.fixture
def scripted(tls):
    r = Responder(tls=tls.server())
    yield r
    r.stop()


def test_a_retrieval_is_cancelled(both, scripted, pki):
    scripted.instances = [(CT, '1.2.3.%d' % i, dicom.data_set(
        '1.2.3.%d' % i, size=100000)) for i in range(6)]
    b = both(scripted.port, relayed.config(pki, scripted.port, scripted.port))

    def play(port):
        a = dicom.Association(
            port, [(1, STUDY_GET, [IVLE]), (3, CT, [EVLE]),
                   (5, STUDY_MOVE, [IVLE])], called='PACS',
            extra=dicom.role(CT, 0, 1))
        scripted.hold = 3
        answers = a.get(1, b'', cancel_after=3)
        assert [s for s, _ in answers] == [dicom.PENDING] * 3 + \
            [dicom.CANCELLED]
        assert a.got == [(i, d) for _, i, d in scripted.instances[:3]]
        scripted.hold = 2
        answers = a.move(5, b'', 'CT', cancel_after=2)
        assert answers[-1][0] == dicom.CANCELLED and len(answers) == 3
        scripted.hold = None
        assert len(a.get(1, b'')) == 6 and len(a.got) == 6
        a.release()
    b.compare(play)
    assert len(scripted.fields(CANCEL)) == 4


@pytest.mark.tsan
def test_a_device_gets_and_sends_on_one_association(daemons, scps, scripted,
                                                    tls, pki):
    """C-STORE from the device is spooled, C-STORE from the archive relayed,
    side by side in contexts of one class."""
    store = scps(tls=tls.server(), keep=True)
    scripted.instances = [(CT, '1.2.3.%d' % i, dicom.data_set(
        '1.2.3.%d' % i, size=50000)) for i in range(4)]
    edge = daemons(relayed.config(pki, scripted.port, scripted.port,
                                  archive=store.port))
    # roles are a class's affair, not a context's: both ways for this one
    a = dicom.Association(edge.port(), [
        (1, STUDY_GET, [IVLE]), (3, CT, [EVLE])], called='PACS',
        extra=dicom.role(CT, 1, 1))
    assert a.results == {1: 0, 3: 0}
    for n in range(5):
        iuid = '1.2.4.%d' % n
        data = dicom.data_set(iuid, size=3000)
        assert a.store(3, iuid, data) == 0
        assert a.get(1, b'')[-1][0] == 0
        assert a.got == [(i, d) for _, i, d in scripted.instances]
    a.release()
    edge.wait_deliveries('delivered', 5)
    assert store.data == {'1.2.4.%d' % n: dicom.data_set(
        '1.2.4.%d' % n, size=3000) for n in range(5)}


# ---- the way back ------------------------------------------------------------

@pytest.fixture
def device(scps):
    """A plaintext device that listens."""
    return scps(keep=True)


@pytest.fixture
def back(daemons, scripted, device, pki):
    def make(routes=BACK, **more):
        c = relayed.config(pki, scripted.port, scripted.port, back='PACS',
                           routes=routes, device={'port': device.port},
                           **more)
        return daemons(c)
    return make


def test_an_archive_reaches_the_plaintext_device(back, device, tls):
    edge = back()
    big = dicom.data_set('1.2.3.2', size=3 << 20)
    a = dicom.Association(edge.port('back'), [
        (1, CT, [EVLE]), (3, dicom.VERIFICATION, [IVLE])], calling='PACS',
        called='CT', tls=tls.client('archive'))
    assert a.store(1, '1.2.3.1', dicom.data_set('1.2.3.1')) == 0
    assert a.store(1, '1.2.3.2', big) == 0
    device.status = lambda iuid: 0xa700
    assert a.store(1, '1.2.3.3', dicom.data_set('1.2.3.3')) == 0xa700
    a.release()
    assert device.uids() == ['1.2.3.1', '1.2.3.2']
    assert device.data['1.2.3.2'] == big
    assert device.callers == [('PACS', 'CT')]


def test_a_device_that_is_away_is_said_to_be(back, device, tls):
    edge = back()
    device.stop()
    try:
        a = dicom.Association(edge.port('back'), [(1, CT, [EVLE])],
                              calling='PACS', called='CT',
                              tls=tls.client('archive'))
    except dicom.Rejected as e:
        assert e.args[0][0] == 2  # transient
    else:
        assert a.results[1] != 0
        a.release()


@pytest.mark.tsan
def test_forward_keeps_what_the_device_cannot_take_now(back, device, scps,
                                                       tls):
    """Store and forward in the other direction, under the titles used."""
    port = device.port
    device.stop()
    edge = back(routes=[{'service': 'storage', 'listener': ['back'],
                         'forward': ['@ct']}])
    sent = {'1.2.3.%d' % i: dicom.data_set('1.2.3.%d' % i, size=5000)
            for i in range(10)}
    assert dicom.send(edge.port('back'), sent.items(), calling='PACS',
                      called='CT', tls=tls.client('archive')) == [0] * 10
    again = scps(port=port, keep=True)
    edge.wait_deliveries('delivered', 10)
    assert again.data == sent
    assert set(again.callers) == {('PACS', 'CT')}


def test_called_titles_choose_the_device(daemons, scripted, scps, tls, pki):
    """One route for all devices: each is reached by its own title."""
    one, two = scps(), scps()
    c = relayed.config(
        pki, scripted.port, scripted.port, back='PACS',
        device={'port': one.port, 'ae_title': ['CT']},
        routes=[{'service': 'storage', 'listener': ['back'],
                 'relay': '@called'}])
    c['devices']['mr'] = {'ae_title': ['MR'], 'address': '127.0.0.1',
                          'port': two.port, 'listeners': ['modalities']}
    c['listeners']['back']['ae_titles'] = ['CT', 'MR']
    edge = daemons(c)
    for called, scp in (('CT', one), ('MR', two)):
        a = dicom.Association(edge.port('back'), [(1, CT, [EVLE])],
                              calling='PACS', called=called,
                              tls=tls.client('archive'))
        assert a.store(1, '1.2.3.' + str(scp.port), b'') == 0
        a.release()
        assert scp.uids() == ['1.2.3.' + str(scp.port)]
        assert scp.callers == [('PACS', called)]


def test_only_the_declared_peer_comes_in_from_outside(back, tls, pki):
    edge = back()
    port = edge.port('back')
    contexts = [(1, CT, [EVLE])]

    def refused(e, **kw):
        with pytest.raises(e) as got:
            dicom.Association(port, contexts, **dict(
                {'calling': 'PACS', 'called': 'CT',
                 'tls': tls.client('archive')}, **kw))
        return got.value.args[0]
    # no certificate, one of another authority, plaintext
    gone = (dicom.Gone, ssl.SSLError, OSError, dicom.Aborted)
    refused(gone, tls=tls.client(None))
    refused(gone, tls=tls.client('archive', pki.parent / 'other'))
    refused(gone, tls=None)
    # a good certificate of somebody else; its AE titles are bound to it
    assert refused(dicom.Rejected, tls=tls.client('elsewhere')) == (1, 1, 3)
    assert refused(dicom.Rejected, tls=tls.client('edge')) == (1, 1, 3)
    assert refused(dicom.Rejected, calling='OTHER') == (1, 1, 3)
    assert refused(dicom.Rejected, called='NOBODY') == (1, 1, 7)
    # the device itself does not come in this way, nor the archive by the other
    assert refused(dicom.Rejected, calling='CT') == (1, 1, 3)
    with pytest.raises(dicom.Rejected):
        dicom.Association(edge.port(), contexts, calling='PACS',
                          called='PACS')
    a = dicom.Association(port, contexts, calling='PACS', called='CT',
                          tls=tls.client('archive'))
    a.release()
    out = until('refusals', lambda: (
        lambda t: t if 'elsewhere' in t or 'certificate' in t else None)(
            edge.cli('refused', check=True).stdout))
    assert 'remedy' in out
