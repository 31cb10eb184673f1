"""Every kind of audit event, provoked once, with the fields it promises."""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess

import pytest

import dicom
import relayed
import test_commitment_kill as commits
from culvert import free_port, run, until
from dicom import IVLE, MPPS, STUDY_FIND, STUDY_GET
from responder import Responder
from test_commitment import Device

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Provoked by tests of their own.
ELSEWHERE = {
    'spool-alert': ('test_disk.py', "'spool-alert'"),
    'head-received': ('test_link_heads.py', "'--of'"),
    'login': ('test_web_server.py', "'login'"),
    'login-failed': ('test_web_server.py', "'login-failed'"),
    'logout': ('test_web_server.py', "'logout'"),
}
MAKER = pathlib.Path(os.environ.get('CULVERT_BUILD', 'build/asan'),
                     'unit/test_audit_chain').absolute()


def kinds():
    text = (ROOT / 'store' / 'audit.h').read_text()
    return set(re.findall(r'^\tX\(\d+, \w+, "([a-z-]+)"\)', text, re.M))


def rows(daemon, event, **want):
    """The rows of a kind, as dicts with detail read; want: columns."""
    out = []
    for p in sorted((daemon.root / 'records').glob('audit-[0-9]*.db')):
        db = sqlite3.connect('file:%s?mode=ro' % p, uri=True, timeout=10)
        db.row_factory = sqlite3.Row
        try:
            out += [dict(r) for r in db.execute(
                'SELECT * FROM v_audit WHERE event = ? ORDER BY seq',
                (event,))]
        except sqlite3.OperationalError:
            pass  # being made
        db.close()
    for r in out:
        r['detail'] = json.loads(r['detail'] or '{}')
    return [r for r in out if all(r[k] == v for k, v in want.items())]


def row(daemon, event, **want):
    return until(event, lambda: rows(daemon, event, **want))[-1]


@pytest.fixture
def secure(edge_config, pki):
    """An edge with a TLS listener beside the plaintext one."""

    def make(port, **kw):
        c = edge_config(port, **kw)
        c['listeners']['secure'] = {
            'protocol': 'dicom-tls', 'ae_titles': ['CULVERT'],
            'address': '127.0.0.1:%d' % free_port(),
            'tls': {'ca': str(pki / 'ca.pem'),
                    'certificate': str(pki / 'edge.pem'),
                    'key': str(pki / 'edge.key')}}
        return c
    return make


def test_start_changes_and_stop(daemons, edge_config):
    edge = daemons(edge_config(free_port()))
    first = row(edge, 'start')
    assert first['detail']['version'] and first['detail']['node'] == 'edge'
    assert first['detail']['file'] == str(edge.path)
    edge.config['log'] = {'level': 'debug'}
    edge.config['commitment'] = {'unknown': '61s'}
    edge.write()
    edge.cli('reload', check=True)
    assert row(edge, 'config-loaded')['user'].startswith('uid ')
    changed = until('two rows', lambda: rows(edge, 'config-changed')[1:] and
                    rows(edge, 'config-changed'))
    by = {r['detail']['option']: r for r in changed}
    r = by['log.level']
    assert (r['detail']['before'], r['detail']['after'],
            r['detail']['effect']) == ('info', 'debug', 'now')
    assert r['user'].startswith('uid ')
    r = by['commitment.unknown']
    assert r['detail']['effect'] == 'after a restart'
    edge.path.write_text('node: [')
    edge.process.send_signal(signal.SIGHUP)
    assert row(edge, 'config-refused')['detail']['cause']
    action = row(edge, 'manual-action')
    assert action['detail'] == {'order': 'reload',
                                'role': 'operator,security,auditor'}
    edge.write()
    edge.stop()
    r = rows(edge, 'stop')[-1]
    assert r['detail']['reason'] == 'SIGTERM' and r['detail']['version']
    # what was changed while it did not run
    edge.config['commitment'] = {'unknown': '62s'}
    edge.write()
    edge.start()
    until('start', lambda: len(rows(edge, 'start')) == 2)
    r = [r for r in rows(edge, 'config-changed')
         if r['detail']['after'] == '62s'][0]
    assert r['user'] == 'start' and r['detail']['before'] == '1m'


def test_handshakes_on_both_sides(daemons, scps, tls, secure, pki):
    scp = scps(tls=tls.server())
    edge = daemons(secure(scp.port))
    dicom.Association(edge.port('secure'), [(1, dicom.VERIFICATION, [IVLE])],
                      tls=tls.client()).release()
    r = row(edge, 'tls-accepted', listener='secure')
    assert r['peer'].startswith('127.0.0.1:') and r['local'].endswith(
        str(edge.port('secure')))
    d = r['detail']
    assert d['version'] == 'TLSv1.3' and d['suite'].startswith('TLS_AES_')
    assert d['group'] and 'CN=edge' in d['subject']
    assert d['verdict'] == 'verified' and len(r['fingerprint']) == 64
    assert dicom.send(edge.port(), [('1.2.3.1', dicom.data_set('1.2.3.1'))]) \
        == [0]
    r = row(edge, 'tls-accepted', destination='archive')
    assert 'CN=archive' in r['detail']['subject']
    assert r['detail']['endpoint'] == '127.0.0.1:%d' % scp.port
    edge.wait_deliveries('delivered', 1)
    # a certificate of another CA, several times: one row, and a count
    other = tls.client('edge', where=pki.parent / 'other')
    for _ in range(5):
        with pytest.raises((OSError, dicom.Gone)):
            dicom.Association(edge.port('secure'),
                              [(1, dicom.VERIFICATION, [IVLE])], tls=other)
    r = row(edge, 'tls-failed', listener='secure')
    assert r['outcome'] == 4 and 'Other CA' in r['detail']['verdict']
    assert 'CN=edge' in r['detail']['subject'] and len(r['fingerprint']) == 64
    edge.stop()
    r = rows(edge, 'tls-failed', listener='secure')
    assert len(r) == 2 and r[1]['detail']['times'] == 4, r
    # the other side: an archive that is not the one
    wrong = scps(tls=tls.server(where=pki.parent / 'other'))
    edge.config['destinations']['archive']['endpoints'] = [
        '127.0.0.1:%d' % wrong.port]
    edge.write()
    edge.start()
    dicom.send(edge.port(), [('1.2.3.2', dicom.data_set('1.2.3.2'))])
    r = row(edge, 'tls-failed', destination='archive')
    assert r['detail']['side'] == 'client' and 'Other CA' in \
        r['detail']['verdict']


def test_associations_and_refusals(daemons, edge_config):
    edge = daemons(edge_config(free_port()))
    dicom.Association(edge.port(), [(1, dicom.VERIFICATION, [IVLE])]).release()
    assert row(edge, 'association-accepted')['device'] == 'scanner'
    row(edge, 'association-ended')
    for _ in range(6):
        with pytest.raises(dicom.Rejected):
            dicom.Association(edge.port(), [(1, dicom.VERIFICATION, [IVLE])],
                              calling='STRANGER')
    r = row(edge, 'association-refused', calling_ae='STRANGER')
    assert r['detail']['reason'] and r['detail']['cause']
    edge.stop()
    r = rows(edge, 'association-refused', calling_ae='STRANGER')
    assert len(r) == 2 and r[1]['detail']['times'] == 5, r


def test_a_study_begun_received_transferred_exported(
        daemons, scps, tls, edge_config, tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = [('1.2.3.%d' % i, dicom.data_set('1.2.3.%d' % i, size=3000))
            for i in range(1, 6)]
    assert dicom.send(edge.port(), sent) == [0] * 5
    edge.wait_deliveries('delivered', 5)
    r = row(edge, 'instances-received')
    assert r['study'] == '1.2.3' and r['detail']['instances'] == 5
    r = row(edge, 'instances-begin')
    assert r['study'] == '1.2.3' and r['destination'] == 'archive'
    assert r['device'] == 'scanner' and r['called_ae'] == 'ARCHIVE'
    r = row(edge, 'instances-transferred')
    assert r['detail']['instances'] == 5 and r['detail']['bytes'] > 15000
    assert len(rows(edge, 'instances-begin')) == 1
    edge.config['destinations']['archive']['endpoints'] = [
        '127.0.0.1:%d' % free_port()]
    edge.stop()
    edge.write()
    edge.start()
    assert dicom.send(edge.port(), sent[:1]) == [0]
    edge.wait_deliveries('queued', 1)
    transfer, = re.findall(r'\b[0-9a-f]{32}\b',
                           edge.cli('queue', 'list', check=True).stdout)
    edge.cli('queue', 'export', transfer, tmp_path / 'x.dcm', check=True)
    r = row(edge, 'export')
    assert r['detail']['transfer'] == transfer
    assert r['user'].startswith('uid ')


def test_held_released_and_quarantined(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    scp.reject = (1, 1, 7)  # called AE title not recognised
    edge = daemons(edge_config(scp.port, destination={'quarantine_after': 2}))
    good = [('1.2.3.%d' % i, dicom.data_set('1.2.3.%d' % i)) for i in (1, 2)]
    assert dicom.send(edge.port(), good) == [0, 0]
    r = row(edge, 'held')
    assert r['destination'] == 'archive' and r['detail']['cause']
    scp.reject = None
    row(edge, 'released')
    edge.wait_deliveries('delivered', 2)
    scp.status = lambda iuid: 0xc000 if iuid == '1.2.3.9' else 0
    bad = [('1.2.3.9', dicom.data_set('1.2.3.9'))]
    assert dicom.send(edge.port(), bad) == [0]
    more = [('1.2.3.%d' % i, dicom.data_set('1.2.3.%d' % i))
            for i in (10, 11)]
    assert dicom.send(edge.port(), more) == [0, 0]
    edge.wait_deliveries('quarantined', 1)
    r = row(edge, 'quarantine')
    assert r['outcome'] == 8 and r['detail']['sop_instance'] == '1.2.3.9'
    assert r['study'] == '1.2.3' and 'C000' in r['detail']['cause'].upper()


def test_what_is_relayed(daemons, tls, pki):
    ris, pacs = Responder(tls=tls.server()), Responder(tls=tls.server())
    film = dicom.PREFIX + '5.1.1.1'
    try:
        edge = daemons(relayed.config(
            pki, ris.port, pacs.port, device={'services': relayed.ALL +
                                              ['print']},
            routes=[{'service': 'print', 'relay': 'pacs'}]))
        a = dicom.Association(edge.port(), [
            (1, STUDY_FIND, [IVLE]), (3, STUDY_GET, [IVLE]), (5, MPPS, [IVLE]),
            (7, film, [IVLE])], called='PACS')
        a.find(1, dicom.encode([], IVLE))
        a.get(3, dicom.encode([], IVLE))
        a.n_create(5, '1.2.9.1', dicom.encode([], IVLE))
        a.n_create(7, '1.2.9.2', dicom.encode([], IVLE))
        a.release()
        for event in ('query', 'retrieve', 'procedure-step', 'relayed'):
            r = row(edge, event)
            assert r['device'] == 'ct' and r['destination'], r
        a = dicom.Association(edge.port(), [(1, dicom.CT, [IVLE])])
        try:
            a.n_set(1, '1.2.9.3', dicom.encode([], IVLE))
        except (OSError, dicom.Gone, dicom.Aborted):
            pass
        a.close()
        assert row(edge, 'message-refused')['detail']['message'] == 'N-SET-RQ'
    finally:
        ris.stop()
        pacs.stop()


def test_clock_gap_and_a_lost_ledger(daemons, edge_config, tmp_path):
    clock = tmp_path / 'clock'
    edge = daemons(edge_config(free_port()),
                   env={'CULVERT_TEST_CLOCK': str(clock)})
    assert dicom.send(edge.port(), [('1.2.3.1', dicom.data_set('1.2.3.1'))]) \
        == [0]
    until('start', lambda: rows(edge, 'start'))
    clock.write_text('0')
    until('a tick', lambda: edge.status()['uptime_ms'] > 5000)
    clock.write_text('7200000')
    r = row(edge, 'clock-step')
    assert 7190000 < int(r['detail']['step_ms']) < 7210000
    month, = (edge.root / 'records').glob('audit-[0-9]*.db')
    for p in (edge.root / 'records').glob(month.name + '*'):
        p.unlink()
    edge.cli('reload', check=True)
    assert row(edge, 'audit-gap')['detail']['gap']
    edge.stop()
    for p in (edge.root / 'records').glob('ledger.db*'):
        p.unlink()
    edge.start()
    row(edge, 'ledger-rebuilt')


def delivered(records):
    db = sqlite3.connect('file:%s/ledger.db?mode=ro' % records, uri=True)
    n, = db.execute("SELECT count(*) FROM v_deliveries WHERE "
                    "state = 'delivered'").fetchone()
    db.close()
    return n


class Steady:
    """In place of chance: each report once, at once."""

    def uniform(self, low, high):
        return 0

    def choice(self, these):
        return 1


def test_a_commitment_requested_and_reported(daemons):
    archive_port, device_port = free_port(), free_port()
    edge = daemons(commits.config(archive_port, device_port))
    archive = commits.Archive(archive_port, edge.port('back'), Steady(), set())
    device = Device(device_port)
    modality = commits.Modality(edge.port('in'), Steady())
    uid = commits.UID % 1
    try:
        a = dicom.Association(edge.port('in'), [(1, dicom.CT, [dicom.EVLE])],
                              calling='CT', called='PACS')
        assert a.store(1, uid, dicom.data_set(uid)) == 0
        a.release()
        modality.ask('1.2.3.9', [uid])
        assert device.wait('1.2.3.9').safe == {uid}
        for event in ('commitment-requested', 'commitment-reported'):
            r = row(edge, event)
            assert r['device'] == 'ct' and r['outcome'] == 0, r
            assert r['detail']['transaction'] == '1.2.3.9', r
            assert r['detail']['instances'] == 1, r
    finally:
        archive.stop()
        device.stop()


def test_what_the_audit_says_of_its_own_keeping(daemons, tmp_path):
    """A key made, months and transfers pruned, values erased."""
    records = tmp_path / 'old'
    records.mkdir()
    subprocess.run([MAKER, '--sample', records], check=True,
                   capture_output=True)
    (records / 'signing.key').unlink()
    edge = daemons({
        'listeners': {'in': {}},
        'devices': {'ct': {'ae_title': 'CT', 'address': '127.0.0.1'}},
        'destinations': {'there': {'protocol': 'directory', 'path': 'there'}},
        'routes': [{'service': 'storage', 'forward': ['there']}],
        'records': {'path': str(records),
                    'signing_key': str(records / 'signing.key'),
                    'retention': {'audit': '31d', 'transfers': '31d'}},
    }, env={'CULVERT_TEST_CLOCK': '1'})

    def of(event):
        found = []
        for p in sorted(records.glob('audit-[0-9]*.db')):
            db = sqlite3.connect('file:%s?mode=ro' % p, uri=True, timeout=10)
            found += db.execute('SELECT study, user, detail FROM v_audit WHERE '
                                'event = ?', (event,)).fetchall()
            db.close()
        return [(s, u, json.loads(d)) for s, u, d in found]

    (_, _, made), = until('a key', lambda: of('signing-key-made'))
    assert re.fullmatch('[0-9a-f]{16}', made['key']), made
    run('audit', 'erase', '-c', edge.path, '--study', '1.2', '--yes',
        check=True)
    study, user, erased = of('audit-erased')[-1]
    assert study == '1.2' and user.startswith('uid ') and erased['values'] > 0
    # two images of long ago: the newest stays
    for n in (1, 2):
        uid = '1.2.3.%d' % n
        assert dicom.send(edge.port(), [(uid, dicom.data_set(uid))],
                          calling='CT') == [0]
    until('delivered', lambda: delivered(records) == 2)
    edge.stop()
    db = sqlite3.connect(records / 'ledger.db')
    db.execute('UPDATE instances SET received_ms = 1000')
    db.execute('UPDATE deliveries SET changed_ms = 1000')
    db.commit()
    db.close()
    edge.start()
    run('audit', 'prune', '-c', edge.path, check=True)
    (_, user, pruned), = of('transfers-pruned')
    assert user.startswith('uid ') and pruned['before'].startswith('20')
    assert {d['month'] for _, _, d in of('audit-pruned')} == {
        '2024-05', '2024-06'}
    assert all(u.startswith('uid ') and d['rows'] > 0
               for _, u, d in of('audit-pruned'))


def test_no_kind_is_left_out():
    source = pathlib.Path(__file__).read_text().split('}', 1)[1]
    for kind in kinds():
        name, word = ELSEWHERE.get(kind, (None, "'%s'" % kind))
        assert word in ((HERE / name).read_text() if name else source), kind
