"""Every real file, through Culvert to real archives: bytes and transfer syntax
as they were."""
import hashlib
import json
import time
import urllib.request
import warnings

import dicom
from conftest import needs
from culvert import free_port, until


def whole(path):
    """(iuid, sop class, transfer syntax, data set) as it can travel."""
    meta, data = dicom.split_part10(path.read_bytes())
    return meta[3], meta[2], meta[0x10], dicom.even(data)


def own_uid(path):
    """The SOP Instance UID that the data set itself names."""
    import pydicom
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return str(pydicom.dcmread(path, force=True, stop_before_pixels=True)
                   .SOPInstanceUID)


def send_each(edge, files):
    """Send every file as a device would; returns what was acknowledged.

    Some files lie: their meta information names another instance than their
    data set. That is A900, as it should be; they go again under the name of
    the data set."""
    acked, lied = [], []
    for p in files:
        iuid, sop, ts, data = whole(p)
        status = dicom.send(edge.port(), [(iuid, data)], sop=sop, ts=ts,
                            calling='RAWSCU')[0]
        if status == 0xa900:
            lied.append(p.name)
            assert own_uid(p) != iuid, p.name
            iuid = own_uid(p)
            status = dicom.send(edge.port(), [(iuid, data)], sop=sop, ts=ts,
                                calling='RAWSCU')[0]
        assert status == 0, (p.name, hex(status))
        acked.append((p, iuid, sop, ts, data))
    print('%d files acknowledged, %d of them under the name in their data '
          'set: %s' % (len(acked), len(lied), lied))
    return acked


def settle(edge, n):
    """Wait until the queue moves no more: what is left is held, retried
    without end, or in quarantine."""
    seen = [0, time.monotonic()]

    def still():
        d = edge.deliveries()
        done = d.get('delivered', 0) + d.get('quarantined', 0)
        if done != seen[0] or d.get('delivered', 0) < 0.7 * n:
            seen[:] = [done, time.monotonic()]
        return done >= n or time.monotonic() - seen[1] > 8
    until('settled', still, 120)
    assert edge.deliveries().get('delivered', 0) >= 0.7 * n


def refused_by(port, tls, p, iuid, sop, ts, data):
    """Whether the archive does not take this from anybody."""
    try:
        return dicom.send(port, [(iuid, data)], sop=sop, ts=ts,
                          called='ARCHIVE', tls=tls)[0] != 0
    except (dicom.Gone, dicom.Aborted, KeyError):
        return True


def everything(edge_config, port, **kw):
    """Accept whatever a device has, on the configured list's word."""
    syntaxes = [dicom.PREFIX + t for t in (
        '1.2', '1.2.1', '1.2.1.98', '1.2.1.99', '1.2.2', '1.2.4.50',
        '1.2.4.51', '1.2.4.57', '1.2.4.70', '1.2.4.80', '1.2.4.81', '1.2.4.90',
        '1.2.4.91', '1.2.4.100', '1.2.4.101', '1.2.4.102', '1.2.4.103',
        '1.2.4.110', '1.2.4.111', '1.2.4.112', '1.2.4.201', '1.2.4.202',
        '1.2.4.203', '1.2.5', '1.2.8.1')] + ['1.2.840.113619.5.2']
    return edge_config(port, destination=dict({'accept': syntaxes}, **kw))


def test_to_an_archive_that_keeps_bytes(daemons, scps, tls, edge_config,
                                        samples):
    scp = scps(tls=tls.server())
    edge = daemons(everything(edge_config, scp.port))
    acked = send_each(edge, samples)
    edge.wait_deliveries('delivered', len(acked), 120)
    got = {}
    for iuid, ts, digest, length in scp.stored:
        got.setdefault(iuid, set()).add((ts, digest, length))
    for p, iuid, sop, ts, data in acked:
        assert (ts, hashlib.sha256(data).hexdigest(), len(data)) in got[iuid], \
            p.name


@needs('storescp')
def test_to_dcmtk_storescp(daemons, programs, pki, tls, edge_config, samples,
                           tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    port = free_port()
    profile = tmp_path / 'all.cfg'
    files = [whole(p) + (p,) for p in samples]
    pairs = sorted({(sop, ts) for _, sop, ts, _, _ in files})
    syntaxes = sorted({ts for _, ts in pairs})
    text = ['[[TransferSyntaxes]]', '[Any]']
    for i, ts in enumerate(syntaxes):
        text.append('TransferSyntax%d = %s' % (i + 1, ts))
    text += ['[[PresentationContexts]]', '[All]']
    for i, sop in enumerate(sorted({sop for sop, _ in pairs})):
        text.append('PresentationContext%d = %s\\Any' % (i + 1, sop))
    text += ['[[Profiles]]', '[Default]', 'PresentationContexts = All']
    profile.write_text('\n'.join(text) + '\n')
    programs('storescp', '-aet', 'ARCHIVE', '-xf', profile, 'Default', '+B',
             '+uf', '-od', out, '+tls', pki / 'archive.key',
             pki / 'archive.pem', '+cf', pki / 'ca.pem', port)
    edge = daemons(everything(edge_config, port))
    acked = send_each(edge, [f[4] for f in files])
    settle(edge, len(acked))
    edge.stop()
    got = {}
    for f in out.iterdir():
        meta, data = dicom.split_part10(f.read_bytes())
        got.setdefault(meta[3], set()).add(
            (meta[0x10], hashlib.sha256(data).hexdigest()))
    client = tls.client()
    client.check_hostname = False
    for p, iuid, sop, ts, data in acked:
        options = {(t, hashlib.sha256(d).hexdigest())
                   for _, u, _, t, d in acked if u == iuid}
        assert got.get(iuid, set()) & options or \
            refused_by(port, client, p, iuid, sop, ts, data), p.name


@needs('Orthanc')
def test_to_orthanc(daemons, programs, pki, tls, edge_config, samples,
                    tmp_path):
    port, http = free_port(), free_port()
    config = tmp_path / 'orthanc.json'
    config.write_text(json.dumps({
        'Name': 'archive', 'StorageDirectory': str(tmp_path / 'orthanc'),
        'IndexDirectory': str(tmp_path / 'orthanc'),
        'DicomAet': 'ARCHIVE', 'DicomPort': port, 'HttpPort': http,
        'DicomCheckCalledAet': False, 'DicomAlwaysAllowStore': True,
        'AuthenticationEnabled': False, 'RemoteAccessAllowed': False,
        'UnknownSopClassAccepted': True, 'OverwriteInstances': True,
        'StorageCompression': False, 'Plugins': [],
        'DicomTlsEnabled': True,
        'DicomTlsCertificate': str(pki / 'archive.pem'),
        'DicomTlsPrivateKey': str(pki / 'archive.key'),
        'DicomTlsTrustedCertificates': str(pki / 'ca.pem')}))
    programs('Orthanc', config)

    def api(path, method='GET'):
        with urllib.request.urlopen(urllib.request.Request(
                'http://127.0.0.1:%d%s' % (http, path), method=method),
                timeout=10) as r:
            return r.read()

    def up():
        try:
            return api('/system')
        except OSError:
            return None
    until('Orthanc', up, 60)
    edge = daemons(everything(edge_config, port))
    acked = send_each(edge, samples)

    settle(edge, len(acked))
    # Orthanc refuses what it cannot parse: that waits or is quarantined,
    # what it took is there bit by bit.
    delivered = {r[0] for r in edge.sql(
        "SELECT sop_instance FROM v_deliveries WHERE state = 'delivered'")}
    def fetch():
        out = {}
        for i in json.loads(api('/instances')):
            meta, data = dicom.split_part10(api('/instances/%s/file' % i))
            out[meta[3]] = (meta[0x10], data, i)
        return out
    kept = fetch()
    client = tls.client()
    client.check_hostname = False
    same, rewritten = [], []
    for p, iuid, sop, ts, data in acked:
        if iuid not in delivered or iuid not in kept:
            continue
        options = {(t, d) for _, u, _, t, d in acked if u == iuid}
        if kept[iuid][:2] in options:
            same.append(p.name)
            continue
        if len(options) > 1:
            continue  # several files of one name: which one is there?
        # Orthanc writes some data sets anew: then it does so, too, with what
        # it gets without Culvert in between
        api('/instances/' + kept[iuid][2], 'DELETE')
        assert dicom.send(port, [(iuid, data)], sop=sop, ts=ts,
                          called='ARCHIVE', tls=client) == [0]
        assert fetch()[iuid][:2] == kept[iuid][:2], p.name
        rewritten.append(p.name)
    print('%d identical, Orthanc wrote anew %s' % (len(same), rewritten))
    assert len(same) >= 0.3 * len(acked)
    assert len(same) + len(rewritten) >= 0.7 * len(acked)
