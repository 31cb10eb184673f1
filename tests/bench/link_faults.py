"""A line that is cut, and one that stands still."""

import threading
import time

import blackhole
import link_peers as lp
from harness import Failed, new_prefix
from link_peers import FAST, SLOW, Ends
from scenarios import KB512, interleave

MIB = 1 << 20
CUT_EVERY = 30_000_000


def allowed(payload, cuts, connections):
    """What the line may carry at most: payload, and for each cut what was on
    the line, its queue included, and an unfinished chunk a connection."""
    lost = sum(c['up'] for c in cuts)
    return 1.02 * (payload + lost + len(cuts) * connections * MIB)


def cut_turn(bench, p, size, count, patience):
    lp.warm(p)
    prefix = new_prefix()
    p.sink.mark(prefix)
    before = p.sink.stat()
    p.line.say('cut-every %d' % CUT_EVERY)
    p.line.say('reset')
    r = p.load(prefix, size=size, count=count)
    s = p.sink.wait(count, patience, patience)
    stat = p.line.stat()
    p.line.say('cut-every 0')
    payload = size * count
    most = allowed(payload, stat['cut'], getattr(p, 'connections',
                                                 p.associations))
    out = {'cuts': stat['cuts'], 'came': s['distinct'],
           'sent MB': stat['up'] / 1e6,
           'bytes/payload': stat['up'] / payload,
           'bytes/allowed': stat['up'] / most,
           'on the line MB': sum(c['up'] for c in stat['cut']) / 1e6,
           'twice at the sink': s['instances'] - s['distinct'],
           'failed at the sink': s['failed'] - before['failed']}
    if s['timeout']:
        bench.note('%s: %d of %d instances of %.0f MB came in %d s, with %d '
                   'cuts and %.0f MB sent' % (
                       p.name, s['distinct'], count, size / 1e6, patience,
                       stat['cuts'], stat['up'] / 1e6))
        return out
    return {'e2e s': (s['last_ns'] - r['first_send_ns']) / 1e9, **out}


def cut_peers(bench, name, classes, profile, size, count, patience, rounds):
    samples = {}
    for cls in classes:  # what never arrives would go on during the others'
        if cls.name in bench.skip:
            continue
        ends = Ends(bench)
        p = cls(bench, profile, ends)
        try:
            p.start()
            samples.update(interleave(
                bench, name, [(p.name, lambda p=p: cut_turn(
                    bench, p, size, count, patience if p.sink is ends.archive
                    else min(patience, 60)))], rounds))
        except Failed as e:
            bench.note('%s, %s: %s' % (name, cls.name, e))
        finally:
            p.clean()
            ends.stop()
    bench.add(name, samples, None)
    ours = bench.medians(samples).get('culvert', {})
    bench.claim(name, 'everything arrived', ours.get('came'), count, '>=', 1)
    bench.claim(name, 'bytes sent against what is allowed',
                ours.get('bytes/allowed'), 1, '<=', 1)


def cuts(bench, wanted):
    """100 CT of 512 KB, the line cut every 30 MB."""
    cut_peers(bench, 'link-cuts', [lp.Link, lp.Link4, lp.Tls4], SLOW, KB512,
              100, 120, bench.rounds)


def big(bench, wanted):
    """One object of 2 GB, the line cut every 30 MB."""
    cut_peers(bench, 'link-2g', [lp.Link, lp.Tls1], FAST,
              (bench.big << 20) - 2, 1, 60 + bench.big // 10, 1)


# --- a black hole ---

class Rate:
    """Bytes that entered a line, noted every 50 ms by a thread."""

    def __init__(self, line):
        self.line, self.v = line, []
        self.go = True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while self.go:
            stat = self.line.stat()
            self.v.append((stat['ns'], stat['up']))
            time.sleep(0.05)

    def stop(self):
        self.go = False
        self.thread.join()

    def mbit(self, from_ns, seconds):
        """Over the samples from from_ns on; None: not so many."""
        v = [s for s in self.v if from_ns <= s[0]]
        part = [s for s in v if s[0] <= v[0][0] + seconds * 1e9] if v else []
        if len(part) < 2 or v[-1][0] < v[0][0] + seconds * 1e9:
            return None
        return (part[-1][1] - part[0][1]) * 8e3 / (part[-1][0] - part[0][0])

    def back_after(self, ns, mbit):
        """Seconds from ns until a second of at least so much begins."""
        for at, _ in self.v:
            rate = self.mbit(at, 1) if at >= ns else None
            if rate is not None and rate >= mbit:
                return (at - ns) / 1e9
        return None


def hole_turn(bench, p, hole):
    """hole(seconds) makes it and returns when it is over."""
    lp.warm(p)
    prefix = new_prefix()
    p.sink.mark(prefix)
    count = int((20 + bench.hole / 4) * p.profile.mbit * 1e6 / 8 / KB512)
    load = threading.Thread(target=p.load, args=(prefix,), daemon=True,
                            kwargs={'size': KB512, 'count': count})
    p.line.say('reset')
    rate = Rate(p.line)
    load.start()
    time.sleep(3)
    for _ in range(16):  # until it is full: a busy machine takes a while
        time.sleep(0.5)
        if (rate.mbit(time.monotonic_ns() - 1_500_000_000, 1.2) or 0
                ) >= 0.9 * p.profile.mbit:
            break
    before = time.monotonic_ns()
    hole(bench.hole)
    over = time.monotonic_ns()
    time.sleep(8)
    rate.stop()
    load.join(300)
    s = p.sink.wait(count, 180, 60)
    full = rate.mbit(before - 2_500_000_000, 2)
    back = rate.back_after(over, 0.9 * p.profile.mbit)
    if full is None or full < 0.8 * p.profile.mbit:
        bench.note('%s: the line was not full before the hole (%s Mbit/s)'
                   % (p.name, full))
    if s['timeout']:
        raise Failed('after the hole: %d of %d came' % (s['distinct'], count))
    # Never within what was watched: as if at its end.
    return {'Mbit/s before': full or 0, 'back after s': 8 if back is None
            else back, 'twice at the sink': s['instances'] - s['distinct']}


def emulated(bench, cls, ends):
    p = cls(bench, SLOW, ends)

    def hole(seconds):
        p.line.say('hole %g' % seconds)
        time.sleep(seconds)
    p.start()
    return p, hole


def real(bench, cls, ends, net):
    """The line and the far end are on the far side of a link that can be set
    down without either end noticing."""
    p = cls(bench, SLOW, ends)
    p.name = cls.name + '-net'
    p.net = net
    p.start()
    return p, net.hole


def hole(bench, wanted):
    """The line stands still, and is back within two seconds."""
    samples = {}
    why = blackhole.missing()
    if why:
        bench.note('link-hole: NO REAL BLACK HOLE, only the emulated one: '
                   + why)
    for cls in (lp.Link, lp.Tls4):
        if cls.name in bench.skip:
            continue
        one_hole(bench, samples, lambda ends: emulated(bench, cls, ends))
        if why:
            continue
        with blackhole.Net() as net:
            one_hole(bench, samples,
                     lambda ends: real(bench, cls, ends, net), net)
    bench.add('link-hole', samples, None)
    m = bench.medians(samples)
    for name in ('culvert', 'culvert-net'):
        bench.claim('link-hole', 'full rate after a hole of %g s, seconds, %s'
                    % (bench.hole, name), m.get(name, {}).get('back after s'),
                    1, '<=', 2)


def one_hole(bench, samples, make, net=None):
    ends = Ends(bench, net)
    p = None
    try:
        p, function = make(ends)
        samples.update(interleave(bench, 'link-hole', [
            (p.name, lambda: hole_turn(bench, p, function))], 1))
    except Failed as e:
        bench.note('link-hole: %s' % e)
    finally:
        if p:
            p.clean()
        ends.stop()


ALL = {
    'link-cuts': cuts,
    'link-2g': big,
    'link-hole': hole,
}
