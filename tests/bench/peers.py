"""What is measured: each peer takes plaintext C-STORE on a port of its own and
passes it on to the sink over mutual TLS."""

import json
import os
import shutil
import subprocess
import time

from harness import (GROUP, HERE, PDU, ROOT, SUITE, Failed, Process,
                     await_port, free_port, remove)


def version_of(argv, line=0, env=None):
    try:
        p = subprocess.run(argv, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=20)
        return p.stdout.strip().splitlines()[line].strip()
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return None


class Peer:
    name = '?'
    called = 'CULVERT'
    stores = True  # acknowledges before it has passed on
    storage_waits = False  # in a relay: storage alone does

    def __init__(self, work, pki, sink_port):
        self.dir = work / self.name
        self.pki = pki
        self.sink_port = sink_port
        self.port = free_port()
        self.process = None
        remove(self.dir)
        self.dir.mkdir(parents=True)

    @property
    def pid(self):
        return self.process.pid

    def launch(self, argv, env=None, wait=True):
        self.process = Process(self.name, argv, self.dir / 'log', env,
                               cwd=self.dir)
        if wait:
            self.ready_after = await_port(self.port, self.process)
        return self

    def stop(self):
        if self.process:
            self.process.stop()

    def clean(self):
        self.stop()
        remove(self.dir)

    @classmethod
    def missing(cls):
        """Why this peer cannot run here, or None."""
        return None if shutil.which(cls.program) else (
            '%s is not installed' % cls.program)


class Culvert(Peer):
    name = 'culvert'
    program = os.environ.get('CULVERT', str(ROOT / 'build/release/culvert'))
    associations = 4  # to the sink
    quota = '60GiB'
    wrapper = ()      # such as strace

    @classmethod
    def version(cls):
        return version_of([cls.program, '--version'])

    @classmethod
    def missing(cls):
        if os.access(cls.program, os.X_OK):
            return None
        return '%s is not built' % cls.program

    def config(self):
        return CULVERT_CONF.format(
            port=self.port, sink=self.sink_port, pki=self.pki, dir=self.dir,
            pdu=PDU, quota=self.quota, associations=self.associations)

    def start(self, wait=True):
        conf = self.dir / 'culvert.yaml'
        conf.write_text(self.config())
        return self.launch([*self.wrapper, self.program, 'serve', '-c', conf],
                           wait=wait)


CULVERT_CONF = '''\
node: bench
listeners:
  in:
    address: 127.0.0.1:{port}
    protocol: dicom
    ae_titles: [CULVERT]
    max_pdu: {pdu}
devices:
  loadgen:
    ae_title: LOADGEN
    address: 127.0.0.1
    services: [storage, verification]
destinations:
  sink:
    protocol: dicom-tls
    endpoints: ["localhost:{sink}"]
    ae_title: SINK
    associations: {associations}
    max_pdu: {pdu}
    accept: [1.2.840.10008.1.2.1, 1.2.840.10008.1.2]
    tls:
      ca: {pki}/ca.pem
      certificate: {pki}/proxy.pem
      key: {pki}/proxy.key
    retry: {{first: 1s, max: 2s}}
routes:
  - {{service: storage, forward: [sink]}}
spool: {{path: {dir}/spool, quota: {quota}}}
records: {{path: {dir}/records}}
control: {{path: {dir}/control.sock}}
log: {{level: warn}}
'''


class Orthanc(Peer):
    """Debian's Orthanc as a router. Storage compression off, no transcoding,
    syncs its files (as shipped); TCP_NODELAY given to its DCMTK."""
    name = 'orthanc'
    program = 'Orthanc'
    jobs, batch = 2, 20
    env = {'TCP_NODELAY': '1'}
    lua = False

    @classmethod
    def version(cls):
        return version_of([cls.program, '--version'])

    def config(self):
        return {
            'Name': 'bench', 'StorageDirectory': 'storage',
            'IndexDirectory': 'storage', 'StorageCompression': False,
            'HttpServerEnabled': True, 'HttpPort': self.http,
            'RemoteAccessAllowed': False, 'AuthenticationEnabled': False,
            'DicomAet': 'CULVERT', 'DicomPort': self.port,
            'DicomTlsEnabled': False,
            'DicomTlsCertificate': str(self.pki / 'proxy.pem'),
            'DicomTlsPrivateKey': str(self.pki / 'proxy.key'),
            'DicomTlsTrustedCertificates': str(self.pki / 'ca.pem'),
            'DicomModalities': {'sink': {
                'AET': 'SINK', 'Host': '127.0.0.1', 'Port': self.sink_port,
                'UseDicomTls': True, 'AllowTranscoding': False}},
            'MaximumPduLength': PDU, 'TranscodeDicomProtocol': False,
            'OverwriteInstances': True, 'ConcurrentJobs': self.jobs,
            'JobsHistorySize': 10, 'SaveJobs': False, 'StableAge': 3600,
            'StoreMD5ForAttachments': False, 'MetricsEnabled': False,
            'DicomThreadsCount': 8, 'SyncStorageArea': True,
            'Plugins': [],
            'LuaScripts': ['route.lua'] if self.lua else [],
        }

    def start(self, wait=True):
        self.http = free_port()
        conf = self.dir / 'orthanc.json'
        conf.write_text(json.dumps(self.config(), indent=2))
        (self.dir / 'storage').mkdir(exist_ok=True)
        (self.dir / 'route.lua').write_text(ORTHANC_LUA)
        self.launch([self.program, conf], env=self.env)
        if not self.lua:
            await_port(self.http, self.process)
            self.router = Process(
                'orthanc-router',
                [HERE / 'orthanc-router', self.http, 'sink', self.jobs,
                 self.batch], self.dir / 'router.log')
        return self

    def stop(self):
        if not self.lua and getattr(self, 'router', None):
            self.router.stop(patience=5)
        super().stop()


# The book's script, without the Delete() that loses what was not sent.
ORTHANC_LUA = '''\
function OnStoredInstance(instanceId, tags, metadata)
  SendToModality(instanceId, 'sink')
end
'''


class OrthancLua(Orthanc):
    name = 'orthanc-lua'
    lua = True


class OrthancShipped(OrthancLua):
    name = 'orthanc-shipped'
    env = {}


class HAProxy(Peer):
    name = 'haproxy'
    program = 'haproxy'
    stores = False
    maxconn = 1000
    bufsize = 131072

    @classmethod
    def version(cls):
        return version_of([cls.program, '-v'])

    def start(self, wait=True):
        conf = self.dir / 'haproxy.cfg'
        conf.write_text(HAPROXY_CONF.format(
            port=self.port, sink=self.sink_port, pki=self.pki, suite=SUITE,
            threads=os.cpu_count(), maxconn=self.maxconn,
            bufsize=self.bufsize))
        return self.launch([self.program, '-db', '-f', conf])


HAPROXY_CONF = '''\
global
  nbthread {threads}
  maxconn {maxconn}
  tune.bufsize {bufsize}
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
listen in
  bind 127.0.0.1:{port}
  server sink 127.0.0.1:{sink} ssl crt {pki}/proxy-both.pem \
ca-file {pki}/ca.pem verify required ssl-min-ver TLSv1.3 ciphersuites {suite}
'''


class Stunnel(Peer):
    name = 'stunnel'
    program = 'stunnel'
    stores = False
    group = GROUP

    @classmethod
    def version(cls):
        return version_of([cls.program, '-version'], 1)

    def start(self, wait=True):
        conf = self.dir / 'stunnel.conf'
        conf.write_text(STUNNEL_CONF.format(
            port=self.port, sink=self.sink_port, pki=self.pki, suite=SUITE,
            group=self.group))
        return self.launch([self.program, conf])


STUNNEL_CONF = '''\
foreground = yes
pid =
syslog = no
debug = warning
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[in]
client = yes
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{sink}
cert = {pki}/proxy.pem
key = {pki}/proxy.key
CAfile = {pki}/ca.pem
verifyChain = yes
sslVersionMin = TLSv1.3
ciphersuites = {suite}
curves = {group}
'''


class Nginx(Peer):
    """The stream module, from its own package on Debian."""
    name = 'nginx'
    program = 'nginx'
    stores = False
    module = '/usr/lib/nginx/modules/ngx_stream_module.so'

    @classmethod
    def version(cls):
        return version_of([cls.program, '-v'])

    @classmethod
    def missing(cls):
        if not os.path.exists(cls.module):
            return 'libnginx-mod-stream is not installed'
        return super().missing()

    def start(self, wait=True):
        conf = self.dir / 'nginx.conf'
        conf.write_text(NGINX_CONF.format(
            port=self.port, sink=self.sink_port, pki=self.pki, suite=SUITE,
            dir=self.dir, module=self.module, workers=os.cpu_count(),
            user='user root;' if os.geteuid() == 0 else ''))
        return self.launch([self.program, '-p', self.dir, '-e',
                            self.dir / 'error.log', '-c', conf])


NGINX_CONF = '''\
load_module {module};
{user}
daemon off;
worker_processes {workers};
worker_rlimit_nofile 16384;
pid {dir}/pid;
error_log {dir}/error.log;
events {{ worker_connections 8192; }}
stream {{
  server {{
    listen 127.0.0.1:{port};
    proxy_pass 127.0.0.1:{sink};
    proxy_timeout 10m;
    proxy_ssl on;
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_conf_command Ciphersuites {suite};
    proxy_ssl_certificate {pki}/proxy.pem;
    proxy_ssl_certificate_key {pki}/proxy.key;
    proxy_ssl_trusted_certificate {pki}/ca.pem;
    proxy_ssl_verify on;
    proxy_ssl_name localhost;
  }}
}}
'''


class Dcmtk(Peer):
    """storescu sends files to storescp, over TLS, nothing in between."""
    name = 'dcmtk'
    program = 'storescu'
    stores = False
    env = {'TCP_NODELAY': '1'}

    @classmethod
    def version(cls):
        return version_of([cls.program, '--version'])

    def start(self, wait=True):
        (self.dir / 'in').mkdir()
        return self.launch(
            ['storescp', '-pdu', PDU, '+xa', '-od', self.dir / 'in', '+tls',
             self.pki / 'sink.key', self.pki / 'sink.pem', '+cf',
             self.pki / 'ca.pem', self.port], env=self.env)

    def send(self, files):
        """Seconds for all files of a directory."""
        begun = time.monotonic()
        p = subprocess.run(
            ['storescu', '-pdu', str(PDU), '+sd', '+tls',
             str(self.pki / 'proxy.key'), str(self.pki / 'proxy.pem'), '+cf',
             str(self.pki / 'ca.pem'), 'localhost', str(self.port),
             str(files)], env={**os.environ, **self.env},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if p.returncode != 0:
            raise Failed('storescu: ' + p.stdout[-300:])
        for f in (self.dir / 'in').iterdir():
            f.unlink()
        return time.monotonic() - begun


ALL = [Culvert, Orthanc, OrthancLua, OrthancShipped, HAProxy, Stunnel, Nginx,
       Dcmtk]
