"""dcmjs-dimse, an implementation of its own in JavaScript, as device and as
RIS. It is installed from npm by its lock file, once, into build/node."""
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading

import pytest

from culvert import until

HERE = pathlib.Path(__file__).resolve().parent / 'node'
BUILD = HERE.parents[2] / 'build' / 'node'


unreachable = None  # why, once npm could not install


def skip_unreachable(output):
    """Where npm's registry cannot be used (no network, a proxy's certificate),
    a user's tests go on without dcmjs-dimse, and say so. With
    CULVERT_NEED_NPM set, and for any other failure, they fail."""
    global unreachable
    errors = re.findall(r'code (E[A-Z_]+|[A-Z_]*CERT[A-Z_]*)', output)
    network = {'ENOTFOUND', 'EAI_AGAIN', 'ECONNREFUSED', 'ECONNRESET',
               'ETIMEDOUT', 'ERR_SOCKET_TIMEOUT', 'SELF_SIGNED_CERT_IN_CHAIN',
               'UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'CERT_HAS_EXPIRED'}
    if os.environ.get('CULVERT_NEED_NPM') or not network & set(errors):
        return
    unreachable = "npm's registry cannot be used: " + ', '.join(errors)
    pytest.skip(unreachable)


def installed():
    """The directory of modules; installs what the lock file names."""
    if unreachable:
        pytest.skip(unreachable)
    for program in ('node', 'npm'):
        assert shutil.which(program), program + ' is not installed'
    want = hashlib.sha256(
        (HERE / 'package-lock.json').read_bytes()).hexdigest()
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = BUILD / 'installed'
        if not done.exists() or done.read_text() != want:
            for name in ('package.json', 'package-lock.json'):
                shutil.copy(HERE / name, BUILD / name)
            p = subprocess.run(
                ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund',
                 '--fetch-retries=1'],
                cwd=BUILD, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=250)
            if p.returncode != 0:
                skip_unreachable(p.stdout)
            assert p.returncode == 0, 'npm ci: ' + p.stdout[-3000:]
            done.write_text(want)
    return BUILD / 'node_modules'


def environment(**more):
    return dict(os.environ, NODE_PATH=str(installed()), **more)


class Answers(list):
    """The lines that a device printed."""

    def statuses(self, operation=None):
        return [x['status'] for x in self if 'status' in x and
                operation in (None, x['operation'])]

    def events(self, name):
        return [x for x in self if x.get('event') == name]


def scu(port, called, operations, calling='DCMJS', check=True, **more):
    """Perform the operations on one association; returns Answers."""
    p = subprocess.run(
        ['node', str(HERE / 'peer.js'), 'scu', '127.0.0.1', str(port),
         calling, called], env=environment(), text=True, timeout=120,
        input=json.dumps(dict(operations=operations, **more)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out = Answers(json.loads(x) for x in p.stdout.splitlines()
                  if x.startswith('{'))
    if check:
        assert p.returncode == 0 and out, (p.returncode, p.stdout[-2000:],
                                           p.stderr[-2000:])
        assert out.events('associationReleased'), p.stdout[-2000:]
    return out


class Scp:
    """A RIS over mutual TLS (with pki) or plaintext; lines: what it said."""

    def __init__(self, pki=None, name='archive', port=0, answers=None):
        files = [] if pki is None else [pki / (name + '.key'),
                                        pki / (name + '.pem'), pki / 'ca.pem']
        self.lines = []
        self.process = subprocess.Popen(
            ['node', str(HERE / 'peer.js'), 'scp', str(port),
             *map(str, files)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True,
            env=environment(ANSWERS=json.dumps(answers or {})))
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.port = until('dcmjs-dimse', self._listening)['listening']

    def _listening(self):
        assert self.process.poll() is None
        return self.lines[0] if self.lines else None

    def _read(self):
        for line in self.process.stdout:
            if line.startswith('{'):
                self.lines.append(json.loads(line))

    def requests(self, kind=None):
        return [x for x in list(self.lines) if 'request' in x and
                kind in (None, x['request'])]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
