"""Every operation of the control socket x every role, as the table says."""
import json
import os
import pathlib
import resource
import shutil
import socket
import sqlite3
import subprocess
import tempfile

import pytest

import culvert
import dicom
import webclient
from culvert import until

GROUPS = {'operator': 61001, 'security': 61002, 'auditor': 61003}
NOBODY = 65534

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason='takes the groups of others: root only')


def table(kind='operation'):
    rows = json.loads(culvert.run('rights', '--json', check=True).stdout)
    return {r['name']: set(r['roles']) for r in rows
            if r['kind'] == kind and not r['open']}


def speak(path, lines):
    """Each line on a connection of its own."""
    answers = []
    for line in lines:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(path)
        s.sendall(json.dumps(line).encode() + b'\n')
        answer = None
        for text in s.makefile('rb'):
            answer = json.loads(text)
            if 'ok' in answer:
                break  # rows and progress come ahead of it
        s.close()
        answers.append(answer)
    return answers


def become(roles, main=NOBODY, uid=NOBODY):
    """In a child: a user without rights who is in the groups of these roles.
    """
    os.setgroups([GROUPS[x] for x in roles])
    os.setgid(main)
    os.setuid(uid)


def command_as(daemon, roles, *args):
    """A culvert command as that user, who may read the configuration only.

    By descriptor: neither the program's folder nor the test's is theirs."""
    program = os.open(culvert.BINARY, os.O_RDONLY)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                become(roles)
                os.chdir('/')
                os.execve(program, ['culvert', args[0], '-c',
                                    str(daemon.open_config), *args[1:]],
                          os.environ)
            finally:
                os._exit(99)
        status = os.waitpid(pid, 0)[1]
        os.close(program)
        texts = []
        for f in (out, err):
            f.seek(0)
            texts.append(f.read().decode())
    assert not culvert.REPORT.search(texts[1]), texts[1]
    return subprocess.CompletedProcess(
        args, os.waitstatus_to_exitcode(status), *texts)


def ask_as(daemon, roles, *requests, main=NOBODY, uid=NOBODY):
    """Ask as a user without rights who is in the groups of these roles."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            become(roles, main, uid)
            out = speak(daemon.config['control']['path'], requests)
            with os.fdopen(w, 'w') as f:
                json.dump(out, f)
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return json.loads(text)


@pytest.fixture
def daemon(daemons, edge_config):
    place = pathlib.Path(tempfile.mkdtemp(prefix='culvert-'))
    place.chmod(0o755)
    c = edge_config(culvert.free_port())
    c['control'] = {'path': str(place / 'control.sock'),
                    'groups': {k: str(v) for k, v in GROUPS.items()}}
    d = daemons(c)
    # others may read the configuration, and nothing that it names
    text = dict(d.config, spool={'path': str(d.root / 'spool')},
                records={'path': str(d.root / 'records')})
    d.open_config = place / 'culvert.yaml'
    d.open_config.write_text(culvert.yaml(text))
    d.open_config.chmod(0o644)
    d.root.chmod(0o750)
    yield d
    shutil.rmtree(place)


def audit(daemon, event):
    rows = []
    for p in sorted((daemon.root / 'records').glob('audit-[0-9]*.db')):
        db = sqlite3.connect('file:%s?mode=ro' % p, uri=True, timeout=10)
        rows += db.execute(
            'SELECT user, outcome, detail, destination FROM v_audit '
            'WHERE event = ? ORDER BY seq',
            (event,)).fetchall()
        db.close()
    return [(u, o, json.loads(d), dest) for u, o, d, dest in rows]


def refused(answer):
    return answer['ok'] is False and answer.get('reason') == 'rights'


def test_every_operation_asks_for_the_role_in_the_table(daemon):
    path = daemon.config['control']['path']
    ops = sorted(table())
    served = speak(path, [{'op': op} for op in ops])
    for op, answer in zip(ops, served):
        assert answer.get('error') != 'unknown request', op
    lines = [{'op': op} for op in ops]
    for role in GROUPS:
        for op, answer in zip(ops, ask_as(daemon, [role], *lines)):
            assert refused(answer) == (role not in table()[op]), (
                role, op, answer)
    for op, answer in zip(ops, ask_as(daemon, [], *lines)):
        assert refused(answer), (op, answer)
        assert 'holds no role' in answer['error']
    for op, answer in zip(ops, ask_as(daemon, GROUPS, *lines)):
        assert refused(answer) == (not table()[op]), (op, answer)
    for op, answer in zip(ops, speak(path, lines)):
        assert not refused(answer), (op, answer)


# Commands that read: what asks the daemon for rows, and whose it is.
READING = {
    ('queue', 'list', '--state', 'all'): 'queue-list',
    ('queue', 'show', '{transfer}'): 'queue-show',
    ('association', 'list'): 'association-list',
    ('association', 'show', '{association}'): 'association-show',
    ('association', 'operations'): 'operation-list',
    ('refused',): 'refused-list',
    ('transfers', 'search'): 'transfers-search',
    ('transfers', 'show', '1.2.3.4.5'): 'transfers-show',
    ('status',): 'device-list',
}


def test_the_reading_commands_need_no_right_to_the_files(daemon):
    """What a member of a group sees is what root sees, and no more."""
    image = dicom.data_set('1.2.3.200.1', size=3000, study='1.2.3.4.5')
    assert dicom.send(daemon.port(), [('1.2.3.200.1', image)]) == [0]
    with pytest.raises(dicom.Rejected):
        dicom.send(daemon.port(), [], calling='STRANGER')
    until('on record', lambda: daemon.sql('SELECT 1 FROM refusals'))
    (transfer, association), = until('stored', lambda: daemon.sql(
        'SELECT transfer, association FROM v_deliveries'))
    commands = {tuple(w.format(transfer=transfer, association=association)
                      for w in words): op for words, op in READING.items()}
    assert set(commands.values()) == {
        r['name'] for r in json.loads(
            culvert.run('rights', '--json', check=True).stdout)
        if r['for'].startswith(('see ', 'find ')) and r['name'] != 'status'
        and not r['name'].startswith('audit-')}
    for words, op in commands.items():
        for role in GROUPS:
            p = command_as(daemon, [role], *words)
            if role not in table()[op]:
                assert p.returncode == 4 and not p.stdout, (words, role, p)
                assert 'may not ' + op in p.stderr, p.stderr
                continue
            assert not p.stderr, (words, role, p)
            root = daemon.cli(*words)
            assert p.returncode == root.returncode, (words, role, p, root)
            assert len(p.stdout.splitlines()) == len(
                root.stdout.splitlines()) > 0, (words, role, p, root)
        p = command_as(daemon, [], *words)
        assert p.returncode == 4 and 'holds no role' in p.stderr, (words, p)
    assert transfer in command_as(
        daemon, ['operator'], 'queue', 'list', '--json').stdout
    for words in (('--accession', 'A1'), ('--patient', 'P1')):
        p = command_as(daemon, ['operator'], 'transfers', 'search', *words)
        assert p.returncode == 4, p
        p = command_as(daemon, ['auditor'], 'transfers', 'search', *words)
        assert p.returncode == 0 and p.stdout == 'nothing\n', p
    # the value by itself does not help either
    for key in ('accession', 'patient'):
        a, = ask_as(daemon, ['operator'], {'op': 'transfers-search', key: 7})
        assert refused(a) and 'only an auditor' in a['error']
    # a daemon that is away: the file, for who may read it
    daemon.stop()
    for words in commands:
        if words[0] == 'status':
            continue
        p = command_as(daemon, GROUPS, *words)
        assert p.returncode == 3 and 'no daemon answers' in p.stderr, p
        assert daemon.cli(*words).returncode == 0, words


def forge(daemon):
    """A row is changed by one who holds all rights. Its number."""
    daemon.stop()
    month, = (daemon.root / 'records').glob('audit-[0-9]*.db')
    db = sqlite3.connect(month)
    for name, in db.execute("SELECT name FROM sqlite_master WHERE "
                            "type='trigger'").fetchall():
        db.execute('DROP TRIGGER ' + name)
    seq, = db.execute('SELECT min(seq) FROM audit').fetchone()
    db.execute("UPDATE audit SET detail='{}' WHERE seq=?", (seq,))
    db.commit()
    db.close()
    daemon.start()
    return seq


def test_an_auditor_checks_the_audit_without_the_files(daemon):
    commands = {('head',): 'audit-head', ('head', '--of', 'x'): 'audit-heads',
                ('key',): 'audit-key', ('verify',): 'audit-verify'}
    for words, op in commands.items():
        for roles in (['operator'], ['security'], []):
            p = command_as(daemon, roles, 'audit', *words)
            assert p.returncode == 4 and not p.stdout, (words, roles, p)
            assert 'may not ' + op in p.stderr or not roles, p
    key = command_as(daemon, ['auditor'], 'audit', 'key')
    assert key.stdout == daemon.cli('audit', 'key', check=True).stdout
    assert key.stdout.startswith('-----BEGIN PUBLIC KEY-----'), key
    head = command_as(daemon, ['auditor'], 'audit', 'head')
    assert head.returncode == 0 and '\nsignature: ' in head.stdout, head
    assert [r for r in audit(daemon, 'manual-action')
            if r[2] == {'order': 'audit-head', 'role': 'auditor'}]
    p = command_as(daemon, ['auditor'], 'audit', 'head', '--of', 'x')
    assert p.returncode == 1 and 'no head has come' in p.stderr, p
    p = command_as(daemon, ['auditor'], 'audit', 'verify')
    assert p.returncode == 0 and 'result     whole' in p.stdout, p
    # with what was kept elsewhere
    kept = daemon.open_config.parent
    (kept / 'head').write_text(head.stdout)
    (kept / 'pub').write_text(key.stdout)
    args = ['verify', '--json', '--head', str(kept / 'head'),
            '--key', str(kept / 'pub')]
    p = command_as(daemon, ['auditor'], 'audit', *args)
    report = json.loads(p.stdout)
    assert report['whole'] and report['faults'] == [], report
    assert set(report) == set(json.loads(
        daemon.cli('audit', *args, check=True).stdout))
    subprocess.run('openssl ecparam -name prime256v1 -genkey -noout | '
                   'openssl ec -pubout -out %s/other' % kept, shell=True,
                   check=True, capture_output=True)
    p = command_as(daemon, ['auditor'], 'audit', 'verify', '--key',
                   str(kept / 'other'))
    assert p.returncode == 3 and 'head-key' in p.stdout, p
    seq = forge(daemon)
    p = command_as(daemon, ['auditor'], 'audit', 'verify', '--all')
    root = daemon.cli('audit', 'verify', '--all')
    assert p.returncode == root.returncode == 3
    assert [x for x in p.stdout.splitlines() if x.startswith('fault')] == [
        x for x in root.stdout.splitlines() if x.startswith('fault')]
    assert 'row %d was changed' % seq in p.stdout, p.stdout
    # a daemon that is away: files, for who may read them
    daemon.stop()
    for words in commands:
        p = command_as(daemon, ['auditor'], 'audit', *words)
        assert p.returncode == (1 if words == ('verify',) else 3), (words, p)
        assert 'no daemon answers' in p.stderr, p
    for words, rc in ((('head',), 0), (('key',), 0), (('verify',), 3)):
        assert daemon.cli('audit', *words).returncode == rc, words


def begin_check(daemon):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(daemon.config['control']['path'])
    s.sendall(b'{"op":"audit-verify"}\n')
    answers = s.makefile('rb')
    return s, answers, json.loads(answers.readline())


def test_a_check_takes_its_time_and_holds_up_nothing(daemon):
    daemon.stop()
    daemon.env = dict(daemon.env, CULVERT_TEST_VERIFY_MS='1500')
    daemon.start()
    s, answers, line = begin_check(daemon)
    lines = [line]
    assert 'progress' in line
    # one at a time; all else goes on
    p = command_as(daemon, ['auditor'], 'audit', 'verify')
    assert p.returncode == 1 and 'another check' in p.stderr, p
    image = dicom.data_set('1.2.3.201.1', size=3000)
    assert dicom.send(daemon.port(), [('1.2.3.201.1', image)]) == [0]
    until('in the ledger', lambda: daemon.sql('SELECT 1 FROM v_deliveries'))
    while 'ok' not in lines[-1]:
        lines.append(json.loads(answers.readline()))
    assert lines[-1]['report']['whole'] and len(lines) > 2, lines
    s.close()
    # one who goes away has it end, and a stop does
    s, answers, _ = begin_check(daemon)
    answers.close()
    s.close()
    s, answers, line = until('free again', lambda: [
        c for c in [begin_check(daemon)] if 'progress' in c[2]])[0]
    daemon.stop()
    answers.close()
    s.close()


def test_a_role_is_found_in_the_main_group_too(daemon):
    a, b = ask_as(daemon, [], {'op': 'status'}, {'op': 'reload'},
                  main=GROUPS['operator'])
    assert a['ok'] and refused(b)
    assert 'may not reload' in b['error'] and '61002' in b['error']


def test_what_is_done_and_what_is_refused_is_on_record(daemon):
    ask_as(daemon, ['operator'], {'op': 'hold', 'destination': 'archive'})
    # before the answer came
    (user, outcome, detail, destination), = audit(daemon, 'manual-action')
    assert user.startswith('uid 65534') and outcome == 0
    assert detail == {'order': 'hold', 'role': 'operator'}
    assert destination == 'archive'
    requests = [{'op': 'hold', 'destination': 'archive'}] * 20
    answers = ask_as(daemon, ['auditor'], *requests)
    assert all(refused(a) for a in answers)
    rows = until('it is on record', lambda: [
        r for r in audit(daemon, 'manual-action') if r[1] == 8])
    daemon.wait_log('order-refused .*op=hold role=auditor')
    daemon.stop()
    rows = [r for r in audit(daemon, 'manual-action') if r[1] == 8]
    assert [r[2] for r in rows] == [
        {'refused': 'rights', 'order': 'hold'},
        {'refused': 'rights', 'order': 'hold', 'times': 19}], rows


def test_only_the_daemons_own_user_speaks_for_others(daemon):
    path = daemon.config['control']['path']
    alice = {'user': 'alice', 'roles': ['operator']}
    a, b, c, d, e = speak(path, [
        {'op': 'status', 'as': alice}, {'op': 'reload', 'as': alice},
        {'op': 'hold', 'destination': 'archive', 'as': alice},
        {'op': 'status', 'as': {'user': 'x"y', 'roles': []}},
        {'op': 'status', 'as': {'user': 'x', 'roles': ['root']}}])
    assert a['ok'] and refused(b)
    assert 'reason' not in c
    assert audit(daemon, 'manual-action')[0][0].startswith('alice by uid 0')
    assert not d['ok'] and not e['ok'] and 'wants a user' in d['error']
    f, = ask_as(daemon, GROUPS, {'op': 'status', 'as': alice})
    assert refused(f)


def as_page(daemon, *requests):
    """Ask from a process that bears the mark of the page's."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
            out = speak(daemon.config['control']['path'], requests)
            with os.fdopen(w, 'w') as f:
                json.dump(out, f)
        finally:
            os._exit(0)
    os.close(w)
    with os.fdopen(r) as f:
        text = f.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def test_the_pages_process_is_served_what_pages_need(daemon):
    """One who has taken it over steers nothing and opens no name."""
    operator = {'user': 'anna', 'roles': ['operator']}
    auditor = {'user': 'anna', 'roles': ['auditor']}
    forbidden = [{'op': op} for op in sorted(table())
                 if op not in ('status', 'web-event')]
    forbidden += [{'op': op, 'as': operator, 'destination': 'archive'}
                  for op in ('discard', 'retry', 'export', 'redirect')]
    forbidden += [{'op': 'audit-prune', 'as': auditor},
                  {'op': 'receipt', 'study': '1.2', 'as': auditor},
                  {'op': 'receipt', 'study': '1.2', 'reveal': True,
                   'as': operator}]
    for q, a in zip(forbidden, as_page(daemon, *forbidden)):
        assert refused(a), (q, a)
    fine = as_page(daemon, {'op': 'status'}, {'op': 'status', 'as': operator},
                   {'op': 'receipt', 'study': '1.2', 'as': operator})
    assert not [a for a in fine if refused(a)], fine
    until('the refusals are on record', lambda: [
        1 for _, _, d, _ in audit(daemon, 'manual-action')
        if d.get('refused') == 'rights' and d.get('order') == 'audit-prune'])


def test_nothing_is_done_that_cannot_be_recorded(daemon):
    assert ask_as(daemon, ['security'], {'op': 'reload'})[0]['ok']
    month, = (daemon.root / 'records').glob('audit-[0-9]*.db')
    db = sqlite3.connect(month, timeout=10, isolation_level=None)
    db.execute('BEGIN IMMEDIATE')  # nobody else writes
    try:
        daemon.config['log'] = {'level': 'debug'}
        daemon.write()
        answer, = ask_as(daemon, ['security'], {'op': 'reload'})
    finally:
        db.execute('ROLLBACK')
        db.close()
    assert not answer['ok'] and 'nothing was done' in answer['error']
    assert 'option=log.level' not in daemon.log()


@pytest.mark.parametrize('users', [1, 3])
def test_strangers_do_not_keep_the_others_out(daemon, users):
    """One has half of the places; all together leave some to root."""
    r, w = os.pipe()
    away, end = os.pipe()
    pids = []
    for n in range(users):
        pids.append(os.fork())
        if pids[-1]:
            continue
        try:
            os.close(end)
            os.setgid(NOBODY)
            os.setuid(NOBODY - n)
            held = []
            for _ in range(9):
                s = socket.socket(socket.AF_UNIX)
                s.connect(daemon.config['control']['path'])
                held.append(s)
            held[-1].settimeout(60)
            os.write(w, held[-1].recv(65536))
            os.read(away, 1)
        finally:
            os._exit(0)
    os.close(w)
    told = b''
    while told.count(b'too many requests') < users:
        part = os.read(r, 4096)
        assert part, told
        told += part
    assert daemon.status()['ok']
    os.close(end)
    for pid in pids:
        os.waitpid(pid, 0)


def status_of(viewer, path, method='GET'):
    """Of the answer's first line: /events does not end."""
    cookie = '; '.join('%s=%s' % c for c in viewer.cookies.items())
    with viewer.dial() as sock:
        sock.sendall(('%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n'
                      'Cookie: %s\r\nContent-Length: 0\r\n\r\n' % (
                          method, path, viewer.port, cookie)
                      ).encode())
        with sock.makefile('rb') as answer:
            return int(answer.readline().split()[1])


def test_every_address_of_the_page_asks_for_the_role_in_the_table(
        daemons, tmp_path):
    users = tmp_path / 'users'
    for role in GROUPS:
        webclient.passwd(users, role, role)
    d = daemons(webclient.config(tmp_path, {'users': str(users)}))
    port = webclient.await_page(d)
    for role in GROUPS:
        v = webclient.Viewer(port)
        assert v.login(role).status == 303
        # logging out ends the session: last
        for path, roles in sorted(table('address').items(),
                                  key=lambda a: a[0] == '/logout'):
            status = status_of(
                v, path if path[-1] != '/' or path == '/' else path + 'x')
            assert (status == 403) == (role not in roles), (role, path, status)
            assert status != 401 and status != 303, (role, path, status)
            if role in roles and (path[-1] != '/' or path == '/'):
                # it is there, not in the table alone
                if path == '/logout':
                    status = status_of(v, path, 'POST')
                assert status != 404, (role, path)
    stranger = webclient.Viewer(port)
    for path in ('/healthz', '/readyz', '/login'):
        assert status_of(stranger, path) != 404, path
    for path in table('address'):
        assert status_of(stranger, path) in (303, 401, 403, 405), path


def test_the_manual_has_the_whole_table():
    page = culvert.run('rights', '--man', check=True).stdout
    lines = culvert.run('rights', check=True).stdout.splitlines()
    assert len(lines) > 20 and all(line in page for line in lines)
