"""Nothing in clear on the wire to the archive, nor in spool, ledger and log."""
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

import dicom
from conftest import needs
from culvert import until


def patient_names(data):
    """Long enough values of (0010,0010) and (0010,0020) in a data set."""
    out = set()
    for tag in (b'\x10\x00\x10\x00PN', b'\x10\x00\x20\x00LO'):
        at = data.find(tag)
        if at >= 0:
            n = int.from_bytes(data[at + 6:at + 8], 'little')
            value = data[at + 8:at + 8 + n].strip(b' \0')
            if len(value) >= 6:
                out.add(value)
    return out


def knocked(port, capture):
    """Whether a connection without a byte shows in the capture."""
    before = capture.stat().st_size if capture.exists() else 0
    socket.create_connection(('127.0.0.1', port)).close()
    time.sleep(0.2)
    return capture.exists() and 0 < before < capture.stat().st_size


@needs('tshark')
def test_capture_shows_tls_1_3_and_nothing_in_clear(
        daemons, scps, tls, edge_config, samples, tmp_path):
    scp = scps(tls=tls.server())
    capture = tmp_path / 'wire.pcap'
    dump = subprocess.Popen(
        ['tshark', '-q', '-i', 'lo', '-f', 'tcp port %d' % scp.port, '-w',
         str(capture)], stderr=subprocess.PIPE, text=True)
    try:
        for line in dump.stderr:
            if 'Capturing on' in line:
                break
        else:
            pytest.skip('capturing is not allowed here')
        until('it captures', lambda: knocked(scp.port, capture))
        edge = daemons(edge_config(scp.port))
        marked = dicom.data_set('1.2.3.1', name='Findme^Zanzibar',
                                size=200000)
        sent = [('1.2.3.1', marked)]
        names = {b'Findme^Zanzibar', b'Findme', b'Zanzibar'}
        for p in samples:
            meta, data = dicom.split_part10(p.read_bytes())
            if meta[0x10] == dicom.EVLE and meta[2] == dicom.CT:
                sent.append((meta[3], dicom.even(data)))
                names |= patient_names(data)
        statuses = dicom.send(edge.port(), sent)
        assert statuses[0] == 0
        edge.wait_deliveries('delivered', statuses.count(0))
        until('the image was captured',
              lambda: capture.stat().st_size > 200000)
    finally:
        dump.terminate()
        dump.wait(10)
    raw = capture.read_bytes()
    assert len(raw) > 200000  # the image did pass
    for name in names:
        assert name not in raw, name
    assert b'ARCHIVE' not in raw  # not even the association
    seen = subprocess.run(
        ['tshark', '-r', str(capture), '-d', 'tcp.port==%d,tls' % scp.port,
         '-Y', 'tls.handshake.type == 2', '-T', 'fields', '-e',
         'tls.handshake.extensions.supported_version'],
        capture_output=True, text=True).stdout.split()
    assert seen and set(seen) == {'0x0304'}, seen
    clear = subprocess.run(
        ['tshark', '-r', str(capture), '-d', 'tcp.port==%d,tls' % scp.port,
         '-Y', 'tcp.len > 0 and not tls and not tcp.analysis.retransmission',
         '-T', 'fields', '-e', 'frame.number', '-e', 'tcp.len',
         '-o', 'tcp.desegment_tcp_streams:TRUE'],
        capture_output=True, text=True).stdout
    # segments in the middle of a record have no TLS layer of their own: look
    # at the first bytes of each direction instead of at each segment
    firsts = subprocess.run(
        ['tshark', '-r', str(capture), '-Y', 'tcp.seq == 1 and tcp.len > 0',
         '-T', 'fields', '-e', 'tcp.payload'],
        capture_output=True, text=True).stdout.split()
    assert firsts and all(f.startswith('1603') for f in firsts), clear[:200]
    # the files, once the queue has been worked through and while it waits
    port = scp.port
    scp.stop()
    queued = dicom.data_set('1.2.3.2', name='Findme^Zanzibar', size=5000)
    assert dicom.send(edge.port(), [('1.2.3.2', queued)]) == [0]
    edge.wait_deliveries('queued', 1)
    assert sum(1 for _ in edge.root.rglob('*')) > 5
    for f in edge.root.rglob('*'):
        if not f.is_file():
            continue
        content = f.read_bytes()
        for name in names:
            assert name not in content, (f, name)
    assert edge.cli('queue', 'list', check=True).stdout.count('queued') == 1
    del port
