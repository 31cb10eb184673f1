"""The scenarios. Each takes a Bench (see run) and adds rows and claims."""

import os
import re
import signal
import time

import peers
from harness import (Failed, Sink, children, cpu_seconds, free_port, loadgen,
                     memory_mb, new_prefix, overwrite, say)

KB512 = 512 * 1024
KB20 = 20 * 1024


def per_second(n, from_ns, to_ns):
    return n / ((to_ns - from_ns) / 1e9)


def turn(bench, peer, sink, patience=600, **load):
    """One load run through one peer, until all of it is at the sink."""
    prefix = new_prefix()
    sink.mark(prefix)
    before = cpu_seconds(peer.pid)
    r = loadgen(peer.port, peer.called, prefix, quiet=True, **load)
    s = sink.wait(r['acknowledged'], patience)
    if s['timeout']:
        raise Failed('%d acknowledged, only %d came to the sink (%s)\n%s'
                     % (r['acknowledged'], s['distinct'], s['error'],
                        peer.process.tail()))
    if peer.stores:
        time.sleep(0.3)  # what it does lazily belongs to its bill
    gb = s['bytes'] / 1e9
    e2e = per_second(s['distinct'], r['first_send_ns'], s['last_ns'])
    bench.note_stream(peer.name, r['pdu'], s['stream'], sink.stream)
    return {
        'ack/s': r['per_second'], 'ack MB/s': r['mb_per_second'],
        'ack p50 us': r['latency_us']['p50'],
        'ack p99 us': r['latency_us']['p99'],
        'ack max us': r['latency_us']['max'],
        'e2e/s': e2e, 'e2e MB/s': e2e * r['size'] / 1e6,
        'CPU s/GB': (cpu_seconds(peer.pid) - before) / gb if gb else 0,
        'peak MB': memory_mb(peer.pid),
    }


def disk_turn(bench, size, append=False):
    r = overwrite(bench.work, size, bench.disk_seconds, append)
    return {'ack/s': r['per_second'], 'ack MB/s': r['mb_per_second'],
            'ack p50 us': r['latency_us']['p50'],
            'ack p99 us': r['latency_us']['p99'],
            'ack max us': r['latency_us']['max']}


def dcmtk_turn(bench, peer, files, n, size):
    seconds = peer.send(files)
    return {'e2e/s': n / seconds, 'e2e MB/s': n * size / seconds / 1e6}


def start_all(bench, classes, pki_sink, warm):
    """Start what can run here, and warm each up with an unmeasured turn."""
    started = []
    for cls in classes:
        why = 'skipped' if cls.name in bench.skip else cls.missing()
        if why:
            bench.note('%s: not measured: %s' % (cls.name, why))
            continue
        p = cls(bench.work, bench.pki, pki_sink.port)
        try:
            p.start()
            if warm:
                turn(bench, p, pki_sink, **warm)
            started.append(p)
        except Failed as e:
            bench.note('%s: not measured: %s' % (cls.name, e))
            p.clean()
    return started


PROGRESS = ('ack/s', 'e2e/s', 'e2e MB/s', 'CPU s/GB', 'echo/s', 'open/s',
            'p50 us', 'p99 us', 'CPU us/echo', 'CPU ms/open',
            'KB/association', 'idle p99 us', 'loaded p99 us', 'line use')


def interleave(bench, scenario, turns, rounds=None):
    """turns: (peer's name, function). Round robin; a peer that fails is
    left out from then on. Returns {name: {metric: [values]}}."""
    samples, dead = {}, set()
    rounds = rounds or bench.rounds
    for n in range(rounds):
        for name, function in turns:
            if name in dead:
                continue
            os.sync()  # what others left behind is not this one's
            try:
                r = function()
            except Failed as e:
                bench.note('%s, %s: %s' % (scenario, name, e))
                dead.add(name)
                continue
            for metric, value in r.items():
                samples.setdefault(name, {}).setdefault(metric,
                                                        []).append(value)
            say('  round %d of %d  %-16s %s' % (
                n + 1, rounds, name, '  '.join(
                    '%s %.4g' % (m, r[m]) for m in
                    PROGRESS if m in r)))
    for name in dead:
        samples.pop(name, None)
    return samples


def best(medians, metric, names):
    values = [medians[n][metric] for n in names
              if metric in medians.get(n, {})]
    return max(values) if values else None


ORTHANCS = ('orthanc', 'orthanc-lua')


def one_512k(bench, wanted):
    """One association, 512 KB: acknowledgements and end to end."""
    sink = Sink(bench.work, bench.pki)
    load = {'size': KB512, 'count': 200000, 'seconds': bench.seconds}
    started = start_all(
        bench, [peers.Culvert, peers.Orthanc, peers.OrthancLua,
                peers.OrthancShipped, peers.HAProxy, peers.Stunnel], sink,
        {**load, 'seconds': 1})
    turns = [('overwrite', lambda: disk_turn(bench, KB512)),
             ('append', lambda: disk_turn(bench, KB512, True))]
    turns += [(p.name, lambda p=p: turn(bench, p, sink, **load))
              for p in started]
    started += add_dcmtk(bench, turns)
    try:
        samples = interleave(bench, 'one-512k', turns)
    finally:
        for p in started:
            p.clean()
        sink.stop()
    for name in ('one-512k', 'one-512k-e2e'):
        if name in wanted:
            bench.add(name, samples, 'e2e' if name.endswith('e2e') else 'ack')
    m = bench.medians(samples)
    ours = m.get('culvert', {})
    if 'one-512k' in wanted:
        bench.claim('one-512k', 'acknowledged against bare overwrites',
                    ours.get('ack/s'), best(m, 'ack/s', ['overwrite']),
                    '>=', 0.20)
        bench.claim('one-512k', 'acknowledged against Orthanc, TCP_NODELAY',
                    ours.get('ack/s'), best(m, 'ack/s', ORTHANCS), '>=', 4)
    if 'one-512k-e2e' in wanted:
        for what, names in (("end to end against Orthanc's best", ORTHANCS),
                            ('the same, Orthanc routing by Lua',
                             ['orthanc-lua'])):
            bench.claim('one-512k-e2e', what, ours.get('e2e/s'),
                        best(m, 'e2e/s', names), '>=', 8)


def add_dcmtk(bench, turns, n=400):
    why = 'skipped' if 'dcmtk' in bench.skip else peers.Dcmtk.missing()
    if why:
        bench.note('dcmtk: not measured: ' + why)
        return []
    p = peers.Dcmtk(bench.work, bench.pki, 0)
    files = p.dir / 'files'
    try:
        p.start()
    except Failed as e:
        bench.note('dcmtk: not measured: %s' % e)
        p.clean()
        return []
    bench.dump(files, n, KB512)
    turns.append(('dcmtk', lambda: dcmtk_turn(bench, p, files, n, KB512)))
    return [p]


def eight_512k(bench, wanted):
    """Eight associations, 512 KB, end to end; CPU for it."""
    sink = Sink(bench.work, bench.pki)
    load = {'size': KB512, 'count': 200000, 'seconds': bench.seconds,
            'associations': 8}
    started = start_all(bench, [peers.Culvert, peers.HAProxy, peers.Stunnel,
                                peers.Orthanc], sink, {**load, 'seconds': 1})
    try:
        samples = interleave(bench, 'eight-512k-e2e', [
            (p.name, lambda p=p: turn(bench, p, sink, **load))
            for p in started])
    finally:
        for p in started:
            p.clean()
        sink.stop()
    bench.add('eight-512k-e2e', samples, 'e2e')
    m = bench.medians(samples)
    ours = m.get('culvert', {})
    bench.claim('eight-512k-e2e', 'end to end against HAProxy live',
                ours.get('e2e MB/s'), best(m, 'e2e MB/s', ['haproxy']),
                '>=', 0.40)
    bench.claim('eight-512k-e2e', 'CPU seconds per GB',
                ours.get('CPU s/GB'), 1, '<=', 2.8)


def one_20k(bench, wanted):
    """2,000 instances of 20 KB on one association."""
    sink = Sink(bench.work, bench.pki)
    load = {'size': KB20, 'count': 2000}
    few = {'size': KB20, 'count': 400}  # a slow peer's share: only its rate
    started = start_all(bench, [peers.Culvert, peers.Orthanc], sink, few)
    turns = [('overwrite', lambda: disk_turn(bench, KB20))]
    turns += [(p.name, lambda p=p: turn(
        bench, p, sink, **(load if p.name == 'culvert' else few)))
        for p in started]
    try:
        samples = interleave(bench, 'one-20k', turns)
    finally:
        for p in started:
            p.clean()
        sink.stop()
    bench.add('one-20k', samples, 'ack')
    m = bench.medians(samples)
    bench.claim('one-20k', 'acknowledged against bare 20 KB overwrites',
                m.get('culvert', {}).get('ack/s'),
                best(m, 'ack/s', ['overwrite']), '>=', 0.30)


# --- flushes ---

STRACE = ['strace', '-f', '--seccomp-bpf', '-qq', '-y', '-ttt', '-e',
          'trace=fsync,fdatasync,msync,syncfs,sync', '-e',
          'signal=none']
FLUSH = re.compile(r'^(?:\d+ +)?(\d+\.\d+) (?:fsync|fdatasync|msync|'
                   r'syncfs|sync)\((.*)')


class Traced(peers.Culvert):
    """Culvert under strace, which sees only flushes."""

    def start(self, wait=True):
        self.trace = self.dir / 'trace'
        self.wrapper = (*STRACE, '-o', self.trace)
        return super().start(wait)

    def stop(self):
        for pid in children(self.pid)[1:]:  # strace itself ends with it
            os.kill(pid, signal.SIGTERM)
        super().stop()

    def flushes(self, from_wall, to_wall):
        """(of the spool, of everything else), by the files' paths."""
        spool = other = 0
        for line in self.trace.read_text(errors='replace').splitlines():
            m = FLUSH.match(line)
            if not m or not from_wall <= float(m[1]) <= to_wall:
                continue
            if '/spool' in m[2]:
                spool += 1
            else:
                other += 1
        return spool, other


def flush_run(bench, associations):
    sink = Sink(bench.work, bench.pki)
    p = Traced(bench.work, bench.pki, sink.port)
    try:
        p.start()
        turn(bench, p, sink, size=KB20, count=200)
        time.sleep(1)  # its lazy flushes do not belong to the run
        offset = time.time() - time.monotonic()
        prefix = new_prefix()
        sink.mark(prefix)
        r = loadgen(p.port, p.called, prefix, associations, KB20, 2000,
                    quiet=True)
        sink.wait(r['acknowledged'], 120)
        time.sleep(0.5)
        spool, other = p.flushes(r['first_send_ns'] / 1e9 + offset,
                                 r['last_ack_ns'] / 1e9 + offset)
    finally:
        p.clean()
        sink.stop()
    n = r['acknowledged']
    say('  %d association%s: %d instances, %d flushes of the spool, %d of '
        'other files' % (associations, 's' if associations > 1 else '', n,
                         spool, other))
    return spool / n, (spool + other) / n


def flushes(bench, wanted):
    """Flushes an instance, counted by strace in runs of their own."""
    why = peers.Culvert.missing()
    if why:
        raise Failed(why)
    one, one_all = flush_run(bench, 1)
    eight, eight_all = flush_run(bench, 8)
    for metric, value in (
            ('spool flushes/instance, 1 association', one),
            ('all flushes/instance, 1 association', one_all),
            ('spool flushes/instance, 8 associations', eight),
            ('all flushes/instance, 8 associations', eight_all)):
        bench.value('flushes', 'culvert', metric, value)
    bench.claim('flushes', 'spool flushes an instance, one association', one,
                1, '<=', 1.005)
    bench.claim('flushes', 'the same with eight, against one', eight, one,
                '<', 1)


# --- size and number ---

def one_2g(bench, wanted):
    """Peak memory while one 2 GB instance passes."""
    sink = Sink(bench.work, bench.pki)
    load = {'size': (2 << 30) - 2, 'count': 1}
    started = start_all(bench, [peers.Culvert, peers.HAProxy], sink, None)
    try:
        samples = {}
        for p in started:
            try:
                r = turn(bench, p, sink, patience=300, **load)
            except Failed as e:
                bench.note('one-2g, %s: %s' % (p.name, e))
                continue
            samples[p.name] = {k: [r[k]] for k in ('peak MB', 'e2e MB/s',
                                                   'CPU s/GB')}
            say('  %-10s peak %.1f MB, %.0f MB/s end to end'
                % (p.name, r['peak MB'], r['e2e MB/s']))
    finally:
        for p in started:
            p.clean()
        sink.stop()
    bench.add('one-2g', samples, None)
    bench.claim('one-2g', 'peak memory, MB',
                bench.medians(samples).get('culvert', {}).get('peak MB'), 1,
                '<', 100)


def restart(p, how, label):
    """End and start it again; (seconds until it listens, MB then, peak MB
    after five seconds of work)."""
    stopping = time.monotonic()
    p.process.stop(how)
    stopping = time.monotonic() - stopping
    p.start()
    now = memory_mb(p.pid, 'VmRSS')
    time.sleep(5)
    peak = memory_mb(p.pid)
    say('  %s: ended in %.2f s, listens after %.2f s, %.0f MB, peak %.0f MB'
        % (label, stopping, p.ready_after, now, peak))
    return p.ready_after, now, peak


def queue_100k(bench, wanted):
    """100,000 instances queued while the sink is down, then restarts."""
    got = {}
    p = peers.Culvert(bench.work, bench.pki, free_port())
    try:
        queue_up(bench, p, got)
    finally:
        p.clean()
        for metric, value in got.items():
            bench.value('queue-100k', 'culvert', metric, value)
        starts = [got.get('start s, ordered'),
                  got.get('start s, after kill -9')]
        peaks = [v for k, v in got.items() if 'MB' in k]
        bench.claim('queue-100k', 'start-up, seconds',
                    None if None in starts else max(starts), 1, '<', 5)
        bench.claim('queue-100k', 'memory growth, MB',
                    max(peaks) - got['empty MB']
                    if 'drain peak MB' in got else None, 1, '<', 64)


def queue_up(bench, p, got):
    why = p.missing()
    if why:
        raise Failed(why)
    p.start()
    time.sleep(2)
    got['empty MB'] = memory_mb(p.pid, 'VmRSS')
    prefix = new_prefix()
    r = loadgen(p.port, p.called, prefix, 8, KB20, bench.queued)
    got['queued ack/s'] = r['per_second']
    got['queued peak MB'] = memory_mb(p.pid)
    say('  %d queued at %.0f a second; %.0f MB empty, peak %.0f MB'
        % (r['acknowledged'], r['per_second'], got['empty MB'],
           got['queued peak MB']))
    time.sleep(2)
    got['start s, ordered'], _, got['peak MB, ordered'] = restart(
        p, signal.SIGTERM, 'ordered restart')
    got['start s, after kill -9'], _, got['peak MB, kill -9'] = restart(
        p, signal.SIGKILL, 'after kill -9')
    sink = Sink(bench.work, bench.pki, p.sink_port)
    try:
        drain(p, sink, prefix, r['acknowledged'], got)
    finally:
        sink.stop()


def drain(p, sink, prefix, n, got):
    sink.mark(prefix)
    begun = time.monotonic()
    s = sink.wait(n, 900)
    seconds = time.monotonic() - begun
    if s['timeout']:
        raise Failed('%d of %d came out again (%s)\n%s' % (
            s['distinct'], n, s['error'], p.process.tail()))
    got['drain/s'] = n / seconds
    got['drain peak MB'] = memory_mb(p.pid)
    got['sent more than once'] = s['instances'] - s['distinct']
    say('  drained in %.1f s, %d sent more than once, peak %.0f MB'
        % (seconds, got['sent more than once'], got['drain peak MB']))


def ledger_1m(bench, wanted):
    """Ingest rate while the ledger is empty, and at its millionth row. The
    rows are real: small instances taken in and delivered. A second Culvert,
    new, then takes turns with the full one, so that both meet the same
    disk."""
    why = peers.Culvert.missing()
    if why:
        raise Failed(why)
    sink = Sink(bench.work, bench.pki)
    full = peers.Culvert(bench.work, bench.pki, sink.port)
    new = NewCulvert(bench.work, bench.pki, sink.port)
    probe = {'size': KB20, 'count': 2000}
    try:
        full.start()
        fill(full, sink, bench.ledger_rows)
        new.start()
        for p in (full, new):
            turn(bench, p, sink, **probe)
        samples = interleave(bench, 'ledger-1m', [
            ('overwrite', lambda: disk_turn(bench, KB20)),
            ('new', lambda: turn(bench, new, sink, **probe)),
            ('full', lambda: turn(bench, full, sink, **probe))])
        peak = memory_mb(full.pid)
    finally:
        full.clean()
        new.clean()
        sink.stop()
    if not {'new', 'full', 'overwrite'} <= samples.keys():
        raise Failed('not measured to the end')
    a, b = (bench.median(samples[n]['ack/s']) for n in ('new', 'full'))
    bench.value('ledger-1m', 'culvert', 'ack/s at row 1', a,
                samples['new']['ack/s'])
    bench.value('ledger-1m', 'culvert', 'ack/s at row %d' % bench.ledger_rows,
                b, samples['full']['ack/s'])
    bench.value('ledger-1m', 'overwrite', 'ack/s',
                bench.median(samples['overwrite']['ack/s']),
                samples['overwrite']['ack/s'])
    bench.value('ledger-1m', 'culvert', 'peak MB', peak)
    bench.claim('ledger-1m', 'ingest at row %d against row 1'
                % bench.ledger_rows, b, a, '>=', 0.90)


class NewCulvert(peers.Culvert):
    name = 'culvert-new'


def fill(p, sink, rows, slice_=50000):
    done = 0
    while done < rows:
        n = min(slice_, rows - done)
        prefix = new_prefix()
        sink.mark(prefix)
        begun = time.monotonic()
        r = loadgen(p.port, p.called, prefix, 8, 1024, n, quiet=True)
        s = sink.wait(r['acknowledged'], 600)
        if s['timeout']:
            raise Failed('the fill is stuck: %d of %d at the sink'
                         % (s['distinct'], r['acknowledged']))
        done += r['acknowledged']
        say('  %d of %d rows; %.0f acknowledged and %.0f delivered a second'
            % (done, rows, r['per_second'],
               n / (time.monotonic() - begun)))


# name -> function; several names may share one measurement
ALL = {
    'one-512k': one_512k,
    'one-512k-e2e': one_512k,
    'eight-512k-e2e': eight_512k,
    'one-20k': one_20k,
    'flushes': flushes,
    'one-2g': one_2g,
    'queue-100k': queue_100k,
    'ledger-1m': ledger_1m,
}
