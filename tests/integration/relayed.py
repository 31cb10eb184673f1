"""The setting of the live relay's tests: a plaintext device, Culvert, a RIS
and an archive behind mutual TLS; and beside it the direct connection that it
is compared with."""
import pathlib

import peers
from culvert import free_port

DEVICE_AES = ['FINDSCU', 'MOVESCU', 'GETSCU', 'ECHOSCU', 'STORESCU', 'GDCMSCU',
              'DCMJS', 'SCU', 'CT']
ALL = ['storage', 'verification', 'worklist', 'query', 'mpps']


def destination(pki, *ports, **more):
    """A TLS destination that is called as the device calls."""
    return dict({
        'protocol': 'dicom-tls',
        'endpoints': ['127.0.0.1:%d' % p for p in ports],
        'tls': {'ca': str(pki / 'ca.pem'),
                'certificate': str(pki / 'edge.pem'),
                'key': str(pki / 'edge.key'),
                'server_name': 'archive.example'},
        'retry': {'first': '100ms', 'max': '1s', 'probe': '1s'},
        'health': {'interval': 0},
        'breaker': {'failures': 3, 'pause': '1s'},
    }, **more)


def config(pki, ris, pacs, archive=None, device=None, destinations=None,
           routes=(), listener=None, back=None, **more):
    """ris, pacs, archive: ports. archive, the one that storage is forwarded
    to, is pacs where it is not given. routes: such as come before the usual
    ones, or instead of them. back: the archive's AE title, with a TLS listener
    for it."""
    c = {
        'listeners': {'modalities': dict({
            'ae_titles': ['CULVERT', 'RIS', 'PACS'],
            'limits': {'associations': 2000, 'per_device': 1000,
                       'rate': '1000000/min'}}, **(listener or {}))},
        'devices': {'ct': dict({
            'ae_title': DEVICE_AES, 'address': '127.0.0.1', 'services': ALL,
        }, **(device or {}))},
        'destinations': dict({
            'ris': destination(pki, ris),
            'pacs': destination(pki, pacs),
            'archive': destination(pki, archive or pacs, ae_title='PACS'),
        }, **(destinations or {})),
        'routes': list(routes)}
    # A route that is never taken is an error: only those that are, follow.
    taken = {x for r in routes if not set(r) & {'called', 'listener'}
             for x in ([r['service']] if isinstance(r['service'], str)
                       else r['service'])}
    for service, route in (
            ('worklist', {'relay': 'ris'}), ('mpps', {'relay': 'ris'}),
            ('query', {'relay': 'pacs'}), ('verification', {'relay': 'pacs'}),
            ('storage', {'forward': ['archive']})):
        if service not in taken and \
                service in c['devices']['ct']['services']:
            c['routes'].append(dict(
                {'service': service, 'listener': ['modalities']}, **route))
    if back:
        c['listeners']['modalities'].setdefault(
            'address', '127.0.0.1:%d' % free_port())
        c['listeners']['back'] = {
            'protocol': 'dicom-tls', 'ae_titles': DEVICE_AES,
            'address': '127.0.0.1:%d' % free_port(),
            'tls': {'ca': str(pki / 'ca.pem'),
                    'certificate': str(pki / 'edge.pem'),
                    'key': str(pki / 'edge.key')}}
        c['devices']['ct']['listeners'] = ['modalities']
        c['devices']['pacs-back'] = {
            'ae_title': back, 'address': '127.0.0.1', 'listeners': ['back'],
            'certificate': {'san': 'archive.example'}}
    c.update(more)
    return c


class Both:
    """One way to a TLS peer directly (through stunnel), and one through
    Culvert, both recorded."""

    def __init__(self, directory, pki, tls_port, culvert_port):
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.stunnel = peers.stunnel(directory, pki, 'direct', tls_port,
                                     client=True)
        self.direct = peers.Tap(self.stunnel.port)
        self.through = peers.Tap(culvert_port)

    def compare(self, play, what='', same=peers.assert_same):
        """play(port) both ways; the transcripts are the same. Returns those
        through Culvert, and what play returned there."""
        play(self.direct.port)
        direct = self.direct.take()
        value = play(self.through.port)
        through = self.through.take()
        assert len(direct) == len(through) and direct, (len(direct),
                                                        len(through))
        for a, b in zip(direct, through):
            same(a, b, what)
        return through, value

    def stop(self):
        self.direct.stop()
        self.through.stop()
        self.stunnel.stop()
