import pathlib
import shutil
import ssl
import subprocess

import pytest

import culvert
import dicom
import linked
import relayed

PYDICOM = pathlib.Path('/usr/lib/python3/dist-packages/pydicom/data/test_files')
HERE = pathlib.Path(__file__).resolve().parent
SHARED = HERE.parents[2] / 'shared' / 'data'


def pytest_configure(config):
    config.addinivalue_line('markers', 'tsan: also run under ThreadSanitizer')
    config.addinivalue_line('markers', 'slow: takes more than a few seconds')


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.has_failed = True


@pytest.fixture
def tmp_path(tmp_path, request):
    """Spools are tens of megabytes each: what passed leaves nothing."""
    yield tmp_path
    if not getattr(request.node, 'has_failed', False):
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.fixture(scope='session')
def pki(tmp_path_factory):
    """A CA with edge (client), archive (server) and some wrong ones."""
    d = tmp_path_factory.mktemp('pki')
    good, other = d / 'good', d / 'other'
    culvert.run('pki', 'init', good, '--name', 'Test CA', check=True)
    culvert.run('pki', 'init', other, '--name', 'Other CA', check=True)
    for name in ('edge', 'archive'):
        for where in (good, other):
            culvert.run('pki', 'issue', where, name, '--san',
                        'DNS:%s.example' % name, '--san', 'IP:127.0.0.1',
                        check=True)
    culvert.run('pki', 'issue', good, 'elsewhere', '--san',
                'DNS:elsewhere.example', check=True)
    return good


class Tls:
    """Python's ends of the test PKI."""

    def __init__(self, pki):
        self.pki = pki

    def server(self, name='archive', where=None, ca=None, minimum=None,
               maximum=None, ciphers=None):
        where = where or self.pki
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c.load_cert_chain(where / (name + '.pem'), where / (name + '.key'))
        c.load_verify_locations(ca or self.pki / 'ca.pem')
        c.verify_mode = ssl.CERT_REQUIRED
        if minimum:
            c.minimum_version = minimum
        if ciphers:
            c.set_ciphers(ciphers)
        if maximum:
            c.maximum_version = maximum
        return c

    def client(self, name='edge', where=None):
        where = where or self.pki
        c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        c.load_verify_locations(self.pki / 'ca.pem')
        if name:
            c.load_cert_chain(where / (name + '.pem'), where / (name + '.key'))
        return c


@pytest.fixture(scope='session')
def tls(pki):
    return Tls(pki)


@pytest.fixture
def edge_config(pki):
    """A configuration of an edge: plaintext in, to(port) out over mTLS."""

    def make(port, host='127.0.0.1', destination=None, **kw):
        d = {'protocol': 'dicom-tls', 'endpoints': ['%s:%d' % (host, port)],
             'ae_title': 'ARCHIVE',
             'tls': {'ca': str(pki / 'ca.pem'),
                     'certificate': str(pki / 'edge.pem'),
                     'key': str(pki / 'edge.key'),
                     'server_name': 'archive.example'},
             'retry': {'first': '100ms', 'max': '1s', 'probe': '1s'}}
        d.update(destination or {})
        c = {'listeners': {'modalities': {}},
             'devices': {'scanner': {
                 'ae_title': ['SCU', 'STORESCU', 'RAWSCU', 'ECHOSCU'],
                 'address': '127.0.0.1'}},
             'destinations': {'archive': d},
             'routes': [{'service': 'storage', 'forward': ['archive']}]}
        c.update(kw)
        return c
    return make


@pytest.fixture
def daemons(tmp_path):
    """daemons(config, name=...) makes a Culvert that is stopped at the end."""
    made = []

    def make(config, name='edge', start=True, **kw):
        c = culvert.Culvert(tmp_path, config, name, **kw)
        made.append(c)
        return c.start() if start else c
    yield make
    failures = []
    for c in made:
        try:
            if c.alive():
                c.stop()
            elif c.process is not None:
                c._ended()
                failures.append(c.name + ' died:\n' + c.log()[-4000:])
        except AssertionError as e:
            failures.append(str(e))
    assert not failures, '\n'.join(failures)
    for c in made:
        if c.large:
            shutil.rmtree(c.root / 'spool', ignore_errors=True)


@pytest.fixture
def scps():
    """scps(tls=..., port=...) makes an archive that is stopped at the end."""
    made = []

    def make(**kw):
        made.append(dicom.Scp(**kw))
        return made[-1]
    yield make
    for s in made:
        s.stop()


@pytest.fixture
def programs():
    """programs(args...) starts a peer program, ended at the end by its pid."""
    made = []

    def make(*args, **kw):
        kw.setdefault('stdout', subprocess.DEVNULL)
        kw.setdefault('stderr', subprocess.DEVNULL)
        made.append(subprocess.Popen([str(a) for a in args],
                                     stdin=subprocess.DEVNULL, **kw))
        return made[-1]
    yield make
    for p in made:
        if p.poll() is None:
            p.terminate()
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()


@pytest.fixture
def both(daemons, tmp_path, pki):
    """both(tls port, configuration) -> relayed.Both for that Culvert, with
    .edge; all ended afterwards."""
    made = []

    def make(tls_port, config):
        edge = daemons(config)
        made.append(relayed.Both(tmp_path / 'both', pki, tls_port,
                                 edge.port('modalities')))
        made[-1].edge = edge
        return made[-1]
    yield make
    for b in made:
        b.stop()


@pytest.fixture(scope='session')
def link_pki(tmp_path_factory):
    """The certificates of linked.make_pki()."""
    return linked.make_pki(tmp_path_factory.mktemp('link-pki'))


@pytest.fixture
def links(daemons, tmp_path, link_pki):
    """links(...) -> linked.Setting: edges, a line each, a cloud."""
    made = []

    def make(**kw):
        made.append(linked.Setting(daemons, tmp_path, link_pki, **kw))
        return made[-1]
    yield make
    for s in made:
        s.stop()
        shutil.rmtree(s.far.path, ignore_errors=True)


@pytest.fixture(scope='session')
def samples():
    """Real DICOM files: of the shared set where it is, else Debian's."""
    found = sorted((SHARED / 'dev').rglob('*.dcm')) if SHARED.exists() else []
    if not found:
        found = sorted(PYDICOM.glob('*.dcm'))
    assert found, 'python3-pydicom is not installed'
    out = []
    for p in found:
        try:
            meta, data = dicom.split_part10(p.read_bytes())
        except (ValueError, IndexError):
            continue
        if all(meta.get(k) for k in (2, 3, 0x10)):
            out.append(p)
    return out


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None,
                              reason=program + ' is not installed')
