"""Peers that send garbage, stall, lie about lengths, never read: limits hold,
one association ends with a line that says why, the others are served."""
import os
import random
import socket
import struct
import time

import pytest

import dicom
from culvert import until
from dicom import CT, EVLE, IVLE, VERIFICATION
from test_store import check_all, instances

CONTEXTS = [(1, CT, [EVLE]), (3, VERIFICATION, [IVLE])]


@pytest.fixture
def edge(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    config = edge_config(scp.port)
    config['listeners']['modalities'] = {
        'limits': {'associations': 60, 'per_device': 40, 'rate': '100000/min'},
        'timeouts': {'artim': '2s', 'idle': '4s', 'message': '3s'}}
    e = daemons(config)
    e.scp = scp
    return e


def served(edge):
    """Somebody else is served meanwhile."""
    iuid = '1.2.3.777.%d' % random.randrange(1 << 30)
    assert dicom.send(edge.port(), [(iuid, dicom.data_set(iuid))]) == [0]


def dial(edge):
    s = socket.create_connection(('127.0.0.1', edge.port()), timeout=30)
    return s


def closed(s, seconds=60):
    """Whether the peer ends the connection in time; returns what it sent."""
    s.settimeout(seconds)
    out = b''
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return out
            out += part
    except ConnectionError:
        return out
    finally:
        s.close()


def test_other_protocols_are_named(edge):
    for first, word in ((b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
                         'tls-on-plaintext-port'),
                        (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
                         'http-on-dicom-port'),
                        (b'\xff\xfe\x00\x11garbage', 'not-dicom')):
        s = dial(edge)
        s.sendall(first)
        closed(s)
        edge.wait_log(word)
    served(edge)


def test_silence_meets_artim(edge):
    s = dial(edge)
    began = time.monotonic()
    closed(s)
    assert time.monotonic() - began < 30
    edge.wait_log('artim-expired')


def test_one_byte_per_second_does_not_hold_the_listener(edge):
    s = dial(edge)
    rq = dicom.associate_rq(CONTEXTS)
    began = time.monotonic()
    try:
        for b in rq[:20]:
            s.sendall(bytes([b]))
            time.sleep(0.3)
    except OSError:
        pass
    closed(s)
    assert time.monotonic() - began < 40
    served(edge)


def test_stall_inside_a_message_ends_it(edge):
    a = dicom.Association(edge.port(), CONTEXTS)
    a.send(dicom.pdata(1, 3, dicom.command(a.store_rq(1, CT, '1.2.3'))))
    a.send(dicom.pdata(1, 0, b'\0' * 1000))
    closed(a.sock)
    until('no association left',
          lambda: edge.status()['associations'] == 0)
    served(edge)


@pytest.mark.parametrize('what', [
    struct.pack('>BBI', 1, 0, 0xffffffff),
    struct.pack('>BBI', 1, 0, 4) + b'\0\0\0\0',
    struct.pack('>BBI', 9, 0, 4) + b'\0\0\0\0',
    struct.pack('>BBI', 4, 0, 0xffffffff) + b'\0' * 100,
    struct.pack('>BBI', 4, 0, 6) + struct.pack('>IBB', 0xffffffff, 1, 0),
    struct.pack('>BBI', 4, 0, 6) + struct.pack('>IBB', 1, 1, 0),
    dicom.pdata(99, 3, b'x' * 10),
    dicom.pdata(1, 2, b'data before a command'),
    dicom.pdata(1, 3, b'\xff' * 30),
    dicom.pdata(1, 3, struct.pack('<HHI', 0, 0x100, 0xfffffff0)),
    dicom.pdu(2, b'\0' * 100), dicom.pdu(6, bytes(4)),
    dicom.associate_rq(CONTEXTS),
])
def test_bad_pdus_end_one_association(edge, what):
    s = dial(edge)
    s.sendall(what)
    closed(s)
    a = dicom.Association(edge.port(), CONTEXTS)
    other = dicom.Association(edge.port(), CONTEXTS)
    a.send(what)
    closed(a.sock)
    assert other.echo(3) == 0
    other.release()


def test_huge_command_set_is_refused(edge):
    a = dicom.Association(edge.port(), CONTEXTS)
    try:
        for _ in range(64):
            a.send(dicom.pdata(1, 1, b'\0' * 16000))
    except dicom.Gone:
        pass
    closed(a.sock)
    served(edge)


def test_random_bytes_never_stop_the_process(edge):
    rng = random.Random(7)
    rq = dicom.associate_rq(CONTEXTS)
    whole = rq + dicom.pdata(1, 3, dicom.command(
        {2: CT.encode(), 0x100: dicom.u16(1), 0x110: dicom.u16(1),
         0x700: dicom.u16(0), 0x800: dicom.u16(1), 0x1000: b'1.2.3'})) + \
        dicom.pdata(1, 2, dicom.data_set('1.2.3')) + dicom.pdu(5, bytes(4))
    for _ in range(150):
        b = bytearray(whole)
        for _ in range(rng.randrange(1, 8)):
            b[rng.randrange(len(b))] = rng.randrange(256)
        s = dial(edge)
        try:
            s.sendall(bytes(b[:rng.randrange(1, len(b))]))
        except OSError:
            pass
        s.close()
    until('served again', lambda: try_served(edge))
    until('no association left',
          lambda: edge.status()['associations'] == 0)


def test_half_closed_and_reset_peers(edge):
    for linger in (False, True):
        a = dicom.Association(edge.port(), CONTEXTS)
        a.send(dicom.pdata(1, 3, dicom.command(a.store_rq(1, CT, '1.2.3'))))
        a.send(dicom.pdata(1, 0, b'\0' * 5000))
        if linger:
            a.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack('ii', 1, 0))
        else:
            a.sock.shutdown(socket.SHUT_WR)
            closed(a.sock)
        a.close()
    until('gone', lambda: edge.status()['associations'] == 0)
    assert edge.deliveries() == {}
    served(edge)


def test_a_peer_that_never_reads(edge):
    a = dicom.Association(edge.port(), CONTEXTS)
    a.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    a.sock.settimeout(0.5)
    echo = dicom.pdata(3, 3, dicom.command(
        {2: VERIFICATION.encode(), 0x100: dicom.u16(0x30),
         0x110: dicom.u16(1), 0x800: dicom.u16(0x101)}))
    sent = 0
    try:
        while sent < 200 << 20:
            a.sock.sendall(echo * 500)
            sent += len(echo) * 500
    except (OSError, socket.timeout):
        pass
    served(edge)
    a.close()


def test_limits_hold_under_ten_thousand_connections(edge):
    open_sockets = []
    refused = 0
    try:
        for n in range(10000):
            s = socket.socket()
            s.settimeout(60)
            s.connect(('127.0.0.1', edge.port()))
            if n < 300:
                open_sockets.append(s)
            else:
                s.close()
    finally:
        for s in open_sockets:
            s.close()
    edge.wait_log('listener-full')
    until('served again', lambda: try_served(edge))
    pid = edge.process.pid
    assert len(os.listdir('/proc/%d/fd' % pid)) < 400
    assert refused == 0


def try_served(edge):
    try:
        served(edge)
        return True
    except (OSError, dicom.Gone, dicom.Rejected):
        return False


def test_others_are_served_while_stalled_peers_hold_buffers(edge):
    stalled = []
    for i in range(30):
        a = dicom.Association(edge.port(), CONTEXTS)
        a.send(dicom.pdata(1, 3, dicom.command(
            a.store_rq(1, CT, '1.2.4.%d' % i))))
        a.send(dicom.pdata(1, 0, b'\0' * 100000))
        stalled.append(a)
    sent = instances(10, size=50000)
    assert dicom.send(edge.port(), sent) == [0] * 10
    for a in stalled:
        a.close()
    edge.wait_deliveries('delivered', 10)
    check_all(edge.scp, sent)
