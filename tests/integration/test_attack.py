"""Peers, operators and circumstances that mean harm: places given back, stops
that end in time, records that do not grow with the peer's imagination."""
import json
import os
import random
import signal
import socket
import struct
import threading
import time

import pytest

import culvert
import dicom
from culvert import run, until
from dicom import CT, EVLE, IVLE, VERIFICATION
from test_hostile import closed

CONTEXTS = [(1, CT, [EVLE]), (3, VERIFICATION, [IVLE])]
SHIM = os.path.join('build', 'release', 'fault', 'shim_eio.so')


def listener(**kw):
    return {'modalities': dict({'limits': {
        'associations': 12, 'per_device': 10, 'rate': '100000/min'}}, **kw)}


@pytest.fixture
def edge(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    e = daemons(edge_config(scp.port, listeners=listener(
        timeouts={'artim': '2s', 'idle': '30s', 'message': '30s'})))
    e.scp = scp
    return e


def dial(e, timeout=30):
    return socket.create_connection(('127.0.0.1', e.port()), timeout=timeout)


def drop(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack('ii', 1, 0))
    sock.close()


def seconds_to_stop(e, again=None):
    began = time.monotonic()
    e.process.send_signal(signal.SIGTERM)
    if again is not None:
        time.sleep(again)
        e.process.send_signal(signal.SIGTERM)
    assert e.process.wait(60) == 0, e.log()[-3000:]
    e._ended()
    return time.monotonic() - began


def sockets(e):
    d = '/proc/%d/fd' % e.process.pid
    n = 0
    for fd in os.listdir(d):
        try:
            n += os.readlink(os.path.join(d, fd)).startswith('socket:')
        except OSError:
            pass
    return n


# ---- places ----------------------------------------------------------------

def ways_to_end(e):
    def raw(b, then=closed):
        s = dial(e)
        s.sendall(b)
        then(s)

    def accepted(b, then=closed):
        a = dicom.Association(e.port(), CONTEXTS)
        a.send(b)
        then(a.sock)
    store = dicom.pdata(1, 3, dicom.command(
        {2: CT.encode(), 0x100: dicom.u16(1), 0x110: dicom.u16(1),
         0x700: dicom.u16(0), 0x800: dicom.u16(1), 0x1000: b'1.2.3'}))
    whole = store + dicom.pdata(1, 2, dicom.data_set('1.2.3'))
    rq = dicom.associate_rq
    for b in (b'', b'\x01', b'GET / HTTP/1.0\r\n\r\n', b'\x16\x03\x01',
              rq(CONTEXTS)[:50], rq(CONTEXTS, calling='NOBODY'),
              rq(CONTEXTS, called='WRONG'), rq(CONTEXTS, version=2),
              rq(CONTEXTS, app='1.2.3'), rq([]), dicom.pdu(1, b'short'),
              dicom.pdu(5, bytes(4)), dicom.pdu(7, bytes(4)),
              rq(CONTEXTS) + whole + dicom.pdu(5, bytes(4)),
              rq(CONTEXTS) + whole * 2, rq(CONTEXTS) + dicom.pdu(5, b'')):
        yield lambda b=b: raw(b, drop)
        if len(b) > 2:
            yield lambda b=b: raw(b, lambda s: s.shutdown(socket.SHUT_WR) or
                                  closed(s))
    for b in (store, whole, whole + dicom.pdu(7, bytes(4)),
              whole + dicom.pdu(5, bytes(4)), dicom.pdu(7, bytes(4)),
              store + dicom.pdata(1, 0, b'x' * 1000) + dicom.pdu(5, bytes(4)),
              whole + whole, dicom.pdata(1, 3, b'\xff' * 40)):
        yield lambda b=b: accepted(b, drop)
        yield lambda b=b: accepted(b, lambda s: s.shutdown(socket.SHUT_WR) or
                                   closed(s))


def test_every_end_gives_its_place_and_descriptor_back(edge):
    edge.status()
    before = sockets(edge)
    for _ in range(2):
        for way in ways_to_end(edge):
            try:
                way()
            except (OSError, dicom.Gone, dicom.Aborted):
                pass
    until('all gone', lambda: edge.status()['associations'] == 0)
    held = [dicom.Association(edge.port(), CONTEXTS) for _ in range(10)]
    for a in held:
        assert a.echo(3) == 0
        a.release()
    until('all gone', lambda: edge.status()['associations'] == 0)
    until('descriptors', lambda: sockets(edge) <= before + 2)


def test_every_c_store_is_answered_once(edge):
    a = dicom.Association(edge.port(), CONTEXTS)
    data = dicom.data_set('1.2.9')
    for fields, part, status in (
            ({0x800: dicom.u16(0x101)}, None, 0x0212),
            ({2: b'1.2.840.10008.5.1.4.1.1.4'}, data, 0x0122),
            ({2: b''}, data, 0x0122), ({0x1000: b''}, data, 0x0117),
            ({0x1000: b'a"b\nc'}, data, 0x0117),
            ({0x1000: b'1.2.10'}, data, 0xa900), ({}, b'', 0), ({}, data, 0)):
        a.send_message(1, a.store_rq(1, CT, '1.2.9', extra=fields), part)
        r = a.response()
        assert struct.unpack('<H', r[0x900])[0] == status, fields
        assert struct.unpack('<H', r[0x120])[0] == a.message_id
    a.send_message(3, a.store_rq(3, VERIFICATION, '1.2.9'), data)
    assert struct.unpack('<H', a.response()[0x900])[0] == 0x0124
    a.send_message(1, {0x100: dicom.u16(0xfff), 0x120: dicom.u16(1),
                       0x800: dicom.u16(0x101)})   # C-CANCEL: no answer
    a.send_message(1, {0x100: dicom.u16(0xfff), 0x120: dicom.u16(1),
                       0x800: dicom.u16(1)}, data)
    assert a.echo(3) == 0
    a.send_message(1, a.store_rq(1, CT, '1.2.9'), data)
    a.send(dicom.pdu(5, bytes(4)))      # released before the answer
    assert struct.unpack('<H', a.response()[0x900])[0] == 0
    assert a.read_pdu()[0] == 6
    a.close()


# ---- deadlines -------------------------------------------------------------

def test_a_refused_peer_cannot_renew_its_deadline(edge):
    s = dial(edge)
    s.sendall(dicom.associate_rq(CONTEXTS, calling='NOBODY'))
    began = time.monotonic()
    try:
        while time.monotonic() - began < 60 * culvert.SLOW:
            s.sendall(dicom.associate_rq(CONTEXTS, calling='NOBODY'))
            time.sleep(0.2)
    except OSError:
        pass
    s.close()
    assert time.monotonic() - began < 15 * culvert.SLOW


def test_a_pause_at_the_end_of_a_data_set_ends_with_it(
        daemons, scps, tls, edge_config, tmp_path):
    """The spool is full when the last bytes were already read."""
    if not os.path.exists(SHIM):
        pytest.skip('make fault-build')
    scp = scps(tls=tls.server())
    order = tmp_path / 'order'
    e = daemons(edge_config(scp.port), env={
        'LD_PRELOAD': os.path.abspath(SHIM),
        'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
        ':verify_asan_link_order=0',
        'EIO_DIR': str(tmp_path / 'slow' / 'spool'),
        'EIO_ORDER': str(order)}, name='slow')
    a = dicom.Association(e.port(), CONTEXTS)
    assert a.store(1, '1.2.1', dicom.data_set('1.2.1')) == 0
    order.write_text('stall')
    data = dicom.data_set('1.2.2', size=(4 << 20) + 20000)
    first, rest = data[:(4 << 20) - 8000], data[(4 << 20) - 8000:]
    a.send(dicom.pdata(1, 3, dicom.command(a.store_rq(1, CT, '1.2.2'))))
    for at in range(0, len(first), 100000):
        a.send(dicom.pdata(1, 0, first[at:at + 100000]))
    time.sleep(1 * culvert.SLOW)
    a.send(dicom.pdata(1, 2, rest))
    time.sleep(0.5 * culvert.SLOW)
    order.unlink()
    assert struct.unpack('<H', a.response()[0x900])[0] == 0
    a.sock.settimeout(60)
    assert a.echo(3) == 0
    a.release()


# ---- stopping --------------------------------------------------------------

def test_peers_that_do_not_close_do_not_hold_a_stop(edge):
    edge.config['listeners']['modalities']['timeouts']['artim'] = '60s'
    edge.write()
    edge.stop()
    edge.start()
    idle = [dicom.Association(edge.port(), CONTEXTS) for _ in range(3)]
    silent = [dial(edge) for _ in range(2)]
    released = dicom.Association(edge.port(), CONTEXTS)
    released.send(dicom.pdu(5, bytes(4)))
    busy = dicom.Association(edge.port(), CONTEXTS)
    busy.send(dicom.pdata(1, 3, dicom.command(busy.store_rq(1, CT, '1.2.3'))))
    until('seven', lambda: edge.status()['associations'] == 7)
    assert seconds_to_stop(edge) < 9 * culvert.SLOW
    for k in idle + silent + [released, busy]:
        k.close()


def test_a_second_signal_ends_at_once(edge):
    busy = dicom.Association(edge.port(), CONTEXTS)
    busy.send(dicom.pdata(1, 3, dicom.command(busy.store_rq(1, CT, '1.2.3'))))
    until('open', lambda: edge.status()['associations'] == 1)
    assert seconds_to_stop(edge, again=0.3) < 3 * culvert.SLOW
    busy.close()
    edge.start()
    edge.scp.delay = 60
    assert dicom.send(edge.port(), [('1.2.5', dicom.data_set('1.2.5'))]) == [0]
    until('on its way', lambda: edge.status()['destinations'][0]['in_flight'])
    assert seconds_to_stop(edge, again=0.5) < 3 * culvert.SLOW


def test_orders_under_way_do_not_hold_a_stop(edge):
    stop = threading.Event()

    def ask(request):
        while not stop.is_set():
            try:
                s = control(edge, timeout=15)
                s.sendall(request)
                s.recv(4096)
                s.close()
            except OSError:
                return
    threads = [threading.Thread(target=ask, args=(json.dumps(r).encode() +
                                                  b'\n',))
               for r in [{'op': 'status'}] * 2 + [
                   {'op': 'retry', 'destination': 'archive'}] * 3]
    for t in threads:
        t.start()
    time.sleep(0.5)
    took = seconds_to_stop(edge)
    stop.set()
    for t in threads:
        t.join(20)
    assert took < 4 * culvert.SLOW


# ---- the control socket -----------------------------------------------------

def control(e, timeout=20):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(str(e.root / 'control.sock'))
    return s


def ask(e, line):
    s = control(e)
    out = b''
    try:
        s.sendall(line)
        while True:
            part = s.recv(65536)
            out += part
            if not part or b'\n' in part:
                break
    except OSError:
        pass
    s.close()
    return out


def test_a_bad_request_gets_an_error(edge):
    for line in (
            b'garbage\n', b'\n', b'[]\n', b'"status"\n', b'{"op":1}\n', b'{}\n',
            b'{"op":"retry"}\n', b'{"op":"redirect","destination":"archive"}\n',
            b'{"op":"retry","destination":"' + b'x' * 5000 + b'"}\n',
            b'{"op":"hold","transfer":"zz"}\n', b'{"op":"export"}\n',
            b'{"op":"export","transfer":"' + b'a' * 100000 + b'"}\n',
            b'{"op":"export","transfer":"../../etc"}\n',
            b'[' * 100000 + b'\n', b'{"op":"status","op":"\xff"}\n'):
        answer = json.loads(ask(edge, line))
        assert answer['ok'] is False and answer['error'], line[:40]
    ask(edge, b'x' * 1200000 + b'\n')
    assert json.loads(ask(edge, b'{"op":"status"}\n'))['ok']


def test_an_order_cannot_forge_a_line_of_the_log(edge):
    for op in ('hold', 'export'):
        ask(edge, json.dumps({
            'op': op, 'destination': 'a\nforged\x1b[2J" user="root',
            'transfer': '' if op == 'hold' else 'b\nforged\x1b'}).encode() +
            b'\n')
    ask(edge, b'{"op":"status"}\n')
    for line in edge.log().splitlines():
        assert not line.startswith('forged') and '\x1b' not in line
    assert '" user="root' not in edge.log()


def test_clients_that_trickle_lose_their_place(edge):
    slow = [control(edge) for _ in range(8)]
    gone = [False] * 8
    end = time.monotonic() + 60 * culvert.SLOW
    while not all(gone):
        assert time.monotonic() < end, 'still there'
        for i, s in enumerate(slow):
            try:
                if not gone[i]:
                    s.sendall(b' ')
            except OSError:
                gone[i] = True
        time.sleep(0.3)
    for s in slow:
        s.close()
    assert json.loads(ask(edge, b'{"op":"status"}\n'))['ok']


def test_export_of_what_is_damaged_or_ambiguous(edge, tmp_path):
    edge.scp.status = lambda iuid: 0xa700
    sent = [('1.2.6.%d' % i, dicom.data_set('1.2.6.%d' % i, size=3000000))
            for i in range(20)]
    assert dicom.send(edge.port(), sent) == [0] * 20
    until('rows', lambda: len(edge.sql('SELECT 1 FROM instances')) == 20)
    ids = [r[0].hex() for r in edge.sql('SELECT transfer FROM instances')]
    out = tmp_path / 'x.dcm'
    common = max((i[0] for i in ids), key=[i[0] for i in ids].count)
    if common.isdigit():
        common = next(i[0] for i in ids if [j[0] for j in ids].count(i[0]) > 1
                      and not i[0].isdigit())
    p = edge.cli('queue', 'export', common, out)
    assert p.returncode == 1 and 'more than one' in p.stderr
    p = edge.cli('queue', 'export', ids[0], out)
    assert p.returncode == 0 and out.read_bytes()[128:132] == b'DICM'
    p = edge.cli('queue', 'export', ids[0], out)
    assert p.returncode == 1 and 'exists' in p.stderr
    edge.stop()
    for path in (edge.root / 'spool').glob('*'):
        if path.stat().st_size >= 4 << 20:
            b = bytearray(path.read_bytes())
            for at in range(100000, len(b), 700001):
                b[at] ^= 1
            path.write_bytes(bytes(b))
    edge.start()
    for n, i in enumerate(ids):
        bad = tmp_path / ('%d.dcm' % n)
        p = edge.cli('queue', 'export', i, bad)
        assert (p.returncode == 0) == bad.exists()
    assert edge.alive()


# ---- what is written down --------------------------------------------------

def test_names_that_change_do_not_fill_the_log(edge):
    for n in range(400):
        s = dial(edge)
        s.sendall(dicom.associate_rq(CONTEXTS, calling='X%d\n\x1b"' % n))
        try:
            assert s.recv(10)[:1] in (b'\3', b'')
        except ConnectionError:
            pass                # full for a moment: counted as well
        drop(s)
    for n in range(400):
        dial(edge).close()
    s = dial(edge)
    s.close()
    log = edge.log()
    assert log.count('reason=') < 60, log.count('reason=')
    assert log.count('connection-ended') < 60
    assert '\x1b' not in log
    until('on record', lambda: edge.sql('SELECT sum(count) FROM refusals')[0][0]
          or 0 >= 400)
    assert edge.sql('SELECT count(*) FROM refusals')[0][0] < 60
    out = edge.cli('refused', check=True).stdout
    assert '\x1b' not in out


def test_a_bad_request_for_an_association_is_on_record(edge):
    for b in (dicom.pdu(1, b'short'), dicom.pdu(5, bytes(4)),
              dicom.pdata(1, 3, b'x' * 20), dicom.pdu(9, bytes(4)),
              struct.pack('>BBI', 1, 0, 0xffffffff)):
        s = dial(edge)
        s.sendall(b)
        closed(s)
    until('on record', lambda: edge.cli('refused').stdout.count(
        'bad-association-request') >= 1)
    assert 'A-ASSOCIATE-RQ' in edge.log()


def test_what_a_device_says_of_itself_cannot_steer_a_terminal(edge):
    evil = b'\x1b]0;pwned\x07\x1b[2J'
    extra = dicom.item(0x55, evil[:16])
    contexts = CONTEXTS + [(5, '1.2.3\x1b[2J', [EVLE, '1.2\x1b[31m'])]
    a = dicom.Association(edge.port(), contexts, extra=extra)
    edge.scp.status = lambda iuid: 0xa700
    data = dicom.data_set('1.2.8', study='1.2\x1b[2J', series='1.\x1b[5m')
    assert a.store(1, '1.2.8', data) == 0
    a.release()
    until('row', lambda: edge.sql('SELECT 1 FROM associations WHERE device'
                                  " = 'scanner' AND ended_ms > 0"))
    until('row', lambda: edge.sql('SELECT 1 FROM deliveries'))
    ids = [r[0] for r in edge.sql('SELECT id FROM associations')]
    text = edge.log()
    for i in ids:
        text += edge.cli('association', 'show', i, check=True).stdout
    text += edge.cli('association', 'list', check=True).stdout
    text += edge.cli('queue', 'list', '--state', 'all', check=True).stdout
    transfer = edge.sql('SELECT transfer FROM instances')[0][0].hex()
    text += edge.cli('queue', 'show', transfer, check=True).stdout
    text += edge.cli('status').stdout
    assert '\x1b' not in text and '\x07' not in text


# ---- starting --------------------------------------------------------------

def refused_start(e, *words):
    e.write()
    p = run('serve', '-c', e.path, cwd=e.root, timeout=30)
    assert p.returncode == 1, p.stderr
    for w in words:
        assert w in p.stderr, p.stderr
    return p.stderr


def test_starts_that_fail_say_why_and_leave_nothing(daemons, edge_config,
                                                    edge, pki):
    e = daemons(edge_config(1), name='other', start=False)
    good = json.dumps(e.config)
    e.config['spool']['path'] = str(edge.root / 'spool')
    refused_start(e, 'spool')
    e.config = json.loads(good)
    e.config['records']['path'] = str(edge.root / 'records')
    refused_start(e, 'ledger')
    e.config = json.loads(good)
    e.config['listeners']['modalities']['address'] = \
        '127.0.0.1:%d' % edge.port()
    refused_start(e, 'listeners')
    e.config = json.loads(good)
    e.config['control']['path'] = 'c' * 150
    refused_start(e, 'control.path')
    e.config['control']['path'] = str(edge.root / 'control.sock')
    refused_start(e, 'another daemon answers')
    (e.root / 'precious').write_text('keep me')
    e.config['control']['path'] = 'precious'
    refused_start(e, 'precious')
    assert (e.root / 'precious').read_text() == 'keep me'
    e.config = json.loads(good)
    (e.root / 'bad.pem').write_text('no certificate')
    e.config['listeners']['secure'] = {
        'address': '127.0.0.1:%d' % culvert.free_port(),
        'protocol': 'dicom-tls', 'ae_titles': ['CULVERT'],
        'tls': {'ca': str(e.root / 'bad.pem'),
                'certificate': str(pki / 'archive.pem'),
                'key': str(pki / 'archive.key')}}
    refused_start(e, 'bad.pem')
    e.config = json.loads(good)
    e.config['destinations']['archive']['tls']['key'] = \
        str(pki / 'archive.key')
    refused_start(e, 'archive.key')
    e.config['destinations']['archive']['tls']['key'] = '/nonexistent'
    refused_start(e, '/nonexistent')
    e.config = json.loads(good)
    e.config['spool']['path'] = '/nonexistent/spool'
    refused_start(e, 'spool.path')
    e.config = json.loads(good)
    e.write()
    e.start()
    assert edge.status()['ok']


def test_tls_peers_that_never_finish(daemons, scps, tls, edge_config, pki):
    scp = scps(tls=tls.server())
    e = daemons(edge_config(scp.port, listeners={'modalities': {
        'protocol': 'dicom-tls', 'timeouts': {'artim': '2s'},
        'tls': {'ca': str(pki / 'ca.pem'),
                'certificate': str(pki / 'archive.pem'),
                'key': str(pki / 'archive.key')}}}))
    for first in (b'', b'\x16', b'\x16\x03\x01\x40\x00', b'\x16\x03\x01\x02'):
        s = dial(e)
        s.sendall(first)
        began = time.monotonic()
        closed(s)
        assert time.monotonic() - began < 15 * culvert.SLOW
    s = dial(e)
    s.sendall(dicom.associate_rq(CONTEXTS))
    closed(s)
    s = dial(e)
    hello = b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'
    began = time.monotonic()
    try:
        for b in hello + bytes(500):
            s.sendall(bytes([b]))
            time.sleep(0.2)
    except OSError:
        pass
    assert time.monotonic() - began < 15 * culvert.SLOW
    a = dicom.Association(e.port(), CONTEXTS, tls=tls.client(),
                          host='127.0.0.1')
    assert a.echo(3) == 0
    silent = dial(e)
    assert seconds_to_stop(e) < 9 * culvert.SLOW
    silent.close()
    a.close()


def test_a_burst_is_spread_over_the_workers(edge):
    a = [dial(edge) for _ in range(8)]
    for s in a:
        s.sendall(dicom.associate_rq(CONTEXTS))
    for s in a:
        assert s.recv(10)[0] == 2
        s.close()


def test_random_peers_all_at_once(edge):
    """Everything above in threads, and then all is as it was."""
    rng = random.Random(5)
    ways = list(ways_to_end(edge))
    end = time.monotonic() + 3

    def go(seed):
        mine = random.Random(seed)
        while time.monotonic() < end:
            try:
                mine.choice(ways)()
            except (OSError, dicom.Gone, dicom.Aborted, dicom.Rejected):
                pass
    threads = [threading.Thread(target=go, args=(rng.random(),))
               for _ in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    until('all gone', lambda: edge.status()['associations'] == 0)
    assert dicom.send(edge.port(), [('1.2.7', dicom.data_set('1.2.7'))]) == [0]
