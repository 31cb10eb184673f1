"""The ledger is only a copy of what the spool says: lose it, and it is back."""
import re
import sqlite3
import threading

import pytest

import dicom
from culvert import run, until
from test_store import check_all, instances


def test_deleted_under_load_it_is_rebuilt(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = instances(120, size=20000)
    statuses = []
    t = threading.Thread(target=lambda: statuses.extend(
        dicom.send(edge.port(), sent)))
    t.start()
    until('some delivered', lambda: edge.deliveries().get('delivered', 0) > 10)
    for f in (edge.root / 'records').glob('ledger.db*'):
        f.unlink()
    t.join(120)
    assert statuses == [0] * 120
    edge.wait_deliveries('delivered', 100, 90)
    until('all at the archive', lambda: set(scp.uids()) ==
          {u for u, _ in sent}, 90)
    check_all(scp, sent)
    # its recycled past may be gone, the open part is complete
    until('nothing open', lambda: not {'queued', 'held', 'quarantined'} &
          set(edge.deliveries()), 60)


def test_lost_while_stopped_the_queue_is_delivered(daemons, scps, tls,
                                                   edge_config):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(port))
    sent = instances(15)
    assert dicom.send(edge.port(), sent) == [0] * 15
    edge.kill()
    for f in (edge.root / 'records').glob('ledger.db*'):
        f.unlink()
    out = edge.cli('spool', 'rebuild', check=True).stdout
    assert 'rebuilt: 15 instances' in out
    for f in (edge.root / 'records').glob('ledger.db*'):
        f.unlink()
    scp = scps(tls=tls.server(), port=port)
    edge.start()
    edge.wait_deliveries('delivered', 15)
    check_all(scp, sent)


def test_a_garbled_ledger_is_moved_aside(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(port))
    sent = instances(5)
    assert dicom.send(edge.port(), sent) == [0] * 5
    edge.wait_deliveries('queued', 5)
    edge.stop()
    db = edge.root / 'records' / 'ledger.db'
    db.write_bytes(b'this is no database' * 1000)
    scp = scps(tls=tls.server(), port=port)
    edge.start()
    edge.wait_deliveries('delivered', 5)
    check_all(scp, sent)
    assert list((edge.root / 'records').glob('ledger.db.corrupt-*'))


def test_a_lost_or_changed_key_is_a_clear_error(daemons, scps, tls,
                                                edge_config):
    scp = scps(tls=tls.server())
    port = scp.port
    scp.stop()
    edge = daemons(edge_config(port))
    sent = instances(3)
    assert dicom.send(edge.port(), sent) == [0] * 3
    edge.stop()
    # all that hold records; a segment prepared for later may be renamed
    before = {f: f.read_bytes() for f in edge.root.glob('spool/*.spool')}
    before = {f: b for f, b in before.items() if b[4096:].strip(b'\0')}
    assert before
    keys = [f for f in edge.root.rglob('data.key')]
    assert len(keys) == 1
    assert keys[0].stat().st_mode & 0o777 == 0o600
    good = keys[0].read_bytes()
    for bad in (None, b'\0' * 32, b'short'):
        if bad is None:
            keys[0].unlink()
        else:
            keys[0].write_bytes(bad)
            keys[0].chmod(0o600)
        p = run('serve', '-c', edge.path)
        assert p.returncode != 0
        assert 'key' in p.stderr and 'start-failed' in p.stderr
        assert {f: f.read_bytes() for f in before} == before
    keys[0].write_bytes(good)
    keys[0].chmod(0o644)
    p = run('serve', '-c', edge.path)
    assert p.returncode != 0 and 'chmod' in p.stderr
    keys[0].chmod(0o600)
    scp = scps(tls=tls.server(), port=port)
    edge.start()
    edge.wait_deliveries('delivered', 3)
    check_all(scp, sent)


def test_two_daemons_cannot_share_a_spool(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    p = run('serve', '-c', edge.path)
    assert p.returncode != 0 and 'start-failed' in p.stderr
    assert edge.alive()


def test_operator_commands(daemons, scps, tls, edge_config, tmp_path):
    scp, other = scps(tls=tls.server()), scps(tls=tls.server())
    config = edge_config(scp.port)
    config['destinations']['spare'] = \
        edge_config(other.port)['destinations']['archive']
    config['routes'].append({'service': 'storage', 'listener': 'second',
                             'forward': ['spare']})
    config['routes'].reverse()
    config['listeners']['second'] = {}
    port = scp.port
    scp.stop()
    edge = daemons(config)
    sent = instances(4)
    assert dicom.send(edge.port('modalities'), sent) == [0] * 4
    edge.wait_deliveries('queued', 4)
    out = edge.cli('queue', 'list', check=True).stdout
    ids = re.findall(r'\b[0-9a-f]{32}\b', out)
    assert len(ids) == 4
    out = edge.cli('queue', 'show', ids[0][:10], check=True).stdout
    assert 'CT Image Storage' in out and 'scanner' in out
    # a copy for a worried radiographer
    file = tmp_path / 'copy.dcm'
    edge.cli('queue', 'export', ids[1], file, check=True)
    meta, data = dicom.split_part10(file.read_bytes())
    assert (meta[3], data) in sent
    digest = run('hash', file, check=True).stdout.split()[0]
    assert digest in edge.cli('queue', 'show', ids[1], check=True).stdout
    # hold one, give one up, send one elsewhere
    edge.cli('queue', 'hold', ids[0], check=True)
    edge.wait_deliveries('held', 1)
    assert edge.cli('queue', 'discard', ids[2]).returncode == 2
    edge.cli('queue', 'discard', ids[2], '--yes', check=True)
    edge.wait_deliveries('discarded', 1)
    edge.cli('queue', 'redirect', ids[3], '--to', 'spare', check=True)
    until('redirected', lambda: len(other.stored) == 1)
    scp = scps(tls=tls.server(), port=port)
    until('delivered', lambda: len(scp.stored) == 1)
    edge.cli('queue', 'release', ids[0], check=True)
    until('released', lambda: len(scp.stored) == 2)
    rows = []
    for db in (edge.root / 'records').glob('audit-2*.db'):
        c = sqlite3.connect('file:%s?mode=ro' % db, uri=True)
        rows += c.execute(
            "SELECT event, detail FROM v_audit WHERE event IN "
            "('manual-action', 'export')").fetchall()
        c.close()
    assert len(rows) >= 5, rows
    assert edge.cli('queue', 'retry', 'f' * 32).returncode == 1
