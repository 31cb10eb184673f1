"""Nothing in clear on the wire to the archive, nor in spool, ledger and log."""
import os
import pathlib
import re
import resource
import signal
import shutil
import socket
import subprocess
import threading
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


def memory_holds(pid, what):
    """Whether a process has these bytes in memory that it wrote."""
    with open('/proc/%d/maps' % pid) as maps, \
            open('/proc/%d/mem' % pid, 'rb', 0) as mem:
        for line in maps:
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw', line)
            low, high = (int(x, 16) for x in m.groups()) if m else (0, 0)
            if not 0 < high - low < 1 << 28:
                continue
            try:
                mem.seek(low)
                if what in mem.read(high - low):
                    return True
            except OSError:
                pass
    return False


def secrets(edge, pki):
    """What must never stand in a file or a core: {what: bytes}."""
    key = (edge.root / 'data.key').read_bytes()
    out = {'name': b'Findme^Zanzibar', 'patient': b'ZZ-4711-Patient',
           'accession': b'ACC-990017'}
    for n, text in enumerate(re.findall(rb'[0-9a-fA-F]{64}', key)):
        out['data key %d' % n] = bytes.fromhex(text.decode())
    if len(out) == 3:
        out['data key'] = key[-32:]
    pem = subprocess.run(
        ['openssl', 'pkey', '-in', str(pki / 'edge.key'), '-text', '-noout'],
        capture_output=True, text=True).stdout
    m = re.search(r'priv:\n((?:\s+[0-9a-f:]+\n)+)', pem)
    if m:
        out['TLS key'] = bytes.fromhex(re.sub(r'[\s:]', '', m[1]))[-32:]
    return out


def check_files(root, hidden):
    for f in root.rglob('*'):
        if f.is_file() and f.name not in ('data.key', 'signing.key'):
            content = f.read_bytes()
            for what, value in hidden.items():
                assert value not in content, (f, what)


def load(edge, stop):
    n = 0
    while not stop.is_set():
        n += 1
        uid = '1.2.3.9.%d' % n
        try:
            dicom.send(edge.port(), [(uid, dicom.data_set(
                uid, name='Findme^Zanzibar', pid='ZZ-4711-Patient',
                accession='ACC-990017', size=300000))])
        except (OSError, dicom.Gone, dicom.Aborted):
            return


@needs('gcore')
def test_a_core_under_load_shows_nothing(
        daemons, scps, tls, edge_config, pki, tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port), env={
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
        ':disable_coredump=0:handle_abort=0'})
    hidden = secrets(edge, pki)
    assert any('data key' in k for k in hidden)
    stop = threading.Event()
    threads = [threading.Thread(target=load, args=(edge, stop))
               for _ in range(2)]
    for t in threads:
        t.start()
    try:
        edge.wait_deliveries('delivered', 4)
        pid = edge.process.pid
        # there is something to hide
        until('a name in memory',
              lambda: memory_holds(pid, hidden['name']))
        core = tmp_path / 'core'
        p = subprocess.run(['gcore', '-o', str(core), str(pid)],
                           capture_output=True, text=True, timeout=120)
        made = pathlib.Path('%s.%d' % (core, pid))
        assert made.exists(), p.stdout + p.stderr
        content = made.read_bytes()
        assert len(content) > 1000
        for what, value in hidden.items():
            assert value not in content, what
        if not pathlib.Path('/proc/sys/kernel/core_pattern').read_text() \
                .startswith('|'):
            resource.prlimit(pid, resource.RLIMIT_CORE,
                             (1 << 32, 1 << 32))
        edge.process.send_signal(signal.SIGABRT)
        edge.process.wait(60)
    finally:
        stop.set()
        for t in threads:
            t.join()
    edge._ended()
    # the kernel's core, if it made one, stands among them
    check_files(edge.root, hidden)
