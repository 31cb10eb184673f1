"""What every scenario needs: processes, their CPU and memory, keys, the load
generator and the sink. Standard library only."""

import atexit
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / 'build' / 'bench'
FIRST_PORT, LAST_PORT = 11400, 11499
TICK = os.sysconf('SC_CLK_TCK')

SUITE = 'TLS_AES_256_GCM_SHA384'
GROUP = 'P-256'
GROUP_NAMES = {'P-256': 'prime256v1', 'X25519': 'X25519'}  # OpenSSL's
PDU = 131072
UID_ROOT = '1.2.826.0.1.3680043.10.1599.7'


class Failed(Exception):
    """A peer or a tool did not do what the measurement needs."""


def say(text):
    print(text, flush=True)


def build_tools():
    subprocess.run(['make', '-s', '-C', str(HERE), 'OUT=%s' % BUILD],
                   check=True)


def raise_limits():
    """As many descriptors as root may have, for us and all we start."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


# --- processes ---

running = []


class Process:
    """A child, ended by pid whatever happens to us."""

    def __init__(self, name, argv, log, env=None, cwd=None, **kw):
        self.name = name
        self.log = pathlib.Path(log)
        self.out = open(log, 'ab')
        kw.setdefault('stdin', subprocess.DEVNULL)
        kw.setdefault('stdout', self.out)
        self.p = subprocess.Popen([str(a) for a in argv], stderr=self.out,
                                  env={**os.environ, **(env or {})}, cwd=cwd,
                                  **kw)
        self.pid = self.p.pid
        running.append(self)

    def alive(self):
        return self.p.poll() is None

    def stop(self, how=signal.SIGTERM, patience=60):
        if self.alive():
            self.p.send_signal(how)
            try:
                self.p.wait(patience)
            except subprocess.TimeoutExpired:
                say('  %s does not end: killed' % self.name)
                self.p.kill()
                self.p.wait()
        if self in running:
            running.remove(self)
        self.out.close()
        return self.p.returncode

    def tail(self, n=8):
        try:
            lines = self.log.read_text(errors='replace').splitlines()[-n:]
        except OSError as e:
            lines = [str(e)]
        return '\n'.join('    | ' + l[:200] for l in lines)


def stop_all():
    for p in list(running):
        p.stop(patience=10)


atexit.register(stop_all)


def raise_exit(signum, frame):
    sys.exit(128 + signum)


signal.signal(signal.SIGTERM, raise_exit)


def children(pid):
    out = [pid]
    try:
        for task in os.listdir('/proc/%d/task' % pid):
            path = '/proc/%d/task/%s/children' % (pid, task)
            for child in open(path).read().split():
                out += children(int(child))
    except OSError:
        pass
    return out


def cpu_seconds(pid):
    """User and system time of a process with its threads and children."""
    total = 0
    for p in children(pid):
        try:
            text = open('/proc/%d/stat' % p).read()
        except OSError:
            continue
        total += sum(int(f) for f in text.rsplit(')', 1)[1].split()[11:13])
    return total / TICK


def settle(pid, seconds=30):
    """Until it does nothing: what it does when it starts is no part of what
    is measured later."""
    end = time.monotonic() + seconds
    before = -1
    while before != cpu_seconds(pid) and time.monotonic() < end:
        before = cpu_seconds(pid)
        time.sleep(0.5)


def pin(pid, cpu):
    """All threads of a process, and of its children, to one processor."""
    for p in children(pid):
        for thread in os.listdir('/proc/%d/task' % p):
            os.sched_setaffinity(int(thread), {cpu})


def memory_mb(pid, field='VmHWM'):
    """VmHWM (the peak) or VmRSS (now), in MB of 10^6 bytes; children too."""
    total = 0
    for p in children(pid):
        try:
            for line in open('/proc/%d/status' % p):
                if line.startswith(field + ':'):
                    total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total / 1e6


def pss_kb(pid):
    """Memory in KiB, with shared pages divided among those who share them, so
    that several processes of one program add up; children too."""
    total = 0
    for p in children(pid):
        try:
            for line in open('/proc/%d/smaps_rollup' % p):
                if line.startswith('Pss:'):
                    total += int(line.split()[1])
        except OSError:
            pass
    return total


next_port = [FIRST_PORT]


def free_port():
    for _ in range(LAST_PORT - FIRST_PORT + 1):
        port = next_port[0]
        next_port[0] = port + 1 if port < LAST_PORT else FIRST_PORT
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass
    raise Failed('no free port between %d and %d' % (FIRST_PORT, LAST_PORT))


def await_port(port, process, seconds=60, host='127.0.0.1'):
    """Until something listens there. Returns the seconds it took."""
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        if not process.alive():
            raise Failed('%s ended by itself\n%s'
                         % (process.name, process.tail()))
        try:
            socket.create_connection((host, port), 1).close()
            return time.monotonic() - begun
        except OSError:
            time.sleep(0.002)
    raise Failed('%s does not listen\n%s' % (process.name, process.tail()))


# --- keys ---

def openssl(*args):
    subprocess.run(['openssl', *[str(a) for a in args]], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_pki(d):
    """A CA, and certificates for sink and proxy; EC P-256, for loopback."""
    d = pathlib.Path(d)
    d.mkdir(parents=True, exist_ok=True)
    new = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
    openssl('req', '-x509', *new, '-days', 30, '-subj', '/CN=Bench CA',
            '-keyout', d / 'ca.key', '-out', d / 'ca.pem')
    (d / 'san').write_text('subjectAltName=DNS:localhost,IP:127.0.0.1\n')
    for name in ('sink', 'proxy'):
        openssl('req', *new, '-subj', '/CN=' + name, '-keyout',
                d / (name + '.key'), '-out', d / (name + '.csr'))
        openssl('x509', '-req', '-in', d / (name + '.csr'), '-CA',
                d / 'ca.pem', '-CAkey', d / 'ca.key', '-CAcreateserial',
                '-days', 30, '-out', d / (name + '.pem'), '-extfile',
                d / 'san')
        both = (d / (name + '.pem')).read_text()
        both += (d / (name + '.key')).read_text()
        (d / (name + '-both.pem')).write_text(both)
    for key in d.glob('*.key'):
        key.chmod(0o600)
    return d


# --- the tools ---

class Sink:
    """The far end; mTLS pinned to one suite and group, or plaintext."""

    def __init__(self, work, pki=None, port=None, digests=None, group=GROUP,
                 resumption=True, wrapper=(), host='127.0.0.1'):
        self.port = port or free_port()
        self.stream = 'TLSv1.3/%s/%s' % (SUITE, GROUP_NAMES[group])
        argv = [*wrapper, BUILD / 'sink', '--port', self.port, '--pdu', PDU,
                '--listen', host]
        if pki:
            argv += ['--tls', '--cert', pki / 'sink.pem', '--key',
                     pki / 'sink.key', '--ca', pki / 'ca.pem', '--suites',
                     SUITE, '--groups', group]
        if not resumption:
            argv.append('--no-resumption')
        if digests:
            argv += ['--digests', digests]
        self.process = Process('sink', argv, work / 'sink.log',
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
        await_port(self.port, self.process, host=host)

    def ask(self, line):
        self.process.p.stdin.write(line + '\n')
        self.process.p.stdin.flush()
        answer = self.process.p.stdout.readline()
        if not answer:
            raise Failed('the sink ended\n' + self.process.tail())
        return json.loads(answer)

    def mark(self, prefix):
        return self.ask('mark ' + prefix)

    def stat(self):
        return self.ask('stat')

    def wait(self, count, seconds, stall=60):
        """Until count instances are here, or time is up, or nothing has come
        for stall seconds. In slices, so that a person sees it move."""
        end = time.monotonic() + seconds
        told = moved = time.monotonic()
        before = -1
        while True:
            r = self.ask('wait %d 1' % count)
            now = time.monotonic()
            if r['distinct'] != before:
                before, moved = r['distinct'], now
            if not r['timeout'] or now > end or now - moved > stall:
                return r
            if now - told > 5:
                told = now
                say('    %d of %d at the sink' % (r['distinct'], count))

    def stop(self):
        self.process.stop()


run_number = [int(time.time()) % 100000000 * 10]


def new_prefix():
    run_number[0] += 1
    return '%s.%d' % (UID_ROOT, run_number[0])


def loadgen(port, called, prefix, associations=1, size=512 * 1024,
            count=1000, seconds=0, first=0, quiet=False, patience=3600,
            extra=()):
    argv = [BUILD / 'loadgen', '--port', port, '--called', called, '--prefix',
            prefix, '--associations', associations, '--size', size, '--count',
            count, '--seconds', seconds, '--first', first, '--pdu', PDU,
            *extra]
    if not quiet:
        argv.append('--progress')
    p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                       timeout=patience)
    try:
        r = json.loads(p.stdout)
    except ValueError:
        raise Failed('loadgen said nothing (status %d)' % p.returncode)
    if r['acknowledged'] == 0:
        raise Failed('nothing acknowledged: %s, status %04x'
                     % (r['error'], r['status']))
    if p.returncode != 0:
        say('    note: %d of %d acknowledged; %s%s'
            % (r['acknowledged'], r['sent'], r['error'],
               ' status %04x' % r['status'] if r['refused'] else ''))
    return r


class Line:
    """A slow line to a port; see line.c. more: its other options, with
    underscores; also: more ports that end there, in order."""

    def __init__(self, work, to, mbit, delay, queue, also=(), wrapper=(),
                 listen='127.0.0.1', **more):
        self.port = free_port()
        self.also = [free_port() for _ in also]
        argv = [*wrapper, BUILD / 'line', '--port', self.port, '--to', to,
                '--mbit', mbit, '--delay', delay, '--queue', queue,
                '--listen', listen]
        if also:
            argv += ['--also', ','.join('%d-%d' % pair for pair in
                                        zip(self.also, also))]
        for name, value in more.items():
            argv += ['--' + name.replace('_', '-'), value]
        self.process = Process('line', argv, work / 'line.log',
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True)
        await_port(self.port, self.process, host=listen)

    def say(self, text):
        self.process.p.stdin.write(text + '\n')
        self.process.p.stdin.flush()
        answer = self.process.p.stdout.readline()
        if not answer:
            raise Failed('the line ended\n' + self.process.tail())
        return json.loads(answer)

    def stat(self):
        return self.say('stat')

    def stop(self):
        self.process.stop()


def talk_argv(port, mode, extra):
    return [str(a) for a in (BUILD / 'talk', '--port', port, '--mode', mode,
                             '--pdu', PDU, *extra)]


def talked(r):
    if r['error']:
        raise Failed('%s: %s (%d done)' % (r['mode'], r['error'], r['done']))
    return r


def talk(port, mode, *extra, patience=600, cpu=None):
    """Small exchanges; none may fail. cpu: the only processor to use."""
    p = subprocess.run(
        talk_argv(port, mode, extra), stdout=subprocess.PIPE,
        timeout=patience,
        preexec_fn=cpu is not None and (
            lambda: os.sched_setaffinity(0, {cpu})) or None)
    try:
        return talked(json.loads(p.stdout))
    except ValueError:
        raise Failed('talk said nothing (status %d)' % p.returncode)


class Held:
    """Associations that are open and idle."""

    def __init__(self, work, port, n):
        self.process = Process(
            'talk', talk_argv(port, 'idle', ['--hold', n, '--associations',
                                             8]),
            work / 'talk.log', stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        line = self.process.p.stdout.readline()
        if not line:
            raise Failed('talk said nothing\n' + self.process.tail())
        r = json.loads(line)
        if r['done'] < n:
            self.process.stop()
        talked(r)

    def let_go(self):
        self.process.p.stdin.close()
        self.process.p.wait(60)
        self.process.stop()


def overwrite(directory, size, seconds=2, append=False):
    argv = [BUILD / 'overwrite', '--directory', directory, '--size', size,
            '--seconds', seconds]
    if append:
        argv.append('--append')
    p = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE,
                       check=True)
    return json.loads(p.stdout)


def remove(path):
    shutil.rmtree(path, ignore_errors=True)


def make_work():
    """A directory of this run's own; those of runs that died are removed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    for old in BUILD.glob('work-*'):
        if not os.path.exists('/proc/' + old.name.split('-')[1]):
            remove(old)
    work = BUILD / ('work-%d' % os.getpid())
    remove(work)
    work.mkdir()
    return work
