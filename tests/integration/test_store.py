"""The main job: plaintext C-STORE in, durable, out over mTLS, on record."""
import hashlib

import pytest

import dicom
from dicom import CT, EVLE, IVLE, VERIFICATION
from culvert import until


def instances(n, size=3000, prefix='1.2.3.100'):
    return [('%s.%d' % (prefix, i),
             dicom.data_set('%s.%d' % (prefix, i), size=size))
            for i in range(n)]


def check_all(scp, sent):
    """Each instance sent is at scp with its bytes."""
    got = {}
    for iuid, _, digest, _ in scp.stored:
        got.setdefault(iuid, set()).add(digest)
    for iuid, data in sent:
        assert got.get(iuid) == {hashlib.sha256(data).hexdigest()}, iuid


@pytest.mark.tsan
def test_instances_arrive_as_they_were_sent(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = instances(30)
    assert dicom.send(edge.port(), sent) == [0] * 30
    edge.wait_deliveries('delivered', 30)
    check_all(scp, sent)
    assert len(scp.stored) == 30
    assert ('SCU', 'ARCHIVE') in scp.callers


@pytest.mark.tsan
def test_large_objects_stream_through(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = [('1.2.3.9.%d' % i, dicom.data_set('1.2.3.9.%d' % i, size=size))
            for i, size in enumerate((1 << 20, (1 << 20) - 300, 5 << 20,
                                      (3 << 20) + 12346))]
    assert dicom.send(edge.port(), sent) == [0] * len(sent)
    edge.wait_deliveries('delivered', len(sent))
    check_all(scp, sent)


def test_an_empty_and_a_tiny_data_set_are_carried(daemons, scps, tls,
                                                  edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = [('1.2.3.8.1', b''), ('1.2.3.8.2', b'\x08\x00')]
    assert dicom.send(edge.port(), sent) == [0, 0]
    edge.wait_deliveries('delivered', 2)
    check_all(scp, sent)


def test_queue_survives_an_orderly_restart(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(port))
    sent = instances(20)
    assert dicom.send(edge.port(), sent) == [0] * 20
    edge.wait_deliveries('queued', 20)
    edge.stop()
    scp = scps(tls=tls.server(), port=port)
    edge.start()
    edge.wait_deliveries('delivered', 20)
    check_all(scp, sent)


def test_echo_is_answered_and_contexts_are_on_record(daemons, scps, tls,
                                                     edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    a = dicom.Association(edge.port(), [
        (1, VERIFICATION, [IVLE]), (3, CT, [EVLE, IVLE]),
        (5, dicom.PREFIX + '5.1.4.31', [IVLE])])
    assert a.echo(1) == 0
    assert a.results == {1: 0, 3: 0, 5: 1}
    a.release()
    rows = until('association row', lambda: edge.sql(
        "SELECT id FROM associations WHERE calling_ae = 'SCU'"))
    out = until('its end', lambda: (lambda t: t if 'released' in t else None)(
        edge.cli('association', 'show', rows[0][0], check=True).stdout))
    assert 'scanner' in out and 'plaintext' in out
    assert 'CT Image Storage' in out and 'not allowed' in out


def test_strangers_are_refused_with_reason_and_remedy(daemons, scps, tls,
                                                      edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    for calling, called, reason in (('NOBODY', 'CULVERT', (1, 1, 3)),
                                    ('SCU', 'ELSE', (1, 1, 7))):
        for _ in range(3):
            with pytest.raises(dicom.Rejected) as e:
                dicom.Association(edge.port(), [(1, CT, [EVLE])],
                                  calling=calling, called=called)
            assert e.value.args[0] == reason
    rows = until('refusals', lambda: (
        lambda r: r if len(r) == 2 and all(n == 3 for n, in r) else None)(
            edge.sql('SELECT count FROM refusals')))
    assert len(rows) == 2
    out = edge.cli('refused', check=True).stdout
    assert 'NOBODY' in out and 'remedy' in out
    assert edge.log().count(' refused ') == 2  # repeats are counted


def test_device_may_use_only_its_services(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    config = edge_config(scp.port)
    config['devices']['tester'] = {'ae_title': 'TESTER',
                                   'address': '127.0.0.1',
                                   'services': ['verification']}
    edge = daemons(config)
    a = dicom.Association(edge.port(), [(1, CT, [EVLE]),
                                        (3, VERIFICATION, [IVLE])],
                          calling='TESTER')
    assert a.results == {1: 1, 3: 0}
    a.release()


def test_a900_only_when_the_data_set_differs(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    a = dicom.Association(edge.port(), [(1, CT, [EVLE])])
    assert a.store(1, '1.2.3.1', dicom.data_set('1.2.3.2')) == 0xa900
    assert a.store(1, '1.2.3.1', dicom.data_set('1.2.3.1',
                                                sop=dicom.SC)) == 0xa900
    assert a.store(1, '1.2.3.1', b'\xff' * 512) == 0
    assert a.store(1, '1.2.3.3', dicom.data_set('1.2.3.3') + b'\x10\0') == 0
    a.release()
    edge.wait_deliveries('delivered', 2)
    assert sorted(scp.uids()) == ['1.2.3.1', '1.2.3.3']


def test_priority_and_move_originator_are_preserved(daemons, scps, tls,
                                                    edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    a = dicom.Association(edge.port(), [(1, CT, [EVLE])])
    assert a.store(1, '1.2.3.1', dicom.data_set('1.2.3.1'), priority=1,
                   extra={0x1030: b'MOVER', 0x1031: dicom.u16(77)}) == 0
    a.release()
    edge.wait_deliveries('delivered', 1)
    rq = scp.commands[0]
    assert rq[0x700] == dicom.u16(1)
    assert rq[0x1030].strip() == b'MOVER' and rq[0x1031] == dicom.u16(77)


def test_two_destinations_are_independent(daemons, scps, tls, edge_config):
    good, bad = scps(tls=tls.server()), scps(tls=tls.server())
    config = edge_config(good.port)
    other = edge_config(bad.port)['destinations']['archive']
    config['destinations']['second'] = other
    config['routes'][0]['forward'] = ['archive', 'second']
    bad_port = bad.port
    bad.stop()
    edge = daemons(config)
    sent = instances(10)
    assert dicom.send(edge.port(), sent) == [0] * 10
    edge.wait_deliveries('delivered', 10)
    check_all(good, sent)
    again = scps(tls=tls.server(), port=bad_port)
    edge.wait_deliveries('delivered', 20)
    check_all(again, sent)


def test_files_of_a_directory_destination(daemons, tmp_path):
    archive = tmp_path / 'files'
    archive.mkdir()
    edge = daemons({
        'listeners': {'modalities': {}},
        'devices': {'scanner': {'ae_title': 'SCU', 'address': '127.0.0.1'}},
        'destinations': {'files': {'protocol': 'directory',
                                   'path': str(archive)}},
        'routes': [{'service': 'storage', 'forward': ['files']}]})
    sent = instances(5)
    evil = dicom.data_set('1.2.3.50', study='../../etc', series='a/b')
    assert dicom.send(edge.port(), sent + [('1.2.3.50', evil)]) == [0] * 6
    edge.wait_deliveries('delivered', 6)
    files = sorted(archive.rglob('*.dcm'))
    assert len(files) == 6
    by_uid = {}
    for f in files:
        meta, data = dicom.split_part10(f.read_bytes())
        by_uid[meta[3]] = data
        for part in f.relative_to(archive).parts:
            assert set(part.removesuffix('.dcm')) <= set('0123456789.'), f
    assert by_uid == dict(sent + [('1.2.3.50', evil)])
    out = edge.cli('queue', 'list', '--state', 'all', check=True).stdout
    assert out.count('delivered') == 6
