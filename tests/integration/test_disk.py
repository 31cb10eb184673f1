"""Disks that fill up, refuse, rot: A700 or a clear alert, never a loss."""
import os
import pathlib
import random
import shutil
import subprocess

import pytest

import dicom
from culvert import run, until
from dicom import CT, EVLE
from test_store import check_all, instances

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason='needs root')


@pytest.fixture
def small_disk(tmp_path):
    d = tmp_path / 'small'
    d.mkdir()
    p = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=24m', 'tmpfs',
                        str(d)], capture_output=True, text=True)
    if p.returncode != 0:
        pytest.skip('cannot mount: ' + p.stderr)
    yield d
    subprocess.run(['umount', '-l', str(d)], check=True)


def fill(edge, size, most):
    """Send until one is refused; returns (acknowledged, refusal status)."""
    acked = []
    a = dicom.Association(edge.port(), [(1, CT, [EVLE])])
    try:
        for i in range(most):
            iuid = '1.2.3.400.%d.%d' % (edge.starts, len(acked))
            data = dicom.data_set(iuid, size=size)
            status = a.store(1, iuid, data)
            if status != 0:
                return acked, status
            acked.append((iuid, data))
        return acked, 0
    finally:
        a.release()


def test_quota_answers_a700_and_goes_on(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(port, spool={
        'path': 'spool', 'quota': '32MiB', 'segment': '4MiB'}))
    acked, status = fill(edge, 1 << 20, 60)
    assert status == 0xa700 and len(acked) > 5
    assert edge.status()['spool']['full']
    edge.wait_log('store-refused')
    edge.wait_log('spool-alert')
    scp = scps(tls=tls.server(), port=port)
    edge.wait_deliveries('delivered', len(acked))
    check_all(scp, acked)
    until('room again', lambda: not edge.status()['spool']['full'])
    more = instances(3, size=1 << 20)
    assert dicom.send(edge.port(), more) == [0] * 3
    edge.wait_deliveries('delivered', len(acked) + 3)
    check_all(scp, more)


@ROOT
def test_full_disk_answers_a700_and_goes_on(daemons, scps, tls, edge_config,
                                            small_disk):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(
        port, spool={'path': str(small_disk / 'spool'), 'quota': '512MiB',
                     'segment': '4MiB'}))
    acked, status = fill(edge, 1 << 20, 60)
    assert status == 0xa700 and acked
    assert edge.alive()
    scp = scps(tls=tls.server(), port=port)
    edge.wait_deliveries('delivered', len(acked))
    check_all(scp, acked)
    until('taken again', lambda: fill(edge, 1000, 1)[1] == 0)


@ROOT
def test_full_disk_under_the_ledger(daemons, scps, tls, edge_config,
                                    small_disk):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(
        scp.port, records={'path': str(small_disk / 'records')}))
    first = instances(5)
    assert dicom.send(edge.port(), first) == [0] * 5
    until('first', lambda: len(scp.stored) == 5)
    ballast = os.open(small_disk / 'ballast', os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(ballast, b'\0' * 65536)
    except OSError:
        pass
    finally:
        os.close(ballast)
    # acknowledgements do not wait for the ledger
    second = instances(40, size=40000, prefix='1.2.3.500')
    assert dicom.send(edge.port(), second) == [0] * 40
    assert edge.alive()
    (small_disk / 'ballast').unlink()
    until('all delivered', lambda: set(scp.uids()) >=
          {u for u, _ in first + second}, 90)
    check_all(scp, first + second)


def test_flipped_bits_are_named_and_the_rest_goes_on(daemons, scps, tls,
                                                     edge_config):
    rng = random.Random(5)
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(port))
    sent = instances(40, size=60000)
    assert dicom.send(edge.port(), sent) == [0] * 40
    edge.wait_deliveries('queued', 40)
    edge.kill()
    flipped = 0
    for f in sorted(edge.root.glob('spool/*.spool')):
        size = f.stat().st_size
        with open(f, 'r+b') as s:
            content = s.read()
            used = len(content.rstrip(b'\0'))
            for _ in range(4):
                if used <= 4096:
                    break
                at = rng.randrange(4096, used)
                s.seek(at)
                s.write(bytes([content[at] ^ 1 << rng.randrange(8)]))
                flipped += 1
    assert flipped
    scp = scps(tls=tls.server(), port=port)
    edge.start()

    def settled():
        d = edge.deliveries()
        return d.get('delivered', 0) + d.get('quarantined', 0) >= 40
    until('settled', settled, 60)
    d = edge.deliveries()
    assert d['delivered'] >= 40 - flipped
    got = {(u, h) for u, _, h, _ in scp.stored}
    good = set()
    import hashlib
    for iuid, data in sent:
        good.add((iuid, hashlib.sha256(data).hexdigest()))
    assert got <= good  # nothing damaged ever left
    if d.get('quarantined'):
        assert 'quarantined' in edge.cli(
            'queue', 'list', '--state', 'quarantined', check=True).stdout
    edge.stop()
    p = edge.cli('spool', 'check')
    assert 'damaged' in p.stdout


def test_directories_and_permissions_are_named(daemons, scps, tls, edge_config,
                                               tmp_path):
    scp = scps(tls=tls.server())
    for spool, words in (('/nonexistent/a/b', 'mounted'),
                         (str(tmp_path / 'file'), 'not a directory')):
        (tmp_path / 'file').write_text('x')
        edge = daemons(edge_config(scp.port, spool={'path': spool}),
                       start=False)
        p = run('serve', '-c', edge.path)
        assert p.returncode != 0
        assert 'spool.path' in p.stderr and words in p.stderr
        p = run('check', '-c', edge.path)
        assert p.returncode != 0 and 'FAIL  spool.path' in p.stdout


SHIM = pathlib.Path('build/release/fault/shim_eio.so').resolve()


@pytest.mark.skipif(not SHIM.exists(), reason='make fault-build')
@pytest.mark.parametrize('what', ['write', 'flush', 'read'])
def test_eio_is_an_alert_not_a_loss(daemons, scps, tls, edge_config, tmp_path,
                                    what):
    scp = scps(tls=tls.server())
    order = tmp_path / 'order'
    env = {'LD_PRELOAD': str(SHIM), 'EIO_ORDER': str(order),
           'EIO_DIR': str(tmp_path / 'edge' / 'spool'),
           'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
           ':verify_asan_link_order=0'}
    edge = daemons(edge_config(scp.port), env=env)
    before = instances(5, size=30000)
    assert dicom.send(edge.port(), before) == [0] * 5
    edge.wait_deliveries('delivered', 5)
    order.write_text(what)
    during = instances(10, size=30000, prefix='1.2.3.600')
    statuses = dicom.send(edge.port(), during)
    assert edge.alive()
    if what == 'read':
        assert statuses == [0] * 10  # what is written is safe
    else:
        assert 0xa700 in statuses
        until('alert', lambda: edge.status()['spool']['alert'])
        edge.wait_log('spool-alert')
    order.unlink()
    until('taken again', lambda: fill(edge, 1000, 1)[1] == 0)
    acked = before + [d for d, s in zip(during, statuses) if s == 0]
    until('delivered', lambda: set(scp.uids()) >= {u for u, _ in acked}, 90)
    check_all(scp, acked)
