"""Audit repositories for tests: rsyslog over TLS, and one of our own that does
what no repository should."""
import base64
import collections
import pathlib
import re
import socket
import sqlite3
import ssl
import subprocess
import threading
import xml.etree.ElementTree as ElementTree

import dicom
from culvert import free_port, until

SCHEMA = pathlib.Path(__file__).resolve().parent / 'audit_message.rnc'
HEADER = re.compile(
    rb'<(\d+)>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S+) culvert (\d+) '
    rb'(\S+) - (<AuditMessage>.*</AuditMessage>)\n?', re.S)

Message = collections.namedtuple('Message', 'pri time host pid msgid xml seq')


def parse(line):
    """A syslog message with a DICOM audit message in it. seq: of the row, or
    None for a head."""
    m = HEADER.fullmatch(line)
    assert m, line[:400]
    pri, time, host, pid, msgid, xml = m.groups()
    records = [o.get('ParticipantObjectID')
               for o in ElementTree.fromstring(xml).iter(
                   'ParticipantObjectIdentification')
               if o.find('ParticipantObjectIDTypeCode').get('csd-code') ==
               'record']
    assert len(records) == 1, xml
    seq = records[0].rsplit('#', 1)[1]
    return Message(int(pri), time.decode(), host.decode(), int(pid),
                   msgid.decode(), xml,
                   None if seq.startswith('head-') else int(seq))


def details(xml):
    """{type: bytes} of all ParticipantObjectDetail."""
    return {d.get('type'): base64.b64decode(d.get('value'))
            for d in ElementTree.fromstring(xml).iter(
                'ParticipantObjectDetail')}


def must_be_valid(messages, tmp_path):
    """Against the schema of PS3.15 A.5.1."""
    where = tmp_path / 'messages'
    where.mkdir(exist_ok=True)
    paths = []
    for i, m in enumerate(messages):
        paths.append(where / ('%d.xml' % i))
        paths[-1].write_bytes(m.xml)
    p = subprocess.run(['jing', '-c', str(SCHEMA)] + [str(p) for p in paths],
                       capture_output=True, text=True, timeout=120)
    assert p.returncode == 0, p.stdout[-4000:] + p.stderr[-4000:]


def rows(culvert):
    """The seqs of the audit."""
    seqs = []
    for path in sorted((culvert.root / 'records').glob('audit-????-??.db')):
        c = sqlite3.connect('file:%s?mode=ro' % path, uri=True, timeout=10)
        try:
            seqs += [s for s, in c.execute('SELECT seq FROM audit')]
        finally:
            c.close()
    return sorted(seqs)


def make_rows(culvert, n, threads=4):
    """n associations with an echo: each makes two rows and more."""
    def some(count):
        for _ in range(count):
            a = dicom.Association(culvert.port(), [
                (1, dicom.VERIFICATION, [dicom.IVLE])])
            assert a.echo(1) == 0
            a.release()
    each = [threading.Thread(target=some, args=(n // threads,))
            for _ in range(threads)]
    for t in each:
        t.start()
    for t in each:
        t.join()


class Rsyslog:
    """rsyslogd with mutual TLS (gtls) or UDP, writing one file."""

    def __init__(self, root, pki, udp=False):
        self.root = root / 'rsyslog'
        self.root.mkdir()
        self.out = self.root / 'messages'
        self.port = free_port()
        self.process = None
        if udp:
            text = '''module(load="imudp")
input(type="imudp" address="127.0.0.1" port="%d")''' % self.port
        else:
            text = '''global(defaultNetstreamDriver="gtls"
  defaultNetstreamDriverCAFile="{pki}/ca.pem"
  defaultNetstreamDriverCertFile="{pki}/archive.pem"
  defaultNetstreamDriverKeyFile="{pki}/archive.key")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1"
  streamDriver.authMode="x509/name" permittedPeer=["edge.example"])
input(type="imtcp" address="127.0.0.1" port="{port}")'''.format(
                pki=pki, port=self.port)
        (self.root / 'conf').write_text('''global(workDirectory="%s"
  maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off")
%s
template(name="raw" type="string" string="%%rawmsg%%\\n")
*.* action(type="omfile" file="%s" template="raw")
''' % (self.root, text, self.out))

    def start(self):
        self.log = open(self.root / 'log', 'ab')
        self.process = subprocess.Popen(
            ['/usr/sbin/rsyslogd', '-n', '-iNONE', '-f',
             str(self.root / 'conf')], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)
        return self

    def wait(self):
        """It listens: its log does not say so."""
        def listens():
            with socket.socket() as s:
                return s.connect_ex(('127.0.0.1', self.port)) == 0
        until('rsyslog listens', listens)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def size(self):
        return self.out.stat().st_size if self.out.exists() else 0

    def messages(self):
        """All that is whole: a kill may have cut the last line then."""
        if not self.out.exists():
            return []
        return [parse(line) for line in self.out.read_bytes().split(b'\n')
                if line.endswith(b'</AuditMessage>') and
                line.startswith(b'<') and line.count(b'<AuditMessage>') == 1]

    def seqs(self):
        return {m.seq for m in self.messages() if m.seq}


class Stubborn:
    """A TLS syslog receiver that reads when it is told to."""

    def __init__(self, context, rcvbuf=4096):
        self.context = context
        self.listener = socket.socket()
        # what its kernel takes without it; inherited by what is accepted
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.listener.bind(('127.0.0.1', 0))
        self.listener.listen(8)
        self.port = self.listener.getsockname()[1]
        self.reading = threading.Event()
        self.connections = 0
        self.open = []
        self.data = b''
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,),
                             daemon=True).start()

    def _serve(self, s):
        try:
            s = self.context.wrap_socket(s, server_side=True)
            self.connections += 1
            self.open.append(s)
            mine = b''
            while True:
                self.reading.wait()
                b = s.recv(65536)
                if not b:
                    return
                mine += b
                self.data = mine
        except (OSError, ssl.SSLError):
            pass

    def die(self):
        """As its process would: what was not read is gone."""
        while self.open:
            self.open.pop().close()

    def stop(self):
        self.reading.set()
        self.listener.close()

    def messages(self):
        """Those of the last connection: RFC 5425 frames."""
        out, at, b = [], 0, self.data
        while True:
            space = b.find(b' ', at, at + 12)
            if space < 0:
                return out
            n = int(b[at:space])
            if len(b) < space + 1 + n:
                return out
            out.append(parse(b[space + 1:space + 1 + n]))
            at = space + 1 + n


def config(pki, port, **kw):
    """The repositories of a configuration: one with mutual TLS."""
    return {'site': dict({
        'protocol': 'syslog-tls', 'address': '127.0.0.1:%d' % port,
        'tls': {'ca': str(pki / 'ca.pem'),
                'certificate': str(pki / 'edge.pem'),
                'key': str(pki / 'edge.key'),
                'server_name': 'archive.example'},
        'retry': {'first': '100ms', 'max': '500ms'}}, **kw)}


def caught_up(culvert):
    """Every row has arrived, as culvert sees it."""
    def yes():
        r = culvert.status()['repositories'][0]
        return r['behind'] == 0 and r['sent'] == max(rows(culvert)) and r
    return until('all rows arrived', yes)
