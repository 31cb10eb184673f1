"""Five hundred devices at once with all services, for CULVERT_SOAK minutes.

Each association is ended in some way and followed by another. Afterwards no
association, leg or descriptor is left, memory has not grown, and LeakSanitizer
has nothing to say."""
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

import relayed
from culvert import until

HERE = pathlib.Path(__file__).resolve().parent
MINUTES = float(os.environ.get('CULVERT_SOAK', '2'))
DEVICES = int(os.environ.get('CULVERT_SOAK_DEVICES', '500'))
PROCESSES = 2
PATIENT = {'connect': '60s', 'relay': '60s', 'associate': '60s',
           'response': '120s', 'retrieve': '120s', 'idle': '1s'}


class Helper:
    """A Python program of ours that is told and tells by lines."""

    def __init__(self, *args, log):
        self.process = subprocess.Popen(
            [sys.executable, *map(str, args)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=open(log, 'wb'), text=True,
            cwd=HERE)

    def line(self):
        line = self.process.stdout.readline()
        assert line, 'ended: %s' % (self.process.args,)
        return line

    def tell(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def helpers(tmp_path):
    made = []

    def make(*args):
        made.append(Helper(*args, log=tmp_path / ('helper%d.log' %
                                                  len(made))))
        return made[-1]
    yield make
    for h in made:
        h.stop()


def look(edge):
    """(sockets, MiB resident) of the daemon."""
    d, n = '/proc/%d' % edge.process.pid, 0
    for fd in os.listdir(d + '/fd'):
        try:
            n += os.readlink('%s/fd/%s' % (d, fd)).startswith('socket:')
        except OSError:
            pass
    with open(d + '/status') as f:
        rss = int(f.read().split('VmRSS:')[1].split()[0]) // 1024
    return n, rss


@pytest.mark.slow
@pytest.mark.timeout(int(MINUTES * 60) + 900)
def test_five_hundred_devices_with_all_services(daemons, helpers, pki,
                                                tmp_path):
    responder = [HERE / 'responder.py', pki, 'archive']
    ports = [int(helpers(*responder).line()) for _ in range(3)]
    c = relayed.config(pki, *ports, spool={
        'path': 'spool', 'quota': '4GiB', 'segment': '64MiB'})
    for d in c['destinations'].values():
        d['timeouts'] = PATIENT
    c['destinations']['archive']['associations'] = 8
    edge = daemons(c, env={'ASAN_OPTIONS': os.environ.get(
        'ASAN_OPTIONS', '') + ':quarantine_size_mb=16'})
    edge.status()
    idle, _ = look(edge)
    soakers = [helpers(HERE / 'soaker.py', edge.port(), DEVICES // PROCESSES,
                       i + 1) for i in range(PROCESSES)]
    for s in soakers:
        assert s.line() == 'open\n'
    # each has one association, with a leg to the RIS, the archive or both
    assert edge.status()['associations'] == DEVICES // PROCESSES * PROCESSES
    opened, memory = look(edge)
    assert opened > idle + 2 * DEVICES
    for s in soakers:
        s.tell()
    end = time.monotonic() + MINUTES * 60
    high = []
    while time.monotonic() < end:
        time.sleep(min(5, max(0, end - time.monotonic())))
        assert edge.alive()
        high.append(look(edge)[1])
    for s in soakers:
        s.tell()
    told = [json.loads(s.line()) for s in soakers]
    failed = [f for t in told for f in t['failed']]
    assert not failed, (len(failed), failed[:5])
    assert sum(t['hanging'] for t in told) == 0
    stored = [i for t in told for i in t['stored']]
    done = [sum(t['operations'].get(k, 0) for t in told)
            for k in ('1', '3', '5', '7', '9', '11')]
    print('\n%d associations, operations %s, %d instances, MiB %s' % (
        sum(t['associations'] for t in told), done, len(stored), high))
    assert min(done) > 10
    until('no association', lambda: edge.status()['associations'] == 0, 60)
    edge.wait_deliveries('delivered', len(stored), 120)
    until('no socket more than before (%d)' % idle,
          lambda: look(edge)[0] <= idle + 1, 60)
    # what grows with time would still grow in the second half
    half = high[len(high) // 2:]
    assert half[-1] <= half[0] + 48 + half[0] // 10, high
