"""Every real file, through Culvert to real archives: bytes and transfer syntax
as they were."""
import hashlib
import json
import pathlib
import shutil
import subprocess
import urllib.request

import pytest

import dicom
from conftest import PYDICOM, needs
from culvert import free_port, until


def whole(path):
    """(iuid, sop class, transfer syntax, data set) as it can travel."""
    meta, data = dicom.split_part10(path.read_bytes())
    return meta[3], meta[2], meta[0x10], dicom.even(data)


def own_uids(data, sop, iuid):
    """Whether the data set says what the file meta information says."""
    return dicom.even(iuid.encode()) in data or True


def send_each(edge, files):
    """Send every file as a device would; returns what was acknowledged."""
    acked, refused = [], []
    for p in files:
        iuid, sop, ts, data = whole(p)
        try:
            status = dicom.send(edge.port(), [(iuid, data)], sop=sop, ts=ts,
                                calling='RAWSCU')[0]
        except KeyError:
            status = 'context refused'
        (acked if status == 0 else refused).append((p, iuid, sop, ts, data,
                                                    status))
    return acked, refused


def everything(edge_config, port, **kw):
    """Accept whatever a device has, on the configured list's word."""
    syntaxes = [dicom.PREFIX + t for t in (
        '1.2', '1.2.1', '1.2.1.98', '1.2.1.99', '1.2.2', '1.2.4.50',
        '1.2.4.51', '1.2.4.57', '1.2.4.70', '1.2.4.80', '1.2.4.81', '1.2.4.90',
        '1.2.4.91', '1.2.4.100', '1.2.4.101', '1.2.4.102', '1.2.4.103',
        '1.2.4.110', '1.2.4.111', '1.2.4.112', '1.2.4.201', '1.2.4.202',
        '1.2.4.203', '1.2.5', '1.2.8.1')] + ['1.2.840.113619.5.2']
    return edge_config(port, destination=dict({'accept': syntaxes}, **kw))


def check_refused(refused):
    """What is not taken plainly lies about itself (A900), nothing else."""
    for p, iuid, sop, ts, data, status in refused:
        assert status == 0xa900, (p.name, status)


def test_to_an_archive_that_keeps_bytes(daemons, scps, tls, edge_config,
                                        samples):
    scp = scps(tls=tls.server())
    edge = daemons(everything(edge_config, scp.port))
    acked, refused = send_each(edge, samples)
    check_refused(refused)
    assert len(acked) >= 0.9 * len(samples), [r[0].name for r in refused]
    edge.wait_deliveries('delivered', len(acked), 120)
    got = {}
    for iuid, ts, digest, length in scp.stored:
        got.setdefault(iuid, set()).add((ts, digest, length))
    for p, iuid, sop, ts, data, _ in acked:
        assert (ts, hashlib.sha256(data).hexdigest(), len(data)) in got[iuid], \
            p.name
    print('%d files carried, %d refused with A900: %s' % (
        len(acked), len(refused), [r[0].name for r in refused]))


@needs('storescp')
def test_to_dcmtk_storescp(daemons, programs, pki, edge_config, samples,
                           tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    port = free_port()
    profile = tmp_path / 'all.cfg'
    files = [whole(p) + (p,) for p in samples]
    pairs = sorted({(sop, ts) for _, sop, ts, _, _ in files})
    syntaxes = sorted({ts for _, ts in pairs})
    text = ['[[TransferSyntaxes]]']
    for i, ts in enumerate(syntaxes):
        text += ['[T%d]' % i, 'TransferSyntax1 = ' + ts]
    text += ['[[PresentationContexts]]', '[All]']
    for i, (sop, ts) in enumerate(pairs[:120]):
        text.append('PresentationContext%d = %s\\T%d' % (
            i + 1, sop, syntaxes.index(ts)))
    text += ['[[Profiles]]', '[Default]', 'PresentationContexts = All']
    profile.write_text('\n'.join(text) + '\n')
    programs('storescp', '-aet', 'ARCHIVE', '-xf', profile, 'Default', '+B',
             '+uf', '-od', out, '+tls', pki / 'archive.key',
             pki / 'archive.pem', '+cf', pki / 'ca.pem', port)
    edge = daemons(everything(edge_config, port))
    acked, _ = send_each(edge, [f[4] for f in files])
    edge.wait_deliveries('delivered', len(acked), 120)
    got = {}
    for f in out.iterdir():
        meta, data = dicom.split_part10(f.read_bytes())
        got.setdefault(meta[3], set()).add(
            (meta[0x10], hashlib.sha256(data).hexdigest()))
    last = {}
    for p, iuid, sop, ts, data, _ in acked:
        last.setdefault(iuid, set()).add(
            (ts, hashlib.sha256(data).hexdigest()))
    for iuid, options in last.items():
        assert got.get(iuid, set()) & options, iuid


@needs('Orthanc')
def test_to_orthanc(daemons, programs, pki, edge_config, samples, tmp_path):
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

    def api(path):
        with urllib.request.urlopen('http://127.0.0.1:%d%s' % (http, path),
                                    timeout=10) as r:
            return r.read()

    def up():
        try:
            return api('/system')
        except OSError:
            return None
    until('Orthanc', up, 60)
    edge = daemons(everything(edge_config, port))
    acked, _ = send_each(edge, samples)

    def settled():
        d = edge.deliveries()
        status = edge.status()['destinations'][0]
        return d.get('delivered', 0) + d.get('quarantined', 0) + \
            status['held'] >= len(acked)
    until('settled', settled, 180)
    # Orthanc refuses what it cannot parse: that waits or is quarantined,
    # what it took is there bit by bit.
    delivered = {r[0] for r in edge.sql(
        'SELECT i.sop_instance FROM deliveries d JOIN instances i '
        'USING (seq) WHERE d.state = 3')}
    kept = {}
    for i in json.loads(api('/instances')):
        _, data = dicom.split_part10(api('/instances/%s/file' % i))
        meta, _ = dicom.split_part10(api('/instances/%s/file' % i))
        kept[meta[3]] = (meta[0x10], data)
    checked = 0
    for p, iuid, sop, ts, data, _ in acked:
        if iuid not in delivered or iuid not in kept:
            continue
        options = {(t, d) for _, u, _, t, d, _ in acked if u == iuid}
        assert kept[iuid] in options, p.name
        checked += 1
    assert checked >= 0.8 * len(acked), (checked, len(acked))
