"""Live relay: plaintext in, mutual TLS out to the sink, nothing kept, each
answer the sink's own. Culvert against what only relays bytes. Like
scenarios.py, whose turns and tables it uses."""

import concurrent.futures
import os
import time

import peers
from harness import (Failed, Held, Line, Sink, cpu_seconds, loadgen,
                     new_prefix, pin, pss_kb, raise_limits, settle, talk)
from scenarios import KB512, best, interleave, start_all, turn

GROUP = 'X25519'  # what all of them offer first: no second round trip
MANY = 8          # threads that open and release
OTHERS = ('stunnel', 'haproxy', 'nginx')

# The line: 80 Mbit/s each way, 20 ms there and back, 6.6 ms of queue.
MBIT, DELAY, QUEUE = 80, 0.01, 64 * 1024


# --- the peers, set up for relay ---

class Relay(peers.Culvert):
    stores = False
    storage = 'relay: sink'

    def config(self):
        return RELAY_CONF.format(port=self.port, sink=self.sink_port,
                                 pki=self.pki, dir=self.dir, pdu=peers.PDU,
                                 storage=self.storage)

    def start(self, wait=True):
        super().start(wait)
        settle(self.pid)  # it prepares its spool
        return self


class Forward(Relay):
    """Storage by store and forward, all else live."""
    name = 'culvert-forward'
    storage_waits = True
    storage = 'forward: [sink]'


RELAY_CONF = '''\
node: bench
listeners:
  in:
    address: 127.0.0.1:{port}
    protocol: dicom
    ae_titles: [CULVERT]
    max_pdu: {pdu}
    limits: {{associations: 5000, per_device: 5000, rate: 100000/s}}
devices:
  loadgen:
    ae_title: LOADGEN
    address: 127.0.0.1
    services: [storage, verification, worklist]
destinations:
  sink:
    protocol: dicom-tls
    endpoints: ["127.0.0.1:{sink}"]
    ae_title: SINK
    max_pdu: {pdu}
    accept: [explicit-le, implicit-le]
    tls:
      ca: {pki}/ca.pem
      certificate: {pki}/proxy.pem
      key: {pki}/proxy.key
routes:
  - {{service: storage, {storage}}}
  - {{service: [verification, worklist], relay: sink}}
spool: {{path: {dir}/spool, quota: 4GiB}}
records: {{path: {dir}/records}}
control: {{path: {dir}/control.sock}}
log: {{level: warn}}
'''


class HAProxy(peers.HAProxy):
    """As shipped: buffers of 16 KB."""
    maxconn = 5000
    bufsize = 16384


class HAProxyLarge(peers.HAProxy):
    """Buffers of 128 KB, for bulk."""
    name = 'haproxy-128k'
    maxconn = 5000


class Stunnel(peers.Stunnel):
    group = GROUP


RELAYS = [Relay, HAProxy, Stunnel, peers.Nginx]
VARIANTS = [Forward, HAProxyLarge]


def relay_sink(bench, resumption=True):
    raise_limits()
    return Sink(bench.work, bench.pki, group=GROUP, resumption=resumption)


def take_turns(bench, name, classes, sink, function, warm=None, rounds=None):
    """Each of them round after round: {name: {metric: [values]}}."""
    started = start_all(bench, classes, sink, warm)
    try:
        return interleave(bench, name, [(p.name, lambda p=p: function(p))
                                        for p in started], rounds)
    finally:
        for p in started:
            p.clean()


def worst(m, metric, names):
    """best() of what should be small."""
    values = [m[n][metric] for n in names if metric in m.get(n, {})]
    return min(values) if values else None


# --- bulk ---

def bulk(bench, name, associations):
    sink = relay_sink(bench)
    load = {'size': KB512, 'count': 200000, 'seconds': bench.seconds,
            'associations': associations}
    try:
        samples = take_turns(
            bench, name, [*RELAYS, HAProxyLarge], sink,
            lambda p: turn(bench, p, sink, **load), {**load, 'seconds': 1})
    finally:
        sink.stop()
    bench.add(name, samples, 'ack')
    m = bench.medians(samples)
    ours = m.get('culvert', {})
    haproxys = (HAProxy.name, HAProxyLarge.name)
    bench.claim(name, "MB/s against HAProxy's best", ours.get('ack MB/s'),
                best(m, 'ack MB/s', haproxys), '>=', 1)
    bench.claim(name, "CPU s/GB against HAProxy's best",
                ours.get('CPU s/GB'), worst(m, 'CPU s/GB', haproxys),
                '<=', 1)


def one(bench, wanted):
    """Relayed: one association, 512 KB instances."""
    bulk(bench, 'relay-one', 1)


def eight(bench, wanted):
    """Relayed: eight associations, 512 KB instances."""
    bulk(bench, 'relay-eight', 8)


# --- echo ---

# Short turns and many: what else the machine does for a second spoils the p99
# of a turn, but not the median of all.
ECHO_PARTS = 5


def echo_turn(bench, p, cpus):
    """The two ends on one processor, who is between them on another: else the
    kernel's choice, which differs from turn to turn, is what is measured."""
    if len(cpus) > 1:
        pin(p.pid, cpus[1])
    before = cpu_seconds(p.pid)
    r = talk(p.port, 'echo', '--seconds', bench.seconds / ECHO_PARTS,
             cpu=cpus[0])
    return {'echo/s': r['per_second'], 'p50 us': r['us']['p50'],
            'p99 us': r['us']['p99'],
            'CPU us/echo': (cpu_seconds(p.pid) - before) * 1e6 / r['done']}


def echo(bench, wanted):
    """Relayed: C-ECHO after C-ECHO on one open association."""
    sink = relay_sink(bench)
    cpus = sorted(os.sched_getaffinity(0))
    pin(sink.process.pid, cpus[0])
    try:
        samples = take_turns(bench, 'relay-echo', RELAYS, sink,
                             lambda p: echo_turn(bench, p, cpus),
                             rounds=ECHO_PARTS * bench.rounds)
    finally:
        sink.stop()
    bench.add('relay-echo', samples, None)
    m = bench.medians(samples)
    for metric in ('p50 us', 'p99 us'):
        bench.claim('relay-echo', metric + ' against stunnel',
                    m.get('culvert', {}).get(metric),
                    worst(m, metric, ['stunnel']), '<=', 1)


# --- opening ---

def open_turn(bench, p, sink):
    """The sink's time too: what is spared here may be spent there."""
    pids = {'CPU ms/open': p.pid, 'sink CPU ms/open': sink.process.pid}
    before = {metric: cpu_seconds(pid) for metric, pid in pids.items()}
    r = talk(p.port, 'open', '--associations', MANY, '--seconds',
             bench.seconds)
    return {'open/s': r['per_second'], 'p50 us': r['us']['p50'],
            'p99 us': r['us']['p99'],
            **{metric: (cpu_seconds(pid) - before[metric]) * 1e3 / r['done']
               for metric, pid in pids.items()}}


def opened(bench, name, resumption):
    sink = relay_sink(bench, resumption)
    try:
        samples = take_turns(bench, name, RELAYS, sink,
                             lambda p: open_turn(bench, p, sink))
    finally:
        sink.stop()
    bench.add(name, samples, None)
    m = bench.medians(samples)
    bench.claim(name, 'associations a second against the best',
                m.get('culvert', {}).get('open/s'),
                best(m, 'open/s', OTHERS), '>=', 1)


def open_full(bench, wanted):
    """Relayed: open, C-ECHO, release; full handshakes."""
    opened(bench, 'relay-open', False)


def open_resumed(bench, wanted):
    """Relayed: open, C-ECHO, release; sessions resumed."""
    opened(bench, 'relay-resume', True)


# --- memory ---

def idle_turn(bench, cls, sink):
    """A new process, so that nothing is left over from an earlier turn."""
    p = cls(bench.work, bench.pki, sink.port)
    try:
        p.start()
        talk(p.port, 'open', '--associations', MANY, '--count', 50)
        time.sleep(1)
        before = pss_kb(p.pid)
        held = Held(bench.work, p.port, bench.held)
        time.sleep(2)
        after = pss_kb(p.pid)
        held.let_go()
    finally:
        p.clean()
    return {'empty MB': before * 1024 / 1e6,
            'KB/association': (after - before) * 1024 / 1e3 / bench.held}


def idle(bench, wanted):
    """Relayed: memory of an idle association, many being open."""
    need = 2 * bench.held + 200
    if raise_limits() < need:
        raise Failed('%d descriptors are needed (ulimit -n)' % need)
    sink = relay_sink(bench)
    turns = []
    for cls in RELAYS:
        why = 'skipped' if cls.name in bench.skip else cls.missing()
        if why:
            bench.note('%s: not measured: %s' % (cls.name, why))
        else:
            turns.append((cls.name,
                          lambda cls=cls: idle_turn(bench, cls, sink)))
    try:
        samples = interleave(bench, 'relay-idle', turns)
    finally:
        sink.stop()
    bench.add('relay-idle', samples, None)
    m = bench.medians(samples)
    bench.claim('relay-idle', 'KB an association against HAProxy',
                m.get('culvert', {}).get('KB/association'),
                worst(m, 'KB/association', ['haproxy']), '<=', 1)


# --- a worklist query while images fill the line ---

def find(p, seconds):
    return talk(p.port, 'find', '--associations', 4, '--seconds', seconds,
                '--pause', 0.005)['us']


def fill_line(bench, p, prefix):
    """Until told, or what is to be sent from the spool for as long."""
    seconds = bench.seconds + 3
    count = 100000
    if p.storage_waits:
        count, seconds = int((seconds + 1) * MBIT * 1e6 / 8 / KB512), 0
    return loadgen(p.port, p.called, prefix, 4, KB512, count, seconds,
                   quiet=True)


def line_turn(bench, p, sink, line):
    quiet = find(p, bench.seconds)
    prefix = new_prefix()
    sink.mark(prefix)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        load = pool.submit(fill_line, bench, p, prefix)
        time.sleep(1.5)
        before = line.stat()
        busy = find(p, bench.seconds)
        after = line.stat()
        n = load.result()['acknowledged']
    if sink.wait(n, 120)['timeout']:
        raise Failed('not all of %d instances came' % n)
    full = ((after['up'] - before['up']) * 8e3 / MBIT /
            (after['ns'] - before['ns']))
    return {'idle p50 us': quiet['p50'], 'idle p99 us': quiet['p99'],
            'loaded p50 us': busy['p50'], 'loaded p99 us': busy['p99'],
            'p99 loaded/idle': busy['p99'] / quiet['p99'], 'line use': full}


def line(bench, wanted):
    """Relayed: a worklist query while images fill a line of 80 Mbit/s."""
    sink = relay_sink(bench)
    slow = Line(bench.work, sink.port, MBIT, DELAY, QUEUE)
    sink_port, sink.port = sink.port, slow.port
    try:
        samples = take_turns(bench, 'relay-line', [*RELAYS, Forward], sink,
                             lambda p: line_turn(bench, p, sink, slow))
    finally:
        sink.port = sink_port
        slow.stop()
        sink.stop()
    bench.add('relay-line', samples, None)
    m = bench.medians(samples)
    for name, what in (('culvert', 'storage relayed'),
                       ('culvert-forward', 'storage forwarded')):
        ours = m.get(name, {})
        if ours and ours['line use'] < 0.9:
            bench.note('relay-line, %s: the line was only %.0f %% full'
                       % (name, 100 * ours['line use']))
        bench.claim('relay-line', 'loaded p99 against idle, ' + what,
                    ours.get('loaded p99 us'), ours.get('idle p99 us'), '<',
                    2)


ALL = {
    'relay-one': one,
    'relay-eight': eight,
    'relay-echo': echo,
    'relay-open': open_full,
    'relay-resume': open_resumed,
    'relay-idle': idle,
    'relay-line': line,
}
