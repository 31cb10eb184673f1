"""Limits of bandwidth: how near what leaves comes to what may leave.

Each turn fills the spool while next to nothing may leave, sets the limit by a
reload, and then reads ten seconds long what the process has given to its
sockets: the kernel's count of bytes sent, and not sent yet, of every
connection to the sink (TLS records, as the wire has them)."""

import os
import re
import shutil
import signal
import subprocess
import time

import peers
from harness import Failed, Sink, cpu_seconds, loadgen, new_prefix, say
from scenarios import KB512, interleave

RATES = {'rate-1': 1, 'rate-8': 8, 'rate-100': 100, 'rate-1000': 1000}
SECONDS = 10
SETTLE = 1      # associations, and what stood in the bucket
LOOK = 0.02     # between two looks
TLS = 1.005     # records around the bytes that are counted
COUNTS = re.compile(r'\b(bytes_sent|bytes_retrans|notsent):(\d+)')


class Limited(peers.Culvert):
    """Culvert with a limit on all that leaves."""

    mbit = None

    def config(self):
        limit = '%dMbit' % self.mbit if self.mbit else '64kbit'
        return super().config() + 'rate: {limit: %s}\n' % limit

    def set(self, mbit):
        self.mbit = mbit
        (self.dir / 'culvert.yaml').write_text(self.config())
        os.kill(self.pid, signal.SIGHUP)


def written(port):
    """(when it was looked at: not before, not after; bytes that all
    connections to port were given)"""
    begun = time.monotonic()
    p = subprocess.run(['ss', '-tnHi', 'dport', '=', ':%d' % port],
                       stdout=subprocess.PIPE, text=True)
    sign = {'bytes_sent': 1, 'notsent': 1, 'bytes_retrans': -1}
    return begun, time.monotonic(), sum(
        sign[what] * int(n) for what, n in COUNTS.findall(p.stdout))


def look(port, seconds):
    """[written()] for so long."""
    seen = [written(port)]
    while seen[-1][0] < seen[0][0] + seconds:
        time.sleep(LOOK)
        seen.append(written(port))
    return seen


def excess(seen, rate):
    """Most that left in any stretch beyond what the limit gives for it: the
    burst. rate in bytes a second. Where a look took long its time is taken
    in favour of what is measured."""
    most, low = 0, None
    for begun, ended, n in seen:
        if low is not None:
            most = max(most, n - rate * TLS * ended - low)
        ahead = n - rate * TLS * begun
        low = ahead if low is None else min(low, ahead)
    return most


def turn(bench, mbit):
    rate = mbit * 125000
    size = min(KB512, max(32768, rate // 8))
    count = rate * (SECONDS + SETTLE + 2) // size + 8
    sink = Sink(bench.work, bench.pki)
    p = Limited(bench.work, bench.pki, sink.port)
    try:
        p.start()
        loadgen(p.port, p.called, new_prefix(), associations=2, size=size,
                count=count, quiet=True)
        p.set(mbit)
        time.sleep(SETTLE)
        before = cpu_seconds(p.pid)
        seen = look(sink.port, SECONDS)
        used = cpu_seconds(p.pid) - before
    finally:
        p.clean()
        sink.stop()
    sent = seen[-1][2] - seen[0][2]
    if sent <= 0:
        raise Failed('nothing left\n' + p.process.tail())
    of_limit = sent / (seen[-1][0] - seen[0][0]) / rate
    return {'Mbit/s': of_limit * mbit, '% of the limit': 100 * of_limit,
            'burst KB': excess(seen, rate) / 1e3, 'CPU s/GB': used * 1e9 / sent}


def rates(bench, wanted):
    """One limit on all that leaves, from 1 Mbit/s to 1 Gbit/s."""
    if not shutil.which('ss'):
        bench.note('rate: not measured: ss (iproute2) is not installed')
        return
    for name in wanted:
        mbit = RATES[name]
        say('%s: %d Mbit/s' % (name, mbit))
        samples = interleave(bench, name,
                             [('culvert', lambda: turn(bench, mbit))],
                             min(bench.rounds, 3))
        bench.add(name, samples, None)
        m = bench.medians(samples).get('culvert', {})
        for sign, target in ('>=', 0.97), ('<=', 1.03):
            bench.claim(name, 'over %d s, of the limit' % SECONDS,
                        m.get('Mbit/s'), mbit, sign, target)
        # 20 ms of it, and at least 64 KiB
        burst = max(mbit * 2.5, 65.5)
        bench.claim(name, 'burst against the configured one, KB',
                    m.get('burst KB'), burst, '<=', 1.1)


ALL = dict.fromkeys(RATES, rates)
