"""Retention, legal hold, erasing and the clock, by order, with a daemon that
finds old months in its records."""
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

import auditchain as ac
import dicom
from culvert import BINARY, run, until

MAKER = pathlib.Path(os.environ.get('CULVERT_BUILD', 'build/asan'),
                     'unit/test_audit_chain').absolute()


@pytest.fixture
def old(tmp_path, daemons):
    """A daemon whose audit begins in 2024; its clock is not synchronised."""
    records = tmp_path / 'old'
    records.mkdir()
    subprocess.run([MAKER, '--sample', records], check=True,
                   capture_output=True)
    head = tmp_path / 'head'
    head.write_bytes(ac.head_file(ac.heads(records)[-1]))
    daemon = daemons({
        'listeners': {'in': {}},
        'devices': {'ct': {'ae_title': 'CT', 'address': '127.0.0.1'}},
        'destinations': {'there': {'protocol': 'directory', 'path': 'there'}},
        'routes': [{'service': 'storage', 'forward': ['there']}],
        'records': {'path': str(records),
                    'signing_key': str(records / 'signing.key'),
                    'retention': {'audit': '31d'}},
    }, env={'CULVERT_TEST_CLOCK': '0'})
    daemon.records, daemon.head = records, head
    return daemon


def audit(daemon, *args, ok=True):
    p = run('audit', args[0], '-c', daemon.path, *args[1:])
    assert (p.returncode == 0) == ok, (args, p.stdout, p.stderr)
    return p.stdout + p.stderr


def verify(daemon, *args):
    return json.loads(audit(daemon, 'verify', '--json', *args))


def events(daemon, event):
    rows = []
    for path in ac.months(daemon.records):
        c = sqlite3.connect('file:%s?mode=ro' % path, uri=True)
        rows += c.execute('SELECT seq, study, user, detail FROM v_audit WHERE '
                          'event=?', (event,)).fetchall()
        c.close()
    return sorted(rows)


def test_nothing_goes_before_it_may_and_all_is_on_record(old):
    first = audit(old, 'prune', ok=False)
    assert 'not synchronised' in first and 'confirm-clock' in first
    audit(old, 'hold', 'add', '1.2', 'case 12')
    assert 'case 12' in audit(old, 'hold', 'list')
    audit(old, 'confirm-clock')

    # May names the study, June does not
    assert '1 months' in audit(old, 'prune')
    assert [p.name[:13] for p in ac.months(old.records)][0] == 'audit-2024-05'
    assert not (old.records / 'audit-2024-06.db').exists()
    assert 'hold' in audit(old, 'erase', '--study', '1.2', '--yes', ok=False)
    audit(old, 'hold', 'remove', '1')

    assert 'erased: 2 values' in audit(old, 'erase', '--study', '1.2', '--yes')
    c = sqlite3.connect(old.records / 'audit-2024-05.db')
    assert c.execute('SELECT count(*) FROM sealed').fetchone() == (0,)
    c.close()
    report = verify(old, '--head', old.head)
    assert report['whole'] and report['erased'] == 3, report

    assert '1 months' in audit(old, 'prune')
    assert len(ac.months(old.records)) == 1
    report = verify(old, '--head', old.head)
    assert report['whole'] and report['pruned'] == 78, report

    pruned = [json.loads(d) for _, _, _, d in events(old, 'audit-pruned')]
    assert [p['month'] for p in pruned] == ['2024-06', '2024-05']
    (_, study, user, detail), = events(old, 'audit-erased')
    assert (study, json.loads(detail)['values']) == ('1.2', 2)
    assert user.startswith('uid ')
    orders = [json.loads(d)['order'] for _, _, _, d in
              events(old, 'manual-action')]
    assert orders.count('audit-prune') == 3
    assert {'audit-hold', 'audit-erase', 'audit-clock'} <= set(orders)
    old.stop()
    report = verify(old)
    assert report['whole'] and report['uncovered'] == 0


def test_a_month_that_does_not_verify_is_not_pruned(old):
    month = old.records / 'audit-2024-06.db'
    old.stop()
    c = sqlite3.connect(month)
    for name, in c.execute("SELECT name FROM sqlite_master WHERE "
                           "type='trigger'").fetchall():
        c.execute('DROP TRIGGER ' + name)
    c.execute("UPDATE audit SET peer='192.0.2.9' WHERE seq="
              '(SELECT min(seq) + 1 FROM audit)')
    c.commit()
    c.close()
    old.start()
    audit(old, 'confirm-clock')
    assert 'row 23' in audit(old, 'prune', ok=False)
    line = old.wait_log(' audit-prune-refused ')
    assert 'code=CV8109' in line and 'month=2024-06' in line
    assert 'does not verify' in line
    assert month.exists()


def test_a_head_is_signed_at_the_stop_and_survives_a_kill(old):
    old.stop()
    last = verify(old)
    assert last['uncovered'] == 0 and last['last'] > 78
    for _ in range(2):
        old.start()
        until('a row', lambda: verify(old)['last'] > last['last'])
        old.kill()
        report = verify(old)
        assert report['whole'] and report['last'] > last['last']
        last = report


def test_a_month_lost_while_stopped_is_a_gap_and_the_chain_goes_on(old):
    old.stop()
    end = verify(old)['last']
    newest = ac.months(old.records)[-1]
    shutil.move(newest, old.root / 'taken')
    old.start()
    old.stop()
    p = run('audit', 'verify', '-c', old.path, '--json')
    report = json.loads(p.stdout)
    assert p.returncode == 3
    # its heads went with it
    assert {f['fault'] for f in report['faults']} == {'rows-missing',
                                                      'head-missing'}
    assert report['first']['seq'] == 79
    gap = json.loads(events(old, 'audit-gap')[0][3])['gap']
    assert '79 to %d' % end in gap


def test_help_has_examples_and_wrong_use_is_told():
    for command in ('verify', 'head', 'key', 'prune', 'hold', 'erase',
                    'confirm-clock'):
        p = run('audit', command, '--help', check=True)
        assert 'examples:' in p.stdout and 'exit status' in p.stdout
    assert run('audit').returncode == 2
    assert run('audit', 'nonsense').returncode == 2
    assert run('audit', 'erase').returncode == 2
    assert run('audit', 'erase', '--study', '1.2').returncode == 2
    assert run('audit', 'hold', 'add', '1.2').returncode == 2


def test_head_and_key_are_for_keeping_elsewhere(old, tmp_path):
    pub = tmp_path / 'pub'
    pub.write_text(audit(old, 'key'))
    out = tmp_path / 'out'
    audit(old, 'head', '-o', out)
    assert 'exists' in audit(old, 'head', '-o', out, ok=False)
    text = out.read_bytes()
    assert text.startswith(b'culvert audit head 1\nnode: ')
    statement, sig = text.rsplit(b'signature: ', 1)
    import base64
    assert ac.openssl_verify(pub, statement, base64.b64decode(sig), tmp_path)
    p = run('audit', 'verify', '--dir', old.records, '--key', pub, '--head',
            out, check=True)
    assert 'result     whole' in p.stdout


# ---- orders that take long ---------------------------------------------------

def ledger(daemon, query):
    c = sqlite3.connect('file:%s?mode=ro' % (daemon.records / 'ledger.db'),
                        uri=True, timeout=10)
    rows = c.execute(query).fetchall()
    c.close()
    return rows


def received(daemon, n):
    """An image of a study of its own comes and goes; its series' row."""
    uid = '1.2.3.7.%d' % n
    image = dicom.data_set(uid, size=3000, study=uid, series=uid + '.1')
    assert dicom.send(daemon.port(), [(uid, image)], calling='CT') == [0]
    until('delivered', lambda: ledger(
        daemon, "SELECT 1 FROM v_deliveries WHERE study = '%s' AND "
        "state = 'delivered'" % uid))
    return uid


def sealed(daemon):
    """How many values are left: in the audit, in the ledger."""
    n = 0
    for path in ac.months(daemon.records):
        c = sqlite3.connect('file:%s?mode=ro' % path, uri=True, timeout=10)
        n += c.execute('SELECT count(*) FROM sealed').fetchone()[0]
        c.close()
    (of_series,), = ledger(daemon, 'SELECT count(*) FROM series WHERE '
                                   'identity IS NOT NULL')
    return n, of_series


def erase(daemon, *args):
    return subprocess.Popen(
        [BINARY, 'audit', 'erase', '-c', daemon.path, '--yes', *args],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ, CULVERT_TEST_WAIT_S='3'))


def slowly(daemon, ms):
    daemon.stop()
    daemon.env = dict(daemon.env, CULVERT_TEST_KEEP_MS=str(ms))
    daemon.start()


ALL = ('--before', '2099-01-01')


def test_a_long_order_is_waited_for_and_goes_on_without_who_gave_it(old):
    """The command waits 3 s for a line here, not 15."""
    slowly(old, 450)
    received(old, 1)
    assert sealed(old)[0] > 0 and sealed(old)[1] == 1
    began = time.monotonic()
    p = erase(old, *ALL)
    received(old, 2)  # meanwhile
    assert p.poll() is None
    out, err = p.communicate(timeout=60)
    assert p.returncode == 0 and 'erased: ' in out, (out, err)
    assert time.monotonic() - began > 3
    # what goes ahead of the answer
    request = {'op': 'audit-erase', 'study': '1.2.3.7.2', 'before_ms': 0}
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(str(old.root / 'control.sock'))
    s.sendall(json.dumps(request).encode() + b'\n')
    lines = []
    for line in s.makefile('rb'):
        lines.append(json.loads(line))
        if 'ok' in lines[-1]:
            break
    s.close()
    assert lines[-1]['ok'] and len(lines) > 3, lines
    assert all(set(x['progress']) == {'done', 'total'} for x in lines[:-1])
    assert sealed(old) == (0, 0)
    # interrupted, and killed: it is done all the same
    for n, sign, status in ((3, signal.SIGINT, 130), (4, signal.SIGKILL, -9)):
        uid = received(old, n)
        p = erase(old, '--study', uid)
        until('on record', lambda: p.poll() is not None or [
            e for e in events(old, 'audit-erased') if e[1] == uid])
        assert p.poll() is None, p.communicate()
        assert sealed(old) == (0, 1)
        p.send_signal(sign)
        out, err = p.communicate(timeout=60)
        assert p.returncode == status, (out, err)
        assert status < 0 or 'carries it on' in err, err
        until('erased', lambda: sealed(old) == (0, 0))
        until('the end', lambda: run(
            'audit', 'hold', '-c', old.path, 'list').returncode == 0)
    assert verify(old)['whole']


def test_erasing_that_a_kill_cut_short_is_ended_by_the_next_start(old):
    received(old, 1)
    slowly(old, 400)
    before = sealed(old)
    p = erase(old, *ALL)
    until('some is gone', lambda: sealed(old) < before)
    old.kill()
    p.communicate(timeout=60)
    assert p.returncode == 1
    assert sealed(old) > (0, 0)
    on_record = events(old, 'audit-erased')
    seq, _, user, detail = on_record[-1]
    assert json.loads(detail)['values'] == sum(before)
    # what is held since is not erased
    c = sqlite3.connect(old.records / 'audit-pruned.db')
    assert c.execute('SELECT by FROM pending').fetchall() == [(seq,)]
    c.execute("INSERT INTO holds(study, reason, since_ms) VALUES"
              "(NULL, 'case 12', 0)")
    c.commit()
    c.close()
    del old.env['CULVERT_TEST_KEEP_MS']
    old.start()
    line = old.wait_log(' audit-erase-unfinished ')
    assert 'code=CV8112' in line and 'legal hold' in line, line
    assert sealed(old) > (0, 0)
    audit(old, 'hold', 'remove', '1')
    old.stop()
    old.start()
    old.wait_log(' audit-erase-resumed .*row=%d' % seq)
    until('erased', lambda: sealed(old) == (0, 0))
    # in the name of the row that said so
    report = verify(old)
    assert report['whole'], report
    assert events(old, 'audit-erased') == on_record
    until('done with', lambda: not sqlite3.connect(
        old.records / 'audit-pruned.db').execute(
            'SELECT 1 FROM pending').fetchall())
    assert user.startswith('uid ')
