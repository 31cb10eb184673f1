"""One large object over a line that is cut over and over, while both ends are
killed in turn: it goes on where it stopped, and the log says what went twice.

200 MB in every run; CULVERT_LINK_MB=2000 for the real thing."""
import os
import re
import time

import pytest

import linked
from culvert import SLOW
from linked import MIB, numbers_of, wait_only

SIZE = int(os.environ.get('CULVERT_LINK_MB', '200')) * 1000000
CUTS = 20
# What the receiver holds and has not made durable when it is killed: what
# comes during one flush.
UNFLUSHED = 8 * MIB
# Chunks that may be under way.
WINDOW = 16
# TLS, frames and acknowledgements.
OVERHEAD = 1.01


def lines_of(c, pattern):
    return [line for line in c.log().splitlines() if re.search(pattern, line)]


def runs_in(line):
    """The chunks that a line names: again_chunks=3,7-9"""
    text = re.search(r' again_chunks="?([-0-9,]*)', line).group(1)
    out = set()
    for run in filter(None, text.split(',')):
        first, _, last = run.partition('-')
        out.update(range(int(first), int(last or first) + 1))
    return out


def watch(s, thresholds, seconds):
    """Run each of {bytes over the line: function} when the line is there;
    until the edge has delivered everything."""
    end = time.monotonic() + seconds * SLOW
    left = sorted(thresholds.items())
    while True:
        up = s.line.up()
        while left and up >= left[0][0]:
            left.pop(0)[1]()
        if not left and linked.states(s.edge) == {'delivered': 1}:
            return
        assert time.monotonic() < end, (up, linked.states(s.edge),
                                        linked.states(s.cloud))
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(1800 if SIZE > 1e9 else 300)
def test_a_large_object_survives_cuts_and_kills(links):
    quota = {'path': 'spool', 'quota': '%dMiB' % (3 * SIZE / MIB + 200),
             'segment': '16MiB'}
    s = links(line=('--mbit', 800, '--delay', 0.005, '--queue', '256K',
                    '--cut-every', SIZE // (CUTS + 3), '--cuts', CUTS),
              edge={'spool': quota}, cloud={'spool': quota})
    big = linked.Big('1.2.3.830.1', SIZE)
    assert big.store(s.edge.port(), timeout=900) == 0
    kills = []

    def kill(c):
        def run():
            if linked.states(s.edge) == {'delivered': 1}:
                return
            c.kill()
            c.start()
            kills.append(c.name)
        return run
    watch(s, {int(SIZE * f): kill(c) for f, c in (
        (0.15, s.edge), (0.3, s.cloud), (0.5, s.edge), (0.7, s.cloud))},
        max(90, SIZE / 4e6))
    s.far.wait({big.iuid: big.digest()})
    wait_only(s.cloud, 'delivered', 1)

    stat = s.line.stat()
    assert stat['cuts'] == CUTS and len(kills) == 4, (stat['cuts'], kills)
    lost = sum(c['up'] for c in stat['cut'])  # its queue included
    bound = 1.02 * (big.length + lost + CUTS * MIB +
                        len(kills) * (UNFLUSHED + MIB))
    resumed = lines_of(s.edge, ' transfer-resumed ')
    print('%d bytes over the line for %d, %.3f; lost on the line %d; bound %d'
          % (stat['up'], big.length, stat['up'] / big.length, lost, bound))
    print('\n'.join(resumed))
    assert stat['up'] <= bound

    # The log: it went on each time, with more than before, and it names the
    # chunks that went again, which is what went beyond the object.
    numbers = [numbers_of(line) for line in resumed]
    assert len(numbers) >= CUTS, resumed
    had = [n['had'] for n in numbers]
    chunks = -(-big.length // MIB)
    assert had == sorted(had) and had[-1] > 0.6 * chunks, had
    named = 0
    for line, n in zip(resumed, numbers):
        again = runs_in(line)
        assert len(again) == n['again'] <= n['to_send'], line
        assert all(0 <= i < chunks for i in again), line
        named += n['again']
    more = stat['up'] - OVERHEAD * big.length
    assert named >= CUTS / 2
    # An edge that was killed does not know what it had begun.
    assert more <= (named + kills.count('edge-1') * WINDOW) * MIB, (more, named)


@pytest.mark.tsan
def test_it_resumes_after_a_long_silence_of_the_line(links):
    """A line that stands still is left for another connection; what was
    durable is not sent again."""
    s = links(line=('--mbit', 160, '--delay', 0.01))
    big = linked.Big('1.2.3.831.1', 30000000)
    assert big.store(s.edge.port()) == 0

    def hole():
        s.line.say('hole 4')
    watch(s, {10000000: hole}, 60)
    s.far.wait({big.iuid: big.digest()})
    stat = s.line.stat()
    # The connections of before the hole, and those that probed it.
    assert stat['accepted'] <= 12, stat['accepted']
    assert stat['up'] < 1.5 * big.length, stat['up']
