"""What goes wrong at the archive: each with its own message, nothing lost,
and everything drains by itself once the cause is gone."""
import shutil
import ssl
import subprocess
import warnings

import pytest

import dicom
from culvert import run, until
from dicom import CT, EVLE
from test_store import check_all, instances

J2K = dicom.PREFIX + '1.2.4.90'


def start_with_queue(daemons, config, n=5):
    edge = daemons(config)
    sent = instances(n)
    assert dicom.send(edge.port(), sent) == [0] * n
    edge.wait_deliveries('queued', n)
    return edge, sent


def error_of(edge, *words):
    """The destination's last error, once it holds all the words."""
    def look():
        d = edge.status()['destinations'][0]
        text = (d['error'] + ' ' + d['held_why']).lower()
        return text if all(w.lower() in text for w in words) else None
    try:
        return until('error with %r' % (words,), look, 20)
    except AssertionError:
        raise AssertionError('%r not in %r' % (
            words, edge.status()['destinations'][0]))


def repair(edge, scps, tls, scp, sent):
    """Put a good archive in the bad one's place: the queue drains."""
    port = scp.port
    scp.stop()
    good = scps(tls=tls.server(), port=port)
    edge.wait_deliveries('delivered', len(sent))
    check_all(good, sent)


def test_wrong_ca(daemons, scps, tls, pki, edge_config):
    other = pki.parent / 'other'
    scp = scps(tls=tls.server(where=other, ca=pki / 'ca.pem'))
    edge, sent = start_with_queue(daemons, edge_config(scp.port))
    error_of(edge, 'Other CA', 'ca.pem')
    repair(edge, scps, tls, scp, sent)


def test_expired_certificate(daemons, scps, tls, pki, edge_config, tmp_path):
    if not (pki / 'stale.pem').exists():
        run('pki', 'issue', pki, 'stale', '--san', 'DNS:archive.example',
            '--not-after', '2020-01-01', check=True)
    scp = scps(tls=tls.server(name='stale'))
    edge, sent = start_with_queue(daemons, edge_config(scp.port))
    error_of(edge, 'expired', '2020')
    repair(edge, scps, tls, scp, sent)


def test_wrong_host_name(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server(name='elsewhere'))
    edge, sent = start_with_queue(daemons, edge_config(scp.port))
    error_of(edge, 'archive.example', 'elsewhere.example')
    repair(edge, scps, tls, scp, sent)


def test_tls_1_1_only(daemons, scps, tls, edge_config):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        old = tls.server(minimum=ssl.TLSVersion.TLSv1,
                         maximum=ssl.TLSVersion.TLSv1_1,
                         ciphers='ALL:@SECLEVEL=0')
    scp = scps(tls=old)
    edge, sent = start_with_queue(daemons, edge_config(scp.port))
    error_of(edge, 'TLS 1.1 or older', 'TLS 1.2')
    repair(edge, scps, tls, scp, sent)


def test_plaintext_archive(daemons, scps, tls, edge_config):
    scp = scps()
    edge, sent = start_with_queue(daemons, edge_config(scp.port))
    error_of(edge, 'TLS')
    repair(edge, scps, tls, scp, sent)
    assert not scp.stored


def test_archive_wants_another_client_certificate(daemons, scps, tls, pki,
                                                  edge_config):
    scp = scps(tls=tls.server(ca=pki.parent / 'other' / 'ca.pem'))
    edge, sent = start_with_queue(daemons, edge_config(scp.port))
    error_of(edge, 'certificate')
    repair(edge, scps, tls, scp, sent)


def test_nobody_listens(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge, sent = start_with_queue(daemons, edge_config(port))
    error_of(edge, 'refused')
    good = scps(tls=tls.server(), port=port)
    edge.wait_deliveries('delivered', len(sent))
    check_all(good, sent)


def test_poison_instance_ends_in_quarantine_the_rest_arrives(
        daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    sent = instances(20)
    poison = sent[7][0]
    scp.crash = lambda iuid: iuid == poison
    edge = daemons(edge_config(scp.port))
    assert dicom.send(edge.port(), sent) == [0] * 20
    edge.wait_deliveries('delivered', 19, 90)
    edge.wait_deliveries('quarantined', 1, 90)
    check_all(scp, [s for s in sent if s[0] != poison])
    out = edge.cli('queue', 'list', '--state', 'quarantined',
                   check=True).stdout
    assert out.count('quarantined') >= 1
    # the archive is mended: an operator sends it again
    scp.crash = lambda iuid: False
    edge.cli('queue', 'retry', '--destination', 'archive', check=True)
    edge.wait_deliveries('delivered', 20)
    check_all(scp, sent)


def test_missing_codec_is_held_and_released_by_itself(daemons, scps, tls,
                                                      edge_config):
    scp = scps(tls=tls.server())
    codec = [False]
    scp.accept = lambda abstract, syntaxes, calling: next(
        (t for t in syntaxes if t != J2K or codec[0]), None)
    edge = daemons(edge_config(scp.port, destination={
        'accept': ['explicit-le', 'implicit-le', J2K]}))
    port = scp.port
    scp.stop()
    sent = instances(3)
    # taken while the archive is away, on the word of the configured list
    assert dicom.send(edge.port(), sent, ts=J2K) == [0] * 3
    scp = scps(tls=tls.server(), port=port)
    scp.accept = lambda abstract, syntaxes, calling: next(
        (t for t in syntaxes if t != J2K or codec[0]), None)
    plain = instances(3, prefix='1.2.3.200')
    assert dicom.send(edge.port(), plain) == [0] * 3
    edge.wait_deliveries('delivered', 3)
    check_all(scp, plain)
    until('held', lambda: edge.status()['destinations'][0]['held'] >= 3)
    error_of(edge, 'transfer syntax', 'codec')
    assert edge.deliveries().get('quarantined', 0) == 0
    codec[0] = True
    edge.wait_deliveries('delivered', 6)
    check_all(scp, sent)


def test_devices_get_only_what_the_archive_takes(daemons, scps, tls,
                                                 edge_config):
    scp = scps(tls=tls.server())
    scp.accept = lambda abstract, syntaxes, calling: next(
        (t for t in syntaxes if t == J2K), None)
    edge = daemons(edge_config(scp.port))

    def offered():
        a = dicom.Association(edge.port(), [(1, CT, [EVLE, J2K])])
        a.release()
        return a.accepted.get(1)
    offered()  # unknown so far: the configured list stands in
    until('probed', lambda: offered() == J2K)


def test_out_of_resources_is_retried_without_end(daemons, scps, tls,
                                                 edge_config):
    scp = scps(tls=tls.server())
    scp.status = lambda iuid: 0xa700
    edge, sent = start_with_queue(daemons, edge_config(scp.port), 3)
    error_of(edge, 'a700')
    scp.status = lambda iuid: 0
    edge.wait_deliveries('delivered', 3)
    check_all(scp, sent)


def test_rejection_holds_the_destination_not_the_images(daemons, scps, tls,
                                                        edge_config):
    scp = scps(tls=tls.server())
    scp.reject = (1, 1, 3)
    edge, sent = start_with_queue(daemons, edge_config(scp.port), 3)
    error_of(edge, 'calling AE')
    scp.reject = None
    edge.wait_deliveries('delivered', 3)
    check_all(scp, sent)


def test_warning_is_delivered_and_flagged(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    scp.status = lambda iuid: 0xb000
    edge = daemons(edge_config(scp.port))
    sent = instances(2)
    assert dicom.send(edge.port(), sent) == [0, 0]
    edge.wait_deliveries('delivered', 2)
    assert edge.sql('SELECT remote_status FROM deliveries') == \
        [(0xb000,)] * 2


def test_dcmtk_archive_over_tls(daemons, programs, pki, edge_config, tmp_path):
    from culvert import free_port
    if not shutil.which('storescp'):
        pytest.skip('dcmtk is not installed')
    out = tmp_path / 'out'
    out.mkdir()
    port = free_port()
    programs('storescp', '-aet', 'ARCHIVE', '+B', '-od', out, '+tls',
             pki / 'archive.key', pki / 'archive.pem', '+cf', pki / 'ca.pem',
             port)
    edge = daemons(edge_config(port))
    sent = instances(5)
    assert dicom.send(edge.port(), sent) == [0] * 5
    edge.wait_deliveries('delivered', 5)
    got = {}
    for f in out.iterdir():
        meta, data = dicom.split_part10(f.read_bytes())
        got[meta[3]] = data
    assert got == dict(sent)
    row = edge.sql("SELECT tls_version FROM associations "
                   "WHERE direction = 1 AND tls_version IS NOT NULL")
    assert row
