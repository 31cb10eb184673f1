"""A long line between device and archive: the chunk link, dicom-tls, and the
others. Like relay.py; the peers are in link_peers.py, what breaks the line in
link_faults.py."""

import concurrent.futures
import subprocess
import time

import harness
import link_peers as lp
from harness import Failed, new_prefix, say, talk
from link_peers import FAST, SLOW, Ends, Profile, turn
from scenarios import KB20, KB512, interleave

EVERYBODY = [lp.Link, lp.Tls1, lp.Tls4, lp.Tls16, lp.Stunnel, lp.HAProxy,
             lp.Orthanc, lp.Direct, lp.Storescu]
RTTS = (0, 0.02, 0.05, 0.1, 0.2)


def start(bench, classes, profile, ends, **options):
    started = []
    for cls in classes:
        why = 'skipped' if cls.name in bench.skip else cls.missing()
        if why:
            bench.note('%s: not measured: %s' % (cls.name, why))
            continue
        p = cls(bench, profile, ends, **options)
        try:
            started.append(p.start())
        except Failed as e:
            bench.note('%s: not measured: %s' % (cls.name, e))
            p.clean()
    return started


def take_turns(bench, name, classes, profile, function, rounds=None):
    ends = Ends(bench)
    started = []
    try:
        started = start(bench, classes, profile, ends)
        return interleave(bench, name, [(p.name, lambda p=p: function(p))
                                        for p in started], rounds)
    finally:
        for p in started:
            p.clean()
        ends.stop()


def get(m, name, metric):
    return m.get(name, {}).get(metric)


# --- bulk ---

def bulk(bench, name, classes, profile, size, count):
    samples = take_turns(bench, name, classes, profile,
                         lambda p: turn(bench, p, size, count))
    bench.add(name, samples, None)
    return bench.medians(samples), profile.seconds(size * count)


def claim_link(bench, name, m, bare, times, full):
    bench.claim(name, 'seconds to the far sink against the bare line',
                get(m, 'culvert', 'e2e s'), bare, '<=', times)
    bench.claim(name, 'the line full, first to last byte',
                get(m, 'culvert', 'line use'), 1, '>=', full)


def claim_end_cpu(bench, name, m):
    for end in ('', 'far '):
        bench.claim(name, 'CPU s/GB at the %s end' % (end.strip() or 'near'),
                    get(m, 'culvert', end + 'CPU s/GB'), 1, '<=', 2.8)


def slow(bench, wanted):
    """200 CT of 512 KB over 100 Mbit/s, 100 ms there and back."""
    m, bare = bulk(bench, 'link-100m', [*EVERYBODY, lp.Link4, lp.Lan], SLOW,
                   KB512, bench.ct)
    claim_link(bench, 'link-100m', m, bare, 1.1, 0.95)
    bench.claim('link-100m', 'last acknowledgement against no line at all',
                get(m, 'culvert', 'last ack s'), get(m, 'lan', 'last ack s'),
                '<=', 1.2)
    bench.claim('link-100m', 'dicom-tls, 4 associations, against bare',
                get(m, 'tls-4', 'e2e s'), bare, '<=', 1.15)
    claim_end_cpu(bench, 'link-100m', m)


def fast(bench, wanted):
    """200 CT of 512 KB over 1 Gbit/s, 50 ms there and back."""
    m, bare = bulk(bench, 'link-1g', [*EVERYBODY, lp.Link4], FAST, KB512,
                   bench.ct)
    claim_link(bench, 'link-1g', m, bare, 1.2, 0.95)
    claim_end_cpu(bench, 'link-1g', m)


def small(bench, wanted):
    """2,000 instances of 20 KB over 100 Mbit/s, 100 ms there and back."""
    m, bare = bulk(bench, 'link-20k', [lp.Link, lp.Link4, lp.Tls4, lp.Tls16],
                   SLOW, KB20, 2000)
    ours = get(m, 'culvert', 'e2e s')
    bench.claim('link-20k', 'of the line, end to end',
                bare / ours if ours else None, 1, '>=', 0.9)


# --- completion time against distance ---

PLOTTED = [lp.Link, lp.Tls1, lp.Tls4, lp.Tls16, lp.Stunnel, lp.Direct]


def distance(bench, wanted):
    """Completion time at 0, 20, 50, 100, 200 ms, plotted."""
    curves = {}
    for rtt in RTTS:
        profile = Profile('', SLOW.mbit, rtt, SLOW.queue)
        samples = take_turns(
            bench, 'link-rtt', PLOTTED, profile,
            lambda p: turn(bench, p, KB512, bench.plot_ct), 1)
        for name, metrics in samples.items():
            curves.setdefault(name, {})[rtt] = bench.median(metrics['e2e s'])
            bench.value('link-rtt', name, 'e2e s at %3.0f ms' % (rtt * 1e3),
                        curves[name][rtt], metrics['e2e s'])
    bare = SLOW.seconds(KB512 * bench.plot_ct)
    plot(bench, curves, bare)
    ours = curves.get('culvert', {})
    bench.claim('link-rtt', 'the link at 200 ms against at 0 ms',
                ours.get(RTTS[-1]), ours.get(0), '<=', 1.2)


LABELS = {'culvert': 'chunk link', 'tls-1': 'dicom-tls, 1 association',
          'tls-4': 'dicom-tls, 4', 'tls-16': 'dicom-tls, 16',
          'direct': 'direct (device by TLS)'}

PLOT = '''\
set terminal {terminal} size 900,560
set output "{out}"
set title "{n} CT of 512 KB over {mbit:g} Mbit/s, until all is at the far end"
set xlabel "round-trip time, ms"
set ylabel "seconds"
set yrange [0:*]
set key top left
set grid
set style data linespoints
plot {curves}, {bare} with lines dashtype 2 lc rgb "black" title "bare line"
'''


def plot(bench, curves, bare):
    """build/bench/link-rtt.svg and .png, and the numbers beside them."""
    parts = []
    for name, points in curves.items():
        data = harness.BUILD / ('link-rtt-%s.dat' % name)
        data.write_text(''.join('%g %.4f\n' % (rtt * 1e3, points[rtt])
                                for rtt in sorted(points)))
        parts.append('"%s" lw 2 title "%s"' % (data, LABELS.get(name, name)))
    if not parts:
        return
    for terminal in ('svg', 'png'):
        out = harness.BUILD / ('link-rtt.' + terminal)
        text = PLOT.format(terminal=terminal, out=out, n=bench.plot_ct,
                           mbit=SLOW.mbit, curves=', '.join(parts), bare=bare)
        try:
            subprocess.run(['gnuplot'], input=text, text=True, check=True)
            say('  plot: %s' % out)
        except (OSError, subprocess.CalledProcessError) as e:
            bench.note('link-rtt: no plot: %s' % e)
            return


# --- what a person waits for, while bulk fills the line ---

QUERY_ROUTES = '''\
  - {service: [worklist, verification], relay: worklist}
'''

QUERY_DESTINATION = '''\
  worklist:
    protocol: dicom-tls
    endpoints: ["127.0.0.1:{worklist}"]
    ae_title: SINK
    tls:
      ca: {pki}/ca.pem
      certificate: {pki}/proxy.pem
      key: {pki}/proxy.key
      server_name: localhost
'''


class Clinic(lp.Link):
    """Storage by the link, worklist relayed over the same line; with a limit
    a little under the line, so that what is urgent does not stand behind
    bulk in somebody's queue."""
    limit = ''
    services = 'storage, verification, worklist'

    def start(self, wait=True):
        self.options = {'also': [self.ends.tls.port]}
        return super().start(wait)

    def config(self):
        self.more = QUERY_DESTINATION.format(worklist=self.line.also[0],
                                             pki=self.pki)
        self.routes = QUERY_ROUTES
        return self.limit + super().config()


class ClinicTls(Clinic):
    name = 'tls-4'
    cloud = lp.Culvert.cloud
    far_port = lp.Culvert.far_port
    pids = lp.Culvert.pids

    def __init__(self, bench, profile, ends, **options):
        super().__init__(bench, profile, ends, **options)
        self.sink = ends.tls


class Shaped(Clinic):
    name = 'link-95m'
    limit = 'rate: {limit: 95Mbit}\n'


class ShapedTls(ClinicTls):
    name = 'tls-4-95m'
    limit = Shaped.limit


def find(p, seconds):
    return talk(p.port, 'find', '--associations', 4, '--seconds', seconds,
                '--pause', 0.02)['us']


def stat_study(p, count=20):
    """Seconds until a study of 20 from the urgent device is at the archive,
    and until its last acknowledgement."""
    prefix = new_prefix()
    p.sink.mark(prefix)
    r = harness.loadgen(p.port, p.called, prefix, size=KB512, count=count,
                        quiet=True, extra=['--calling', 'URGENT'])
    s = p.sink.wait(r['acknowledged'], 300, 120)
    if s['timeout']:
        raise Failed('only %d of the urgent study came' % s['distinct'])
    return ((s['last_ns'] - r['first_send_ns']) / 1e9,
            (r['last_ack_ns'] - r['first_send_ns']) / 1e9)


def query_turn(bench, p):
    lp.warm(p)
    quiet = find(p, bench.seconds)
    alone, _ = stat_study(p)
    bulk_prefix = new_prefix()
    seconds = 2 * bench.seconds + 25
    count = int(seconds * p.profile.mbit * 1e6 / 8 / KB512)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(p.load, bulk_prefix, size=KB512, count=count,
                           associations=4)
        time.sleep(4)
        p.line.say('reset')
        busy = find(p, bench.seconds)
        among, _ = stat_study(p)
        full = p.line.stat()['up_stat']['busy']
        sent = p.line.stat()['up']
        load.result()
    drained(p)
    return {'idle p50 us': quiet['p50'], 'idle p99 us': quiet['p99'],
            'loaded p50 us': busy['p50'], 'loaded p99 us': busy['p99'],
            'p99 loaded/idle': busy['p99'] / quiet['p99'],
            'STAT idle s': alone, 'STAT loaded s': among,
            'STAT loaded/idle': among / alone, 'line use': full,
            'sent MB': sent / 1e6}


def drained(p, seconds=120):
    """Until nothing moves on the line: the next turn begins at rest."""
    end = time.monotonic() + seconds
    before = -1
    while time.monotonic() < end:
        now = p.line.stat()['up']
        if now - before < 20000:
            return
        before = now
        time.sleep(1)


def query(bench, wanted):
    """A worklist query and a STAT study during a saturating transfer."""
    samples = take_turns(
        bench, 'link-query', [Clinic, Shaped, ClinicTls, ShapedTls], SLOW,
        lambda p: query_turn(bench, p), min(bench.rounds, 3))
    bench.add('link-query', samples, None)
    m = bench.medians(samples)
    for name in ('culvert', 'link-95m'):
        bench.claim('link-query', 'loaded p99 against idle, ' + name,
                    get(m, name, 'loaded p99 us'),
                    get(m, name, 'idle p99 us'), '<', 2)
        bench.claim('link-query', 'STAT study against idle, ' + name,
                    get(m, name, 'STAT loaded s'),
                    get(m, name, 'STAT idle s'), '<', 2)


ALL = {
    'link-100m': slow,
    'link-1g': fast,
    'link-20k': small,
    'link-rtt': distance,
    'link-query': query,
}

VARIANTS = [Clinic, Shaped, ClinicTls, ShapedTls]
