"""Run real Culverts in tests: configuration, life, log, ledger.

A Culvert's log is read line by line, so tests wait on what it says, never on
time. Every stop looks for sanitizer reports: one of them fails the test.
"""
import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

BINARY = os.path.abspath(os.environ.get('CULVERT', 'build/asan/culvert'))
SLOW = 3 if 'tsan' in BINARY or 'asan' in BINARY else 1
REPORT = re.compile(r'ERROR: (Address|Leak|Thread)Sanitizer|runtime error:'
                    r'|WARNING: ThreadSanitizer|Assertion .* failed')


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def until(what, condition, seconds=30):
    """Wait for condition() to be true; its value is returned."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError('never came: ' + what)
        time.sleep(0.02)


def note_conditions(text):
    """Lines with a code, for tests/conditions.py."""
    folder = os.environ.get('CULVERT_CONDITIONS')
    lines = [t for t in text.splitlines() if re.search(r'CV\d{4}', t)]
    if folder and lines:
        with open(os.path.join(folder, '%d.seen' % os.getpid()), 'a',
                  encoding='utf-8') as f:
            f.write('\n'.join(lines) + '\n')


def run(*args, check=False, timeout=60, **kw):
    """A culvert command; returns the CompletedProcess with text output."""
    p = subprocess.run([BINARY, *map(str, args)], capture_output=True,
                       text=True, errors='replace', timeout=timeout * SLOW, **kw)
    assert not REPORT.search(p.stderr), p.stderr[-4000:]
    if not {'explain', '--man'} & set(map(str, args)):
        note_conditions(p.stdout + p.stderr)
    if check:
        assert p.returncode == 0, (args, p.returncode, p.stdout, p.stderr)
    return p


def yaml(value, indent=0):
    """Enough YAML for configurations: JSON is YAML."""
    return json.dumps(value, indent=1)


class Culvert:
    """One daemon in a directory of its own.

    config: a dict in the shape of the YAML file. Missing parts (node, spool,
    records, control) are filled in; a listener's address may be left out: a
    free port is chosen, and stays over restarts."""

    def __init__(self, root, config, name='edge', env=None, prefix=()):
        self.root = pathlib.Path(root) / name
        self.root.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.env = env or {}
        self.prefix = list(prefix)
        self.config = dict({
            'node': name,
            'spool': {'path': 'spool', 'quota': '512MiB', 'segment': '4MiB'},
            'records': {'path': 'records'},
            'control': {'path': 'control.sock'},
        }, **config)
        for listener in self.config['listeners'].values():
            listener.setdefault('address', '127.0.0.1:%d' % free_port())
            listener.setdefault('protocol', 'dicom')
            if listener['protocol'] != 'link':
                listener.setdefault('ae_titles', ['CULVERT'])
        self.path = self.root / 'culvert.yaml'
        self.write()
        self.process = None
        self.lines = []
        self.changed = threading.Condition()
        self.starts = 0
        self.large = False  # its spool is not kept after the test

    def write(self):
        self.path.write_text(yaml(self.config))

    def port(self, listener=None):
        listeners = self.config['listeners']
        listener = listener or next(iter(listeners))
        return int(listeners[listener]['address'].rsplit(':', 1)[1])

    # ---- life

    def start(self, wait=True):
        assert self.process is None
        with self.changed:
            self.mark = len(self.lines)
        self.process = subprocess.Popen(
            self.prefix + [BINARY, 'serve', '-c', str(self.path)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL, cwd=self.root,
            env=dict(os.environ, **self.env))
        self.reader = threading.Thread(target=self._read,
                                       args=(self.process,), daemon=True)
        self.reader.start()
        self.starts += 1
        if wait:
            self.wait_log(' ready ', since=self.mark)
        return self

    def _read(self, process):
        with open(self.root / 'log', 'ab') as log:
            for line in process.stderr:
                log.write(line)
                log.flush()
                with self.changed:
                    self.lines.append(line.decode('utf-8', 'replace'))
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def log(self):
        with self.changed:
            return ''.join(self.lines)

    def wait_log(self, pattern, seconds=30, since=0):
        """The first log line that matches, from line number since on."""
        end = time.monotonic() + seconds * SLOW
        with self.changed:
            while True:
                for line in self.lines[since:]:
                    if re.search(pattern, line):
                        return line
                if not self.reader.is_alive() and self.process and \
                        self.process.poll() is not None:
                    raise AssertionError('ended without %r:\n%s' % (
                        pattern, ''.join(self.lines[-40:])))
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError('never logged %r:\n%s' % (
                        pattern, ''.join(self.lines[-40:])))
                self.changed.wait(min(left, 0.2))

    def _ended(self):
        self.reader.join(10)
        self.process = None
        log = self.log()
        note_conditions(log)
        assert not REPORT.search(log), log[-6000:]

    def stop(self, seconds=30):
        """An orderly end: SIGTERM, exit status 0, no sanitizer report."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            self._ended()
            raise AssertionError('did not stop:\n' + self.log()[-4000:])
        self._ended()
        assert status == 0, (status, self.log()[-4000:])

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._ended()

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # ---- looking

    def cli(self, *args, **kw):
        command, rest = args[0], args[1:]
        return run(command, '-c', self.path, *rest, **kw)

    def status(self):
        return json.loads(self.cli('status', '--json', check=True).stdout)

    def sql(self, query, *args):
        """Rows of a query on the ledger; [] while there is none."""
        db = self.root / 'records' / 'ledger.db'
        if not db.exists():
            return []
        c = sqlite3.connect('file:%s?mode=ro' % db, uri=True, timeout=10)
        try:
            return c.execute(query, args).fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            c.close()

    def deliveries(self):
        """{state: count} over all deliveries."""
        names = {0: 'queued', 1: 'held', 2: 'quarantined', 3: 'delivered',
                 4: 'withdrawn', 5: 'discarded'}
        return {names.get(s, s): n for s, n in self.sql(
            'SELECT state, count(*) FROM deliveries GROUP BY state')}

    def wait_deliveries(self, state, count, seconds=60):
        until('%d %s (%s)' % (count, state, self.deliveries()),
              lambda: self.deliveries().get(state, 0) >= count, seconds)
