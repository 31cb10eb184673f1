"""A ledger of years: every question of the page is answered from an index, and
what is found is what is there. (tests/bench/views.py measures how quickly.)"""
import json
import os
import pathlib
import socket
import sqlite3
import subprocess

import pytest

import auditchain as ac
import dicom
from culvert import run, until
from test_store import instances

TOOLS = pathlib.Path(os.environ.get('STORED', 'build/release/bench'))
N = 100000


def test_no_view_reads_a_whole_table(daemons, edge_config):
    edge = daemons(edge_config(1))
    edge.stop()
    records = edge.root / 'records'
    subprocess.run([TOOLS / 'fill', '--dir', records, '--instances', str(N)],
                   check=True)
    r = subprocess.run([TOOLS / 'views', '--dir', records, '--check'],
                       stdout=subprocess.PIPE, text=True)
    assert r.returncode == 0, r.stdout

    # the planner does not know better once there are statistics
    db = sqlite3.connect(records / 'ledger.db')
    db.execute('ANALYZE')
    db.commit()
    db.close()
    r = subprocess.run([TOOLS / 'views', '--dir', records, '--check'],
                       stdout=subprocess.PIPE, text=True)
    assert r.returncode == 0, r.stdout

    # and the daemon goes on with such a ledger
    edge.start()
    assert edge.sql('SELECT count(*) FROM instances')[0][0] == N
    edge.stop()


def test_a_made_up_audit_is_like_a_real_one(daemons, edge_config, tmp_path):
    """What the bench measures on is what the daemon writes: sealed, chained,
    signed. And all of it comes out again."""
    edge = daemons(edge_config(1))
    edge.stop()
    records = edge.root / 'records'
    for path in ac.months(records):
        path.unlink()  # those of the start: the made-up ones are older
    (records / 'audit-pruned.db').unlink()
    key, = edge.root.rglob('signing.key')
    subprocess.run([TOOLS / 'fill', '--dir', records, '--instances', '0',
                    '--audit', str(N), '--days', '70', '--signing-key', key,
                    '--key', next(edge.root.rglob('data.key'))], check=True)
    p = run('audit', 'verify', '--dir', records, '--key', '%s.pub' % key,
            '--json')
    report = json.loads(p.stdout)
    assert p.returncode == 0 and report['whole'], report
    assert report['rows'] == N and len(ac.months(records)) >= 3

    edge.start()
    out = tmp_path / 'audit.csv'
    p = run('audit', 'export', '-c', edge.path, '-o', out)
    assert p.returncode == 0, p.stderr
    manifest = json.loads((tmp_path / 'audit.csv.manifest.json').read_text())
    assert manifest['rows'] >= N and manifest['first'] == 1
    assert run('audit', 'verify', '--export', out).returncode == 0
    edge.stop()


def points(edge):
    """The newest value of each metric and name, summed over all steps."""
    rows = edge.sql('SELECT data FROM rollups WHERE slot < 1 << 40')
    names = {i: (m, n) for i, m, n in  # later than what they name
             edge.sql('SELECT id, metric, name FROM rollup_names')}
    sums = {}
    for data, in rows:
        numbers, value, shift = [], 0, 0
        for b in data:
            value |= (b & 127) << shift
            shift += 7
            if b < 128:
                numbers.append(value)
                value = shift = 0
        for i, v in zip(numbers[::2], numbers[1::2]):
            sums[names[i]] = sums.get(names[i], 0) + v
    return sums


@pytest.mark.slow
def test_what_passes_is_in_the_figures(daemons, scps, tls, edge_config):
    """Metrics are numbered in store/ledger_rollup.h."""
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = instances(20, size=30000)
    assert dicom.send(edge.port(), sent) == [0] * 20
    edge.wait_deliveries('delivered', 20)

    s = edge.status()
    acks = s['acknowledgements']
    assert acks['count'] == 20
    assert sum(b['count'] for b in acks['buckets']) == 20
    assert acks['buckets'][-1]['le'] == '+Inf'
    assert 0 < acks['sum_us'] < 20 * 60e6
    line = s['destinations'][0]['line']
    assert line['rtt_us'] > 0 and line['path_mtu'] > 0

    name = s['destinations'][0]['name']
    device = edge.sql('SELECT name FROM devices')[0][0]
    until('a sample', lambda: points(edge).get((25, device)) == 20, 25)
    p = points(edge)
    assert p[0, ''] >= 1
    assert p[9, name] == 20
    assert p[8, name] == p[24, device]
    assert sum(v for (m, _), v in p.items() if m == 5) == 20
    assert p[6, ''] == acks['sum_us']


@pytest.mark.skipif(os.geteuid() != 0, reason='the auditor: root is one')
def test_an_accession_number_is_found_by_its_key(daemons, scps, tls,
                                                 edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    assert dicom.send(edge.port(), instances(2)) == [0] * 2
    edge.wait_deliveries('delivered', 2)
    control = edge.root / 'control.sock'
    for request, answer in (
            ({'op': 'search-key', 'accession': 'x1'}, True),
            ({'op': 'search-key', 'patient': 'x1'}, True),
            ({'op': 'search-key', 'patient': '   '}, False),
            ({'op': 'search-key', 'patient': 'x' * 200}, False),
            ({'op': 'search-key', 'patient': 'x', 'accession': 'x'}, False),
            ({'op': 'search-key'}, False)):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(str(control))
        s.sendall(json.dumps(request).encode() + b'\n')
        got = json.loads(s.makefile().readline())
        s.close()
        assert got['ok'] is answer, got
        assert ('key' in got) is answer
