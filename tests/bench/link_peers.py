"""Who sends over the long line: Culvert by the chunk link and by dicom-tls,
what only relays bytes, Orthanc, and nobody in between. Each has a line of its
own, all of them alike; the line ends at the sink, or at the far Culvert."""

import subprocess
import time

import peers
from harness import (BUILD, PDU, SUITE, Failed, Line, Process, Sink,
                     await_port, cpu_seconds, free_port, loadgen, memory_mb,
                     new_prefix, remove, settle)



class Profile:
    """A line: 10^6 bits a second, seconds there and back, bytes of queue."""

    def __init__(self, name, mbit, rtt, queue, mtu=1500):
        self.name, self.mbit, self.rtt = name, mbit, rtt
        self.queue, self.mtu = queue, mtu

    def seconds(self, n):
        """What n bytes take on the bare line, after the first bit."""
        return n * 8 / (self.mbit * 1e6)

    def line(self, work, to, **more):
        return Line(work, to, self.mbit, self.rtt / 2, self.queue,
                    mtu=self.mtu, **more)


SLOW = Profile('100m', 100, 0.1, 128 << 10)
FAST = Profile('1g', 1000, 0.05, 1 << 20, 9000)


class Ends:
    """The far end of all lines: a sink for TLS, and one for the archive
    behind the far Culvert, on its own host. net: a blackhole.Net, in whose
    far namespace they are."""

    def __init__(self, bench, net=None):
        where = {'wrapper': net.wrapper, 'host': net.host} if net else {}
        self.tls = Sink(bench.work, bench.pki, **where)
        self.archive = Sink(bench.work, **where)

    def stop(self):
        self.tls.stop()
        self.archive.stop()


# --- Culvert ---

EDGE_CONF = '''\
node: edge
listeners:
  in:
    address: 127.0.0.1:{port}
    protocol: dicom
    ae_titles: [CULVERT]
    max_pdu: {pdu}
    limits: {{rate: 100000/s}}
devices:
  loadgen:
    ae_title: LOADGEN
    address: 127.0.0.1
    services: [{services}]
  urgent:
    ae_title: URGENT
    address: 127.0.0.1
    priority: stat
destinations:
  cloud:
    endpoints: ["{to}"]
    tls:
      ca: {pki}/ca.pem
      certificate: {pki}/proxy.pem
      key: {pki}/proxy.key
      server_name: localhost
    retry: {{first: 1s, max: 2s}}
{cloud}
routes:
  - {{service: storage, forward: [cloud]}}
{routes}
spool: {{path: {dir}/spool, quota: 60GiB}}
records: {{path: {dir}/records}}
control: {{path: {dir}/control.sock}}
log: {{level: {level}}}
'''

TLS_CLOUD = '''\
    protocol: dicom-tls
    ae_title: SINK
    max_pdu: {pdu}
    associations: {associations}
    accept: [explicit-le, implicit-le]
'''

LINK_CLOUD = '''\
    protocol: link
    link: {{connections: {connections}}}
'''

FAR_CONF = '''\
node: far
listeners:
  links:
    address: "{listen}:{port}"
    protocol: link
    tls:
      ca: {pki}/ca.pem
      certificate: {pki}/sink.pem
      key: {pki}/sink.key
devices:
  edge:
    ae_title: "*"
    address: [127.0.0.0/8, 10.231.7.0/24]
    services: [link]
    certificate: {{fingerprint: "{fingerprint}"}}
destinations:
  archive:
    protocol: dicom
    endpoints: ["{listen}:{sink}"]
    plaintext: {{allowed: "same host"}}
    ae_title: SINK
    max_pdu: {pdu}
    associations: 4
    accept: [explicit-le, implicit-le]
    retry: {{first: 1s, max: 2s}}
routes:
  - {{service: storage, forward: [archive]}}
spool: {{path: {dir}/spool, quota: 60GiB}}
records: {{path: {dir}/records}}
control: {{path: {dir}/control.sock}}
log: {{level: {level}}}
'''


def fingerprint(pem):
    out = subprocess.run(['openssl', 'x509', '-in', pem, '-noout', '-sha256',
                          '-fingerprint'], stdout=subprocess.PIPE, text=True,
                         check=True).stdout
    return out.strip().split('=', 1)[1].lower()


class OverLine(peers.Peer):
    """A peer whose way out is a line. options go to the line; no_line: the
    same without one."""
    options = {}
    no_line = False
    net = None   # a blackhole.Net: all but the near end is beyond it

    def __init__(self, bench, profile, ends, **options):
        super().__init__(bench.work, bench.pki, 0)
        self.work, self.profile, self.ends = bench.work, profile, ends
        self.options = {**self.options, **options}
        self.sink = ends.tls
        self.line = None

    def far_port(self):
        """Where the line ends."""
        return self.ends.tls.port

    def host(self):
        """Of the line and all beyond it."""
        return self.net.host if self.net else '127.0.0.1'

    def start(self, wait=True):
        to = self.far_port()
        if not self.no_line:
            where = self.options
            if self.net:
                where = {**where, 'wrapper': self.net.wrapper,
                         'listen': self.host(), 'host': self.host()}
            self.line = self.profile.line(self.work, to, **where)
            to = self.line.port
        self.sink_port = to
        return self.run()

    def pids(self):
        """What is measured at which end."""
        return {'': self.pid} if self.process else {}

    def tail(self):
        """What its logs say last."""
        return self.process.tail() if self.process else ''

    def stop(self):
        super().stop()
        if self.line:
            self.line.stop()


class Culvert(OverLine, peers.Culvert):
    """By dicom-tls, with so many associations."""
    associations = 4
    level = 'warn'
    more = ''    # of the destination
    routes = ''
    services = 'storage, verification'

    def cloud(self):
        return TLS_CLOUD.format(pdu=PDU, associations=self.associations)

    def config(self):
        return EDGE_CONF.format(
            port=self.port, to='%s:%d' % (self.host(), self.sink_port),
            pki=self.pki, dir=self.dir, pdu=PDU, level=self.level,
            cloud=self.cloud() + self.more, routes=self.routes,
            services=self.services)

    def run(self):
        peers.Culvert.start(self)
        for pid in self.pids().values():
            settle(pid)  # it prepares its spool
        return self

    def load(self, prefix, called=None, **load):
        return loadgen(self.port, called or self.called, prefix, quiet=True,
                       **load)


class Tls1(Culvert):
    name = 'tls-1'
    associations = 1


class Tls4(Culvert):
    name = 'tls-4'


class Tls16(Culvert):
    name = 'tls-16'
    associations = 16


class Lan(Culvert):
    """No line: how quickly the device is answered then."""
    name = 'lan'
    no_line = True


class Link(Culvert):
    """The chunk link to a far Culvert, which delivers to the archive."""
    name = 'culvert'
    connections = 1
    far = None

    def __init__(self, bench, profile, ends, **options):
        super().__init__(bench, profile, ends, **options)
        self.sink = ends.archive

    def cloud(self):
        return LINK_CLOUD.format(connections=self.connections)

    def far_port(self):
        port = free_port()
        self.far_dir = self.dir / 'far'
        self.far_dir.mkdir(exist_ok=True)
        conf = self.far_dir / 'culvert.yaml'
        conf.write_text(FAR_CONF.format(
            port=port, listen=self.host(), pki=self.pki, dir=self.far_dir,
            sink=self.sink.port, pdu=PDU, level=self.level,
            fingerprint=fingerprint(self.pki / 'proxy.pem')))
        wrapper = self.net.wrapper if self.net else ()
        self.far = Process('far', [*wrapper, self.program, 'serve', '-c',
                                   conf], self.far_dir / 'log')
        await_port(port, self.far, host=self.host())
        return port

    def pids(self):
        return {'': self.pid, 'far ': self.far.pid}

    def tail(self):
        return '%s\n   far:\n%s' % (super().tail(), self.far.tail())

    def stop(self):
        super().stop()
        if self.far:
            self.far.stop()


class Link4(Link):
    name = 'link-4'
    connections = 4


# --- the others ---

class Stunnel(OverLine, peers.Stunnel):
    def run(self):
        return peers.Stunnel.start(self)

    load = Culvert.load


class HAProxy(OverLine, peers.HAProxy):
    def run(self):
        return peers.HAProxy.start(self)

    load = Culvert.load


class Orthanc(OverLine, peers.Orthanc):
    """Two jobs, batches of 20: its best in the other scenarios."""

    def run(self):
        return peers.Orthanc.start(self)

    load = Culvert.load


class Direct(OverLine):
    """The device itself speaks TLS over the line."""
    name = 'direct'
    stores = False

    @classmethod
    def missing(cls):
        return None

    def run(self):
        return self

    def load(self, prefix, called=None, **load):
        return loadgen(self.line.port, 'SINK', prefix, quiet=True, extra=[
            '--tls', '--cert', self.pki / 'proxy.pem', '--key',
            self.pki / 'proxy.key', '--ca', self.pki / 'ca.pem', '--suites',
            SUITE], **load)


class Storescu(OverLine):
    """DCMTK's storescu over the line; the files are made before."""
    name = 'storescu'
    stores = False
    program = 'storescu'
    size = count = 0

    def run(self):
        return self

    def load(self, prefix, called=None, size=0, count=0, **rest):
        files = self.dir / 'files'
        remove(files)
        subprocess.run([str(a) for a in (
            BUILD / 'loadgen', '--dump', files, '--count', count, '--size',
            size, '--prefix', prefix)], check=True)
        begun = time.monotonic_ns()
        p = subprocess.run([str(a) for a in (
            'storescu', '-pdu', PDU, '-aec', 'SINK', '+sd', '+tls',
            self.pki / 'proxy.key', self.pki / 'proxy.pem', '+cf',
            self.pki / 'ca.pem', 'localhost', self.line.port, files)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={'TCP_NODELAY': '1', 'PATH': '/usr/bin:/bin'})
        ended = time.monotonic_ns()
        if p.returncode != 0:
            raise Failed('storescu: ' + p.stdout[-300:])
        return {'acknowledged': count, 'size': size, 'first_send_ns': begun,
                'last_ack_ns': ended, 'pdu': PDU}


# --- one turn ---

def warm(p):
    """One small instance goes all the way: whatever is kept open is open,
    whoever keeps nothing open has lost nothing by it."""
    prefix = new_prefix()
    p.sink.mark(prefix)
    p.load(prefix, size=2048, count=1)
    if p.sink.wait(1, 30, 30)['timeout']:
        raise Failed('the first instance did not come\n' + p.tail())


def turn(bench, p, size, count, patience=900, warmed=True):
    """count instances through p, until all are at the far sink."""
    if warmed:
        warm(p)
    prefix = new_prefix()
    p.sink.mark(prefix)
    if p.line:
        p.line.say('reset')
    before = {end: cpu_seconds(pid) for end, pid in p.pids().items()}
    r = p.load(prefix, size=size, count=count)
    s = p.sink.wait(r['acknowledged'], patience, 120)
    stat = p.line.stat() if p.line else None
    if s['timeout'] or r['acknowledged'] < count:
        raise Failed('%d acknowledged, %d came (%s)\n%s' % (
            r['acknowledged'], s['distinct'], s['error'], p.tail()))
    if p.stores:
        time.sleep(0.3)  # what it does lazily belongs to its bill
    payload = count * size
    took = (s['last_ns'] - r['first_send_ns']) / 1e9
    bare = p.profile.seconds(payload)
    out = {'e2e s': took, 'times the bare line': took / bare,
           'last ack s': (r['last_ack_ns'] - r['first_send_ns']) / 1e9}
    if stat:
        out['line use'] = stat['up_stat']['busy']
        out['bytes/payload'] = stat['up'] / payload
    for end, pid in p.pids().items():
        out[end + 'CPU s/GB'] = (cpu_seconds(pid) - before[end]) * 1e9 / (
            payload)
        out[end + 'peak MB'] = memory_mb(pid)
    return out


ALL = [Link, Link4, Tls1, Tls4, Tls16, Lan, Stunnel, HAProxy, Orthanc, Direct,
       Storescu]
