"""The faces of a full appliance: the page as people see it, exports through the
control socket, and what both cost whoever sends.

One directory with years of transfers and audit rows serves all three; fill.c
makes it. --filled DIR keeps it for the next run."""

import os
import pathlib
import shutil
import sqlite3
import statistics
import subprocess
import threading
import time

import peers
from harness import (ROOT, Failed, Sink, children, free_port, loadgen,
                     memory_mb, new_prefix, say)
from viewer import PASSWORD, Reader, Viewer, Watcher, export

TOOLS = ROOT / 'build' / 'release' / 'bench'
DAYS = 730
MODALITIES = ('CT', 'MR', 'US', 'CR', 'MG')
DESTINATIONS = ('cloud', 'second', 'research')
ROLES = {'anna': 'operator', 'sven': 'security', 'rita': 'auditor'}
WATCHERS = 5
KB512 = 512 * 1024
STRETCH = 15  # seconds of an export that is not taken as a whole


class Filled(peers.Culvert):
    """Culvert as fill.c supposes it, with a page."""

    def __init__(self, bench, sink_port):
        self.kept = bench.filled is not None
        super().__init__(bench.work, bench.pki, sink_port)
        if self.kept:
            self.dir = pathlib.Path(bench.filled).resolve()
            self.dir.mkdir(parents=True, exist_ok=True)
        self.page = free_port()

    def config(self):
        text = FILLED_CONF.format(
            port=self.port, page=self.page, dir=self.dir,
            devices=''.join(
                DEVICE.format(name='%s-room-%d' % (m.lower(), i),
                              ae=m + str(i), i=i * len(MODALITIES) + k)
                for i in range(8) for k, m in enumerate(MODALITIES)),
            destinations=''.join(
                DESTINATION.format(name=name, sink=self.sink_port,
                                   pki=self.pki)
                for name in DESTINATIONS))
        return text

    def start(self, wait=True):
        users = self.dir / 'users'
        if not users.exists():
            for name, role in ROLES.items():
                subprocess.run([self.program, 'web', 'passwd', '-f', users,
                                name, '--role', role], check=True,
                               input=PASSWORD + '\n', text=True,
                               stdout=subprocess.DEVNULL)
        return super().start(wait)

    def put_first(self, pids):
        """Page and exports step back behind those who send. Where the bench
        was given a better place than others on a machine that is shared, they
        get that one."""
        mine = os.getpriority(os.PRIO_PROCESS, 0)
        for pid in pids if mine < 0 else ():
            for task in os.listdir('/proc/%d/task' % pid):
                os.setpriority(os.PRIO_PROCESS, int(task), mine)

    def fill(self, bench):
        if (self.dir / 'filled').exists():
            return
        self.start()
        time.sleep(2)  # the first segment, which carries the spool's identity
        self.stop()
        for path in (self.dir / 'records').glob('audit-*'):
            path.unlink()  # of the start just now: the made-up rows are older
        for what, n in (('instances', bench.transfers),
                        ('audit', bench.audit_rows)):
            argv = [TOOLS / 'fill', '--dir', self.dir / 'records', '--days',
                    DAYS, '--key', self.dir / 'data.key', '--signing-key',
                    self.dir / 'signing.key', '--queued', 0, '--heads', 5000,
                    '--instances', 0, '--audit', 0]
            argv[argv.index('--' + what) + 1] = n
            begun = time.monotonic()
            if subprocess.run([str(a) for a in argv]).returncode != 0:
                raise Failed('the records could not be filled')
            say('  %d %s made in %.0f s' % (n, what,
                                            time.monotonic() - begun))
        (self.dir / 'filled').touch()

    @property
    def control(self):
        return self.dir / 'control.sock'

    def sql(self, query, name='ledger.db'):
        db = sqlite3.connect('file:%s?mode=ro' % (self.dir / 'records' / name),
                             uri=True, timeout=30)
        try:
            return db.execute(query).fetchall()
        finally:
            db.close()

    def clean(self):
        self.stop()
        if not self.kept:
            shutil.rmtree(self.dir, ignore_errors=True)


DEVICE = '''\
  {name}: {{ae_title: {ae}, address: 10.1.{i}.20, services: [storage]}}
'''
DESTINATION = '''\
  {name}:
    protocol: dicom-tls
    endpoints: ["localhost:{sink}"]
    ae_title: SINK
    associations: 4
    max_pdu: 131072
    accept: [1.2.840.10008.1.2.1, 1.2.840.10008.1.2]
    tls:
      ca: {pki}/ca.pem
      certificate: {pki}/proxy.pem
      key: {pki}/proxy.key
    retry: {{first: 1s, max: 2s}}
'''
FILLED_CONF = '''\
node: bench
listeners:
  in:
    address: 0.0.0.0:{port}
    protocol: dicom
    ae_titles: [CULVERT]
    max_pdu: 131072
devices:
  loadgen:
    ae_title: LOADGEN
    address: 127.0.0.1
    services: [storage, verification]
{devices}destinations:
{destinations}routes:
  - {{service: storage, forward: [cloud]}}
spool: {{path: {dir}/spool, quota: 8GiB}}
records: {{path: {dir}/records}}
control: {{path: {dir}/control.sock}}
status: {{address: 127.0.0.1:{page}, users: {dir}/users}}
log: {{level: warn}}
'''


# --- the page ---

def values(p):
    """What to ask for: from all the years, common and rare."""
    studies = [r[0] for r in p.sql(
        'SELECT study FROM series WHERE study IS NOT NULL AND id % (SELECT '
        'max(id)/40+1 FROM series)=0 AND id>0')][:40]
    last = p.sql('SELECT max(id) FROM deliveries')[0][0]
    first = p.sql('SELECT min(id) FROM deliveries WHERE id>=1<<45')[0][0]
    begin, end = p.sql('SELECT min(first_ms),max(last_ms) FROM blocks')[0]
    stamp = [time.strftime('%Y-%m-%dT%H:%M', time.gmtime(
        (begin + (end - begin) * i // 9) / 1000)) for i in range(10)]
    devices = ['%s-room-%d' % (m, i) for i in range(8)
               for m in ('ct', 'us', 'cr')]
    places = [first + (last - first) * i // 9 for i in range(10)]
    return studies, places, stamp, devices


def studies_by_study(p, studies):
    return ['/transfers/' + s for s in studies]


def pages(p):
    """{view: (limit in ms, who, [paths])}"""
    studies, places, stamp, devices = values(p)
    rows = max([r[0] for f in (p.dir / 'records').glob('audit-2*.db')
                for r in p.sql('SELECT max(seq) FROM audit', f.name)] or [1])
    states = ('queued', 'held', 'quarantined', 'delivered', 'withdrawn',
              'discarded', 'arrived', 'committed', 'uncommitted')
    everyone, both, audit = tuple(ROLES), ('anna', 'rita'), ('rita',)

    def t(**f):
        return '/transfers?' + '&'.join('%s=%s' % kv for kv in f.items())

    def a(**f):
        return '/audit?' + '&'.join('%s=%s' % kv for kv in f.items())

    return {
        'now': (200, everyone, ['/']),
        'wall': (200, everyone, ['/wall']),
        'charts, 1 h to 90 days': (200, everyone, [
            '/series?range=' + r for r in ('1h', '6h', '24h', '7d', '30d',
                                           '90d')]),
        'refused': (200, ('anna', 'sven'), ['/refused', '/refused?before=2000']),
        'configuration': (200, ('sven', 'rita'), ['/configuration']),
        'metrics': (200, everyone, ['/metrics']),
        'transfers': (100, both, ['/transfers']),
        'transfers, deep pages': (200, both, [
            t(older=x) for x in places] + [t(newer=x) for x in places]),
        'search by time': (100, both, [
            t(to=x) for x in stamp] + [t(**{'from': x}) for x in stamp]),
        'search by device': (100, both, [t(device=x) for x in devices]),
        'search by destination': (100, both, [
            t(destination=x) for x in DESTINATIONS]),
        'search by state': (100, both, [t(state=x) for x in states]),
        'search by five filters': (100, both, [
            t(device=d, state=x, destination='research', to=y)
            for d in devices[:6] for x in states[:3] for y in stamp[3:6]]),
        'search by study': (100, both, [t(study=x) for x in studies]
                            + [t(study='1.2.3.nothing')]),
        'search by accession number': (100, audit, [
            t(accession='A%08d' % x) for x in range(1, 20000, 987)]
            + [t(accession='NONE')]),
        "a study's page": (200, both, studies_by_study(p, studies)),
        'audit': (200, audit, ['/audit']),
        'audit, deep pages': (200, audit, [
            a(older=max(2, rows * i // 10)) for i in range(10)]),
        'audit by time': (100, audit, [a(to=x) for x in stamp]
                          + [a(**{'from': x, 'to': y})
                             for x, y in zip(stamp, stamp[1:])]),
        'audit by event': (100, audit, [a(event=x) for x in (
            'query', 'manual-action', 'config-changed', 'quarantine',
            'tls-failed', 'clock-step')]),
        'audit by user': (100, audit, [a(user='uid%201003%20operator4'),
                                       a(user='nobody')]),
        'audit by study': (100, audit, [a(study=x) for x in studies]
                           + [a(study='1.2.3.nothing')]),
        'audit by device, outcome': (100, audit, [
            a(device='us-room-7'), a(device='ct-room-0'), a(outcome=8),
            a(outcome=4), a(device='mg-room-7', outcome=8)]),
    }


def quantile(ms, q):
    return sorted(ms)[min(len(ms) - 1, int(len(ms) * q))]


def drop_page_cache(p):
    """As after a night: the files are on the disk only."""
    for path in (p.dir / 'records').iterdir():
        fd = os.open(path, os.O_RDONLY)
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def look(viewer, paths, n):
    ms = []
    for i in range(n):
        begun = time.monotonic()
        viewer.get(paths[i % len(paths)])
        ms.append((time.monotonic() - begun) * 1000)
    return ms


def show(bench, view, who, ms):
    say('  %-28s %-5s p50 %6.1f  p95 %6.1f  max %6.1f ms  load %.1f' % (
        view, who, quantile(ms, .5), quantile(ms, .95), max(ms),
        os.getloadavg()[0]))


def faces(bench, _):
    """Every view of the page as each role, by HTTP, while others watch it."""
    sink = Sink(bench.work, bench.pki)
    p = Filled(bench, sink.port)
    watchers = []
    try:
        p.fill(bench)
        p.start()
        time.sleep(3)
        p.put_first(children(p.pid)[1:])
        viewers = {name: Viewer(p.page, name) for name in ROLES}
        watchers = [Watcher(p.page, 'anna') for _ in range(WATCHERS)]
        for view, (limit, roles, paths) in pages(p).items():
            drop_page_cache(p)
            cold = look(viewers[roles[-1]], paths, min(len(paths), 10))
            warm = []
            for name in roles:
                ms = look(viewers[name], paths, bench.looks)
                show(bench, view, name, ms)
                warm += ms
            bench.value('faces', 'culvert', view + ', p50 ms',
                        quantile(warm, .5))
            bench.value('faces', 'culvert', view + ', max ms', max(warm))
            bench.value('faces', 'culvert', view + ', not cached, max ms',
                        max(cold))
            bench.claim('faces', view + ', p95 ms', quantile(warm, .95),
                        limit, '<=', 1)
    finally:
        for w in watchers:
            w.stop()
        p.clean()
        sink.stop()


# --- exports alone ---

EXPORTS = [(op, fmt, {}) for op in ('audit-export', 'transfers-export')
           for fmt in ('csv', 'jsonl', 'dicom')]
EXPORTS.append(('audit-export', 'csv', {'reveal': True}))


def exports(bench, _):
    """Exports of everything through the control socket, alone."""
    sink = Sink(bench.work, bench.pki)
    p = Filled(bench, sink.port)
    try:
        p.fill(bench)
        p.start()
        time.sleep(3)
        for op, fmt, more in EXPORTS:
            before = memory_mb(p.pid, 'VmRSS')
            # one of each table as a whole, of the others a stretch
            whole = fmt == 'csv' and not more
            r = export(p.control, op, seconds=None if whole else STRETCH,
                       begun=lambda: p.put_first([p.pid]), format=fmt, **more)
            grown = memory_mb(p.pid, 'VmRSS') - before
            name = '%s %s%s' % (op, fmt, ', opened' if more else '')
            rate = r['rows'] / r['seconds']
            say('  %s: %d rows, %.0f MB in %.1f s: %.0f rows/s; memory grew '
                'by %.1f MB; load %.1f' % (
                    name, r['rows'], r['bytes'] / 1e6, r['seconds'], rate,
                    grown, os.getloadavg()[0]))
            bench.value('export', 'culvert', name + ', memory MB', grown)
            if fmt == 'dicom':
                bench.value('export', 'culvert', name + ', rows/s', rate)
            else:
                bench.claim('export', name + ', rows/s', rate, 200000, '>=',
                            1)
    finally:
        p.clean()
        sink.stop()


# --- ingest beside them ---

class Exporter(threading.Thread):
    """Takes one export after the other."""

    def __init__(self, control):
        super().__init__(daemon=True)
        self.control, self.ended, self.error = control, False, None
        self.rows = 0
        self.start()

    def run(self):
        try:
            while not self.ended:
                r = export(self.control, 'audit-export', format='csv',
                           ended=lambda: self.ended)
                self.rows += r['rows']
        except (Failed, OSError) as e:
            self.error = e

    def stop(self):
        self.ended = True
        self.join(60)
        if self.error:
            raise Failed('the export: %s' % self.error)


def send(bench, p, sink, rate, seconds):
    prefix = new_prefix()
    sink.mark(prefix)
    r = loadgen(p.port, p.called, prefix, 8, KB512, 200000, seconds,
                quiet=True, extra=['--rate', int(rate)] if rate else ())
    sink.wait(r['acknowledged'], 120)
    return r


def crowd(p):
    """People at the page: some watch it live, some search."""
    everything = [x for _, who, paths in pages(p).values() if 'rita' in who
                  for x in paths[:5]]
    return ([Watcher(p.page, 'anna') for _ in range(WATCHERS)]
            + [Reader(p.page, 'rita', everything[k::2], 0.5)
               for k in range(2)])


def ingest_turns(bench, p, sink, rate):
    """[(alone, beside)] a round, in turns."""
    out = []
    for i in range(max(3, bench.rounds)):
        pair = {}
        for beside in ((False, True) if i % 2 == 0 else (True, False)):
            others = crowd(p) + [Exporter(p.control)] if beside else []
            time.sleep(1)
            r = send(bench, p, sink, rate, bench.seconds)
            for o in others:
                o.stop()
            pair[beside] = r
            say('  %-6s %6.1f/s  ack p50 %6d p95 %6d p99 %6d us%s; load %.1f'
                % ('beside' if beside else 'alone', r['per_second'],
                   r['latency_us']['p50'], r['latency_us']['p95'],
                   r['latency_us']['p99'],
                   '; %d rows exported' % others[-1].rows if beside else '',
                   os.getloadavg()[0]))
        out.append((pair[False], pair[True]))
    return out


def faces_ingest(bench, _):
    """Ingest at half of its maximum, while people look and an export runs."""
    sink = Sink(bench.work, bench.pki)
    p = Filled(bench, sink.port)
    try:
        p.fill(bench)
        p.start()
        time.sleep(3)
        send(bench, p, sink, 0, 2)
        most = statistics.median(
            send(bench, p, sink, 0, bench.seconds)['per_second']
            for _ in range(3))
        say('  at most %.1f instances/s of 512 KB' % most)
        turns = ingest_turns(bench, p, sink, most / 2)
    finally:
        p.clean()
        sink.stop()
    bench.value('faces-ingest', 'culvert', 'maximum, ack/s', most)
    for k, name in ((0, 'alone'), (1, 'beside page and export')):
        for q in ('p50', 'p95', 'p99'):
            bench.value('faces-ingest', 'culvert', '%s, ack %s us' % (name, q),
                        statistics.median(t[k]['latency_us'][q] for t in turns))
    rates = [statistics.median(t[k]['per_second'] for t in turns)
             for k in (0, 1)]
    bench.claim('faces-ingest', 'ack/s at half load beside page and export',
                rates[1], rates[0], '>=', 0.95)


ALL = {'faces': faces, 'export': exports, 'faces-ingest': faces_ingest}
