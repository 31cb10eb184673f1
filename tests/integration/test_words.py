"""What a person reads: codes with cause and remedy in the log, in status, in
the queue; explain, completion, colours, JSON, exit codes, top."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import time

import pytest

import culvert
import dicom
from conftest import needs
from culvert import BINARY, run, until
from dicom import CT, EVLE

CATALOGUE = {c['code']: c for c in json.loads(
    run('explain', '--list', '--json', '--language', 'en').stdout)}
VERIFICATION = '1.2.840.10008.1.1'


def check_line(line, code, own_words=False):
    """The line is of the condition, with cause and remedy; those of the
    catalogue, unless it says more than that."""
    c = CATALOGUE[code]
    pairs = dict(re.findall(r'(\w+)="(.*?)"(?= \w+=|$)', line.strip()))
    assert ' code=%s ' % code in line or '[%s]' % code in line, line
    assert pairs.get('cause') and pairs.get('remedy'), line
    if not own_words:
        assert pairs['cause'] == c['cause'], line
        assert pairs['remedy'] == c['remedy'], line
    return pairs


# ---- the catalogue on the command line ---------------------------------------

def test_explain_by_code_name_and_event_in_both_languages():
    for word in ('CV7001', 'cv7001', '7001', 'spool-full'):
        out = run('explain', word, '--language', 'en', check=True).stdout
        assert 'CV7001  spool-full' in out and 'the spool is full' in out
    assert '暂存区已满' in run('explain', 'CV7001', '--language=zh',
                          check=True).stdout
    env = dict(os.environ, LC_ALL='zh_CN.UTF-8')
    assert '原因' in run('explain', 'CV7001', check=True, env=env).stdout
    out = run('explain', 'segment-rename-failed', check=True).stdout
    assert 'CV7002' in out
    p = run('explain', 'held')
    assert p.returncode == 1 and 'varies' in p.stderr
    p = run('explain', 'CV0001')
    assert p.returncode == 1 and '--list' in p.stderr
    assert run('explain', 'CV7001', '--language', 'xx').returncode == 2


def test_every_condition_has_both_languages_in_json():
    chinese = json.loads(run('explain', '--list', '--json', '--language', 'zh',
                             check=True).stdout)
    assert len(chinese) == len(CATALOGUE) > 100
    for c in chinese:
        e = CATALOGUE[c['code']]
        assert list(e) == ['code', 'name', 'area', 'severity', 'cause',
                           'remedy'] == list(c)
        assert c['cause'] != e['cause'] and e['remedy'] and c['remedy']


def test_the_manual_lists_every_condition():
    out = run('explain', '--man', check=True).stdout
    assert all('.BR %s ' % code in out for code in CATALOGUE)
    p = subprocess.run(['man', '--warnings', '-l', '-'], input=out, text=True,
                       capture_output=True, env=dict(os.environ, LC_ALL='C.UTF-8'))
    assert p.returncode == 0 and not p.stderr, p.stderr


# ---- who is turned away ------------------------------------------------------

def call(port, source='127.0.0.1', raw=None, **kw):
    """One association request; the answer's PDU type and bytes, or None."""
    s = socket.create_connection(('127.0.0.1', port), 20,
                                 source_address=(source, 0))
    s.sendall(raw or dicom.associate_rq([(1, CT, [EVLE])], **kw))
    try:
        return s, s.recv(16)
    except ConnectionError:
        return s, b''


@pytest.fixture
def guarded(daemons, edge_config):
    """A daemon with devices at 127.0.0.x that each may do something less."""
    c = edge_config(1)
    c['listeners'] = {
        'modalities': {'timeouts': {'artim': '1s'}},
        'other': {'limits': {'associations': 1}}}
    device = {'services': ['storage', 'verification']}
    c['devices'] = {
        'scanner': dict(device, ae_title='SCU', address='127.0.0.1'),
        'denied': dict(device, ae_title='DENIED', address='127.0.0.2',
                       listeners=['other']),
        'choosy': dict(device, ae_title='CHOOSY', address='127.0.0.3',
                       called=['OTHER']),
        'full': dict(device, ae_title='FULL', address='127.0.0.5',
                     limits={'associations': 1}),
        'fast': dict(device, ae_title='FAST', address='127.0.0.6',
                     limits={'rate': '1/min'}),
    }
    c['listeners']['modalities']['ae_titles'] = ['CULVERT', 'OTHER']
    return daemons(c)


REFUSED = [
    # code, who, what it says beyond the catalogue
    ('CV2001', dict(called='NOBODY'), 'answers to CULVERT'),
    ('CV2002', dict(calling=' '), 'blank calling AE title'),
    ('CV2003', dict(calling='WHO', source='127.0.0.9'), '127.0.0.9'),
    ('CV2004', dict(calling='WHO'), 'scanner'),
    ('CV2005', dict(calling='SCU', source='127.0.0.9'), 'scanner'),
    ('CV2006', dict(calling='DENIED', source='127.0.0.2'), 'modalities'),
    ('CV2007', dict(calling='CHOOSY', source='127.0.0.3'), 'OTHER'),
    ('CV2013', dict(app='1.2.3'), 'application context'),
    ('CV2013', dict(version=2), 'version 1'),
    ('CV2013', dict(raw=b'\x01\x00\x00\x00\x00\x08garbage!'), ''),
    ('CV2017', dict(raw=b'\x01'), None),
]


def test_whoever_is_refused_is_told_why_in_the_log(guarded):
    port = guarded.port()
    for code, how, words in REFUSED:
        since = len(guarded.lines)
        s, _ = call(port, **how)
        line = guarded.wait_log(r' refused .*code=%s ' % code, since=since)
        pairs = check_line(line, code, own_words=words is not None)
        assert (words or '') in pairs['cause'], line
        s.close()
    # and the same for a person, with what would admit them
    out = until('refusals', lambda: (lambda t: t if 'CV2007' in t else None)(
        guarded.cli('refused', check=True).stdout))
    for code in ('CV2001', 'CV2003', 'CV2017'):
        assert CATALOGUE[code]['cause'] in out and code in out
    assert 'devices: {NAME:' in out
    rows = json.loads(guarded.cli('refused', '--json', check=True).stdout)
    assert {r['code'] for r in rows} >= {'CV2001', 'CV2003', 'CV2017'}
    assert all(r['cause'] and r['remedy'] for r in rows)
    # each by its number, and page by page
    for r in rows:
        assert json.loads(guarded.cli('refused', r['id'], '--json',
                                      check=True).stdout) == [r]
        assert '  id       %d\n' % r['id'] in out
    assert json.loads(guarded.cli(
        'refused', '--before', rows[2]['id'], '--limit', '2', '--json',
        check=True).stdout) == rows[3:5]
    p = guarded.cli('refused', rows[0]['id'] + 9999)
    assert p.returncode == 1 and 'there is no' in p.stderr
    assert guarded.cli('refused', '--before').returncode == 2


def test_limits_are_told_with_the_option_that_sets_them(guarded):
    port, other = guarded.port(), guarded.port('other')
    held = []
    for code, to, how in (
            ('CV2011', port, dict(calling='FULL', source='127.0.0.5')),
            ('CV2012', port, dict(calling='FAST', source='127.0.0.6')),
            ('CV2010', other, dict(calling='SCU'))):
        held.append(call(to, **how)[0])
        since = len(guarded.lines)
        held.append(call(to, **how)[0])
        line = guarded.wait_log(r' refused .*code=%s ' % code, since=since)
        assert 'limits.' in check_line(line, code)['cause']
    for s in held:
        s.close()


def test_failed_handshakes_are_told_with_their_cause(daemons, pki, edge_config,
                                                     tls, tmp_path):
    c = edge_config(1)
    c['listeners']['modalities'] = {
        'protocol': 'dicom-tls',
        'tls': {'ca': str(pki / 'ca.pem'),
                'certificate': str(pki / 'archive.pem'),
                'key': str(pki / 'archive.key')}}
    edge = daemons(c)

    def shake(context):
        s = socket.create_connection(('127.0.0.1', edge.port()), 20)
        try:
            with context.wrap_socket(s, server_hostname='archive.example') as t:
                t.recv(1)
        except OSError:
            pass

    def weak(name, key, digest):
        """A client with a certificate that nobody should issue."""
        openssl = dict(cwd=tmp_path, check=True, capture_output=True)
        subprocess.run(['openssl', 'req', '-newkey', key, '-nodes', '-keyout',
                        name + '.key', '-subj', '/CN=' + name, '-out', 'csr'],
                       **openssl)
        subprocess.run(['openssl', 'x509', '-req', '-in', 'csr', '-CA',
                        pki / 'ca.pem', '-CAkey', pki / 'ca.key', '-' + digest,
                        '-set_serial', '7', '-days', '9', '-out',
                        name + '.pem'], **openssl)
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.set_ciphers('DEFAULT@SECLEVEL=0')
        c.load_verify_locations(pki / 'ca.pem')
        c.load_cert_chain(tmp_path / (name + '.pem'), tmp_path / (name + '.key'))
        return c

    def plain():
        s = socket.create_connection(('127.0.0.1', edge.port()), 20)
        s.sendall(dicom.associate_rq([(1, CT, [EVLE])]))
        s.recv(16)
        s.close()

    for code, act in (
            ('CV2603', lambda: shake(tls.client(where=pki.parent / 'other'))),
            ('CV2604', lambda: shake(weak('weak-key', 'rsa:1024', 'sha256'))),
            ('CV2605', lambda: shake(weak('weak-sum', 'rsa:2048', 'sha1'))),
            ('CV2606', lambda: shake(tls.client(name=None))),
            ('CV2610', plain)):
        since = len(edge.lines)
        act()
        line = edge.wait_log(r' refused .*code=%s ' % code, since=since)
        pairs = check_line(line, code, own_words=True)
        assert pairs['remedy'] == CATALOGUE[code]['remedy']


# ---- what a destination answers ----------------------------------------------

ANSWERS = {'1.2.1': (0x0110, 'CV4011'), '1.2.2': (0xC001, 'CV4019'),
           '1.2.3': (0xA901, 'CV4018'), '1.2.4': (0x0122, 'CV4014')}


def test_statuses_are_told_in_the_queue_and_in_the_log(daemons, scps, tls,
                                                       edge_config):
    scp = scps(tls=tls.server())
    scp.status = lambda iuid: ANSWERS[iuid][0]
    edge = daemons(edge_config(scp.port))
    for iuid in list(ANSWERS)[:3]:
        dicom.send(edge.port(), [(iuid, dicom.data_set(iuid))])

    def rows():
        p = edge.cli('queue', 'list', '--json', check=True)
        return {r['sop_instance']: r for r in json.loads(p.stdout)
                if r['code']} if p.stdout.startswith('[') else {}
    got = until('errors', lambda: (lambda r: r if len(r) == 3 else None)(
        rows()))
    for iuid, r in got.items():
        status, code = ANSWERS[iuid]
        assert r['code'] == code and r['status'] == '%04X' % status
        assert CATALOGUE[code]['cause'] in r['error']
    # one that holds all of its kind
    dicom.send(edge.port(), [('1.2.4', dicom.data_set('1.2.4'))])
    check_held = edge.wait_log(r' held code=CV4014 ')
    assert CATALOGUE['CV4014']['cause'] in check_held
    until('alert', lambda: 'CV4014' in edge.cli('status').stdout)


def test_a_destination_that_is_away(daemons, edge_config):
    edge = daemons(edge_config(culvert.free_port()))
    dicom.send(edge.port(), [('1.2.3', dicom.data_set('1.2.3'))])
    line = edge.wait_log(r' destination-unreachable code=CV3002 ')
    assert 'outcome=connect ' in line and CATALOGUE['CV3002']['remedy'] in line
    p = edge.cli('echo', 'archive')
    assert p.returncode == 1


# ---- configuration and start -------------------------------------------------

def test_a_start_that_fails_and_a_reload_that_is_refused(daemons, edge_config):
    edge = daemons(edge_config(1))
    edge.config['routes'][0]['forward'] = ['nowhere']
    edge.write()
    edge.process.send_signal(signal.SIGHUP)
    check_line(edge.wait_log(' config-refused '), 'CV1003')
    line = edge.wait_log(' config-problem ')
    assert 'nowhere' in check_line(line, 'CV1002')['detail'] and 'line=' in line
    edge.config['routes'][0]['forward'] = ['archive']
    edge.config['workers'] = 3
    edge.write()
    edge.cli('reload', check=True)
    check_line(edge.wait_log(' config-needs-restart '), 'CV1004')
    edge.stop()
    (edge.root / 'control.sock').unlink(missing_ok=True)
    key = next(edge.root.glob('**/*.key'), None) or \
        next(edge.root.glob('**/data.key'))
    key.chmod(0o644)
    since = len(edge.lines)
    edge.start(wait=False)
    line = edge.wait_log(' start-failed ', since=since)
    check_line(line, 'CV7008')
    assert edge.process.wait(30) != 0
    edge._ended()
    key.chmod(0o600)
    edge.config['listeners']['modalities']['address'] = '192.0.2.1:104'
    edge.write()
    since = len(edge.lines)
    edge.start(wait=False)
    check_line(edge.wait_log(' start-failed ', since=since), 'CV1001')
    assert edge.process.wait(30) != 0
    edge._ended()


# ---- the log -----------------------------------------------------------------

def test_the_log_turns_to_json_by_a_reload(daemons, edge_config):
    edge = daemons(edge_config(1))
    edge.config['log'] = {'format': 'json'}
    edge.write()
    edge.cli('reload', check=True)
    since = len(edge.lines)
    call(edge.port(), calling='WHO')[0].close()
    line = edge.wait_log(r'"event":"refused"', since=since)
    o = json.loads(line)
    assert o['code'] == 'CV2004' and o['level'] == 'warn' and o['listener'] == \
        'modalities' and o['calling'] == 'WHO' and o['remedy']
    edge.stop()
    for line in edge.lines[since:]:
        o = json.loads(line)
        assert list(o)[:3] == ['time', 'level', 'event']


def test_a_log_in_the_journal_has_priorities(tmp_path, edge_config):
    """JOURNAL_STREAM names the very file that stderr is."""
    c = culvert.Culvert(tmp_path, edge_config(1))
    with open(tmp_path / 'journal', 'wb') as f:
        st = os.fstat(f.fileno())
        p = subprocess.Popen(
            [BINARY, 'serve', '-c', str(c.path)], stderr=f, cwd=c.root,
            env=dict(os.environ, JOURNAL_STREAM='%d:%d' % (
                st.st_dev, st.st_ino)))
    log = tmp_path / 'journal'
    until('ready', lambda: ' ready ' in log.read_text())
    call(c.port(), calling='WHO')[0].close()
    until('refused', lambda: ' refused ' in log.read_text())
    p.terminate()
    assert p.wait(60) == 0
    lines = log.read_text().splitlines()
    assert all(re.match(r'<[3467]>\d{4}-', line) for line in lines)
    assert any(line.startswith('<4>') and ' refused ' in line for line in lines)


# ---- commands ----------------------------------------------------------------

COMMANDS = re.findall(r'^  ([a-z]+) +[a-z]', run('help').stdout, re.M)


@pytest.mark.parametrize('command', COMMANDS)
def test_what_help_names_is_completed(command):
    """The table of options does not fall behind the commands."""
    helps = [run(command, '--help').stdout]
    if command in ('audit', 'transfers', 'web'):  # each word has its own
        helps += [run(command, word, '--help', check=True).stdout
                  for word in complete("culvert %s ''" % command)
                  if word.islower() and word[0] != '-']
        assert len(helps) > 1
    told = set(re.findall(r'(?<![\w-])--[a-z][a-z-]+',
                          '\n'.join(helps))) - {'--help'}
    if command == 'transfers':
        told -= {'--export'}  # audit verify and transfers verify share one
    script = run('completion', 'bash', check=True).stdout
    options = re.search(r"\t%s\)\n\t\toptions='(.*?)'" % command, script)
    assert told <= set(options.group(1).split()) | {'--config'}


def complete(line):
    script = run('completion', 'bash', check=True).stdout + (
        '\nCOMP_WORDS=(%s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_culvert\n'
        'printf "%%s\\n" "${COMPREPLY[@]}"\n' % line)
    p = subprocess.run(['bash', '-c', script], capture_output=True, text=True)
    assert p.returncode == 0 and not p.stderr, p.stderr
    return p.stdout.split()


def test_bash_completes_commands_words_and_options():
    assert complete('culvert qu') == ['queue']
    assert 'list' in complete("culvert queue ''")
    assert complete('culvert queue ret') == ['retry']
    assert complete('culvert queue list --st') == ['--study', '--state'] or \
        set(complete('culvert queue list --st')) == {'--state', '--study'}
    assert complete('culvert queue list --state quar') == ['quarantined']
    assert complete('culvert explain --language z') == ['zh']


def test_json_and_exit_codes(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    dicom.send(edge.port(), [('1.2.3', dicom.data_set('1.2.3'))])
    edge.wait_deliveries('delivered', 1)
    rows = json.loads(edge.cli('queue', 'list', '--state', 'all', '--json',
                               check=True).stdout)
    assert rows[0]['sop_instance'] == '1.2.3'
    one, = json.loads(edge.cli('queue', 'show', rows[0]['transfer'], '--json',
                               check=True).stdout)
    assert one['state'] == 'delivered' and one['error'] == ''
    def ended():
        rows = json.loads(edge.cli('association', 'list', '--json',
                                   check=True).stdout)
        return rows if rows and rows[-1]['ended'] else None
    rows = until('association', ended)
    shown, = json.loads(edge.cli('association', 'show', rows[-1]['id'],
                                 '--json', check=True).stdout)
    assert shown['calling_ae'] == 'SCU' and shown['context_list']
    assert json.loads(edge.cli('association', 'operations', '--json',
                               check=True).stdout) == []
    rows = json.loads(edge.cli('check', '--json').stdout)
    assert {'result', 'subject', 'text', 'code'} == set(rows[0])
    edge.stop()
    report = json.loads(edge.cli('spool', 'check', '--json', check=True).stdout)
    assert report['damaged'] == 0 and report['findings'] == []
    for command in (('status',), ('reload',), ('top', '--once'),
                    ('queue', 'retry', '--destination', 'archive')):
        p = edge.cli(*command)
        assert p.returncode == 3, (command, p.stdout, p.stderr)


# ---- in a terminal -----------------------------------------------------------

class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *args, program=BINARY, rows=30, columns=100, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update({'TERM': 'xterm', **env})
            if 'NO_COLOR' not in env:
                os.environ.pop('NO_COLOR', None)
            os.execvp(program, [program, *map(str, args)])
        self.size(rows, columns)
        self.out = b''

    def size(self, rows, columns):
        import fcntl
        import termios
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, columns, 0, 0))

    def read(self, want, seconds=20):
        end = time.monotonic() + seconds * culvert.SLOW
        while want not in self.out:
            assert time.monotonic() < end, (want, self.out[-2000:])
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    b = os.read(self.fd, 65536)
                except OSError:
                    b = b''
                assert b or want in self.out, (want, self.out[-2000:])
                self.out += b
        return self.out

    def end(self):
        """Exit status; the rest of what it writes is read."""
        while True:
            try:
                b = os.read(self.fd, 65536)
            except OSError:
                b = b''
            if not b:
                break
            self.out += b
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_top_shows_resizes_and_puts_the_terminal_back(daemons, edge_config):
    edge = daemons(edge_config(culvert.free_port()))
    dicom.send(edge.port(), [('1.2.3', dicom.data_set('1.2.3'))])
    edge.wait_log(' destination-unreachable ')
    t = Terminal('top', '-c', edge.path, '--every', '1')
    out = t.read(b'archive')
    assert out.index(b'\x1b[?1049h') < out.index(b'archive')
    t.size(10, 40)
    os.kill(t.pid, signal.SIGWINCH)

    def small():
        t.out = b''
        t.read(b'\x1b[J')
        frame = t.out[:t.out.index(b'\x1b[J')].split(b'\x1b[H')[-1]
        lines = [re.sub(rb'\x1b\[[0-9;?]*[A-Za-z]|\r', b'', line)
                 for line in frame.split(b'\r\n')]
        return len(lines) <= 10 and max(map(len, lines)) == 40
    until('a small frame', small)
    os.write(t.fd, b'q')
    assert t.end() == 0
    assert t.out.endswith(b'\x1b[?25h\x1b[?1049l')
    t = Terminal('top', '-c', edge.path)
    t.read(b'archive')
    os.kill(t.pid, signal.SIGTERM)
    assert t.end() == 128 + signal.SIGTERM
    assert t.out.endswith(b'\x1b[?25h\x1b[?1049l')
    out = edge.cli('top', '--once', check=True).stdout
    assert '\x1b' not in out and 'archive' in out and 'scanner' in out


@needs('zsh')
def test_zsh_completes_commands_words_and_options(tmp_path):
    """As a person has it: in a terminal, the script in fpath."""
    script = tmp_path / '_culvert'
    script.write_text(run('completion', 'zsh', check=True).stdout)
    subprocess.run(['zsh', '-n', script], check=True)
    t = Terminal('-f', '-i', program='zsh', columns=200, PS1='ready> ')
    os.write(t.fd, b"fpath=('%s' $fpath); autoload -U compinit; compinit -D -u"
             b"; unsetopt beep; print begun$((6 * 7))\n" %
             str(tmp_path).encode())
    t.read(b'begun42', 60)
    for typed, made in (
            (b'culvert que', b'queue '),
            (b'culvert queue ret', b'retry '),
            (b'culvert queue list --state quar', b'quarantined '),
            (b'culvert refused --bef', b'--before '),
            (b'culvert explain --language z', b'zh ')):
        t.out = b''
        # what was completed is printed, not run
        os.write(t.fd, typed + b'\t\x01print -r -- made: \n')
        t.read(b'made: ' + b' '.join(typed.split()[:-1]) + b' ' +
               made.strip() + b'\r\n')
    os.write(t.fd, b'exit\n')
    t.end()


def test_limits_are_the_same_wherever_they_are_shown(daemons, edge_config):
    edge = daemons(edge_config(1))
    assert edge.cli('rates', '--json', check=True).stdout.strip() == '[]'
    assert 'no limits' in edge.cli('rates', check=True).stdout
    edge.config['rate'] = {'limit': '40Mbit'}
    edge.write()
    edge.cli('reload', check=True)
    rows = json.loads(edge.cli('rates', '--json', check=True).stdout)
    assert rows == edge.status()['rates']
    assert [(r['of'], r['limit']) for r in rows] == [('total', 40000000)]
    for command in (('rates',), ('status',)):
        assert ' 40 Mbit/s ' in edge.cli(*command).stdout
    assert ' 40.0 Mbit/s ' in edge.cli('top', '--once', check=True).stdout
    edge.stop()
    assert edge.cli('rates').returncode == 3


def test_colours_only_in_a_terminal_and_when_wanted(daemons, edge_config):
    edge = daemons(edge_config(1))
    t = Terminal('status', '-c', edge.path)
    t.end()
    assert b'\x1b[32m' in t.out
    t = Terminal('status', '-c', edge.path, NO_COLOR='1')
    t.end()
    assert b'\x1b' not in t.out
    t = Terminal('status', '-c', edge.path, TERM='dumb')
    t.end()
    assert b'\x1b' not in t.out
    assert '\x1b' not in edge.cli('status').stdout


def test_a_second_signal_cuts_what_is_open(daemons, edge_config):
    edge = daemons(edge_config(1))
    a = dicom.Association(edge.port(), [(1, CT, [EVLE])])
    edge.process.send_signal(signal.SIGTERM)
    edge.wait_log(' stopping ')
    edge.process.send_signal(signal.SIGTERM)
    check_line(edge.wait_log(' stopping-now '), 'CV1005')
    assert edge.process.wait(60) == 0
    edge._ended()
    a.close()


# ---- what seldom happens -----------------------------------------------------

SHIM = pathlib.Path('build/release/fault/shim_eio.so').resolve()


@pytest.mark.skipif(not SHIM.exists(), reason='make fault-build')
def test_a_disk_that_never_answers_does_not_keep_it_from_ending(
        daemons, edge_config, tmp_path):
    order = tmp_path / 'order'
    edge = daemons(edge_config(1), env={
        'LD_PRELOAD': str(SHIM), 'EIO_ORDER': str(order),
        'EIO_DIR': str(tmp_path / 'edge' / 'spool'),
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
        ':verify_asan_link_order=0'})
    order.write_text('stall')
    a = dicom.Association(edge.port(), [(1, CT, [EVLE])])
    a.send_message(1, a.store_rq(1, CT, '1.2.3'), dicom.data_set('1.2.3'))
    until('it waits', lambda: edge.status()['associations'] == 1)
    edge.process.send_signal(signal.SIGTERM)
    check_line(edge.wait_log(' stopped-hard ', seconds=90), 'CV1006')
    assert edge.process.wait(60) == 1
    order.unlink()
    a.close()
    edge._ended()


def test_orders_that_are_refused_for_a_role_end_with_4(tmp_path, edge_config):
    """A daemon that says no, as control.sock does."""
    c = culvert.Culvert(tmp_path, edge_config(1))
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(c.root / 'control.sock'))
        s.listen()
        for command in (('audit', 'prune'), ('audit', 'confirm-clock'),
                        ('audit', 'hold', 'list'), ('reload',), ('status',),
                        ('queue', 'retry', '--destination', 'archive')):
            with subprocess.Popen([BINARY, *command, '-c', c.path], text=True,
                                  stderr=subprocess.PIPE) as p:
                k, _ = s.accept()
                with k, k.makefile('rw') as f:
                    f.readline()
                    f.write('{"ok": false, "error": "anna may not", '
                            '"reason": "rights"}\n')
                    f.flush()
                    err = p.communicate(timeout=60)[1]
            assert (p.returncode, 'anna may not' in err) == (4, True), command
