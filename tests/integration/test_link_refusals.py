"""Who does not get in over the link, and what happens to what waits meanwhile:
foreign and newer peers, certificates that nobody declared, stores that were
wiped or put back, frames that are none. Refusals say why; nothing is lost."""
import os
import shutil
import socket
import struct

import pytest

import dicom
import linked
import linkpeer
from culvert import until
from linked import states, wait_only, wait_state
from linkpeer import BYE, REFUSED, Client, Ended, Server


@pytest.fixture
def cloud(daemons, tmp_path, link_pki):
    """cloud(...) -> a Culvert that takes links of edge-1 and edge-2."""
    def make(**kw):
        far = {'protocol': 'directory', 'path': str(tmp_path / 'far')}
        return daemons(linked.cloud_config(
            link_pki, far, linked.EDGES[:2], **kw), 'cloud')
    return make


@pytest.fixture
def dial(link_pki):
    """dial(cloud, name='edge-1', ...) -> a Client, closed at the end."""
    made = []

    def make(c, name='edge-1', **kw):
        made.append(Client(c.port('links'), link_pki, name, **kw))
        return made[-1]
    yield make
    for peer in made:
        peer.close()


def must_end(client, seconds=15):
    """Whatever it says, it ends the connection."""
    client.sock.settimeout(seconds)
    with pytest.raises((Ended, TimeoutError)) as e:
        while True:
            client.next()
    assert not isinstance(e.value, TimeoutError), 'still open'


def try_bad(port, pki, **kw):
    """Connect in a way that must fail in the handshake or right after it."""
    try:
        c = Client(port, pki, **kw)
    except Ended:
        return
    try:
        c.greet()
    except Ended:
        return
    finally:
        c.close()
    raise AssertionError('was let in')


# ---- at the cloud ------------------------------------------------------------

@pytest.mark.tsan
@pytest.mark.parametrize('alpn', [None, ('h2', 'http/1.1'), ('culvert/2',)],
                         ids=['none', 'http', 'newer'])
def test_without_the_right_alpn(cloud, dial, link_pki, alpn):
    c = cloud()
    try_bad(c.port('links'), link_pki, name='edge-1', alpn=alpn)
    c.wait_log(r' refused .*culvert/1')
    good = dial(c)
    good.greet()
    good.close()


def test_dicom_http_and_nonsense(cloud):
    c = cloud()
    for text in (b'GET / HTTP/1.1\r\n\r\n',
                 dicom.associate_rq([(1, dicom.CT, [dicom.EVLE])]),
                 os.urandom(400), b''):
        with socket.create_connection(('127.0.0.1', c.port('links')),
                                      20) as s:
            s.sendall(text)
            if not text:
                continue
            s.settimeout(40)
            try:
                while s.recv(4096):
                    pass
            except ConnectionError:
                pass
    assert c.alive()
    assert 'http' in c.log().lower() and 'dicom' in c.log().lower()


def test_certificates_that_are_not_declared(cloud, dial, link_pki):
    c = cloud()
    stranger = dial(c, 'stranger')
    with_hello = linkpeer.hello()
    try:
        stranger.send('HELLO', with_hello)
    except Ended:
        pass
    reason, text = stranger.bye()
    assert reason == BYE['UNDECLARED'], (reason, text)
    c.wait_log(r' refused .*CN=stranger')
    foreign = link_pki.parent / 'foreign'
    try_bad(c.port('links'), link_pki, name='edge-1', where=foreign)
    c.wait_log(r' refused .*issuer CN=foreign CA')
    try_bad(c.port('links'), link_pki, name=None)
    # the log is quicker than the ledger
    until('the refusal in the ledger', lambda: 'certificate-different' in
          c.cli('refused', check=True).stdout)


def test_a_device_without_the_service(daemons, dial, tmp_path, link_pki):
    far = {'protocol': 'directory', 'path': str(tmp_path / 'far')}
    config = linked.cloud_config(link_pki, far, ['edge-1'])
    config['listeners']['tls'] = {
        'protocol': 'dicom-tls', 'tls': linked.tls_files(link_pki, 'cloud')}
    config['devices']['ct'] = linked.link_device(
        link_pki, 'edge-2', ae_title='CT', services=['storage'])
    c = daemons(config, 'cloud')
    peer = dial(c, 'edge-2')
    peer.send('HELLO', linkpeer.hello())
    reason, text = peer.bye()
    assert reason == BYE['UNDECLARED'], (reason, text)


@pytest.mark.parametrize('low, high', [(2, 3), (7, 65535)])
def test_newer_versions_only(cloud, dial, low, high):
    c = cloud()
    peer = dial(c)
    # of a later version nothing but the range is read
    peer.send('HELLO', struct.pack('>IHH', linkpeer.MAGIC, low, high) +
              os.urandom(200))
    reason, text = peer.bye()
    assert reason == BYE['VERSION'] and '1' in text, (reason, text)
    must_end(peer)
    # one that speaks more than this takes what both speak
    peer = dial(c)
    peer.greet(high=9, more=b'fields of later editions')
    assert struct.unpack('>HH', peer.theirs[4:8])[0] == 1


def test_terms_that_cannot_be(cloud, dial):
    c = cloud()
    for why, kw in (('LIMITS', {'chunk': 16}), ('LIMITS', {'chunk': 21}),
                    ('SELF', {})):
        peer = dial(c)
        if why == 'SELF':
            peer.greet()
            kw = {'spool': peer.theirs[12:28]}
            peer = dial(c)
        peer.send('HELLO', linkpeer.hello(**kw))
        assert peer.bye()[0] == BYE[why], (why, kw)


def hostile_frames():
    f, tid = linkpeer.frame, os.urandom(16)
    small = dicom.data_set('1.2.3.850.1')
    good = linkpeer.offer(tid, small, '1.2.3.850.1')
    return {
        'unknown': f(0x7f), 'a hello again': f('HELLO', linkpeer.hello()),
        'huge': f('DATA', b'', length=0xffffffff),
        'too long': f('DATA', bytes(16377), length=16377),
        'reserved': f('PING', bytes(8), reserved=1),
        'flags': f('PING', bytes(8), flags=0x80),
        'short': f('PING', bytes(7)), 'long': f('PING', bytes(9)),
        'an answer': f('ARRIVED', bytes(56)), 'joined': f('JOINED', bytes(2)),
        'no text': f('BYE', b'\0\1\xff'), 'no reason': f('BYE', b'\0\0\0'),
        'control characters': f('BYE', b'\0\1\3a\nb'),
        'chunks and length': f('OFFER', good[:24] + b'\0\0\0\7' + good[28:],
                               1),
        'meta runs out': f('OFFER', good[:60] + b'\7\0' + good[62:], 1),
        'metadata too long': f('OFFER', good[:60] + b'\x07\x01' + bytes(1793),
                               1),
        'numbers to follow': f('OFFER', good, 0),
        'beyond a chunk': f('DATA', tid + struct.pack(
            '>II', 0, (1 << 20) - 1) + b'ab'),
        'index': f('DATA', tid + struct.pack('>II', 0xffffffff, 0) + b'ab'),
        'length 0': f('CHUNK_END', tid + bytes(40)),
        'no ids': f('QUERY', b'\0\0'),
        'more ids than bytes': f('QUERY', b'\3\xe8' + bytes(16)),
        'too many ids': f('NOTED', b'\3\xe9' + bytes(16016)),
        'withdraw for nothing': f('WITHDRAW', tid + bytes(2)),
        'have': f('HAVE', tid + bytes(2)),
        'accepts': f('ACCEPTS', bytes(11)),
    }


@pytest.mark.tsan
def test_hostile_frames(cloud, dial):
    """Each costs its connection and nothing else: BYE PROTOCOL."""
    c = cloud()
    data = dicom.data_set('1.2.3.851.1', size=5000)
    for name, text in hostile_frames().items():
        peer = dial(c)
        # it sends only: what receivers say is not its to say
        peer.greet(features=linkpeer.FOLLOW | linkpeer.JOINS)
        peer.raw(text)
        if name != 'no reason' and not name.startswith(('no text', 'control')):
            assert peer.bye()[0] == BYE['PROTOCOL'], name
        must_end(peer)
        peer.close()
    peer = dial(c)
    for name, first in (('transfer', linkpeer.frame('QUERY', linkpeer.ids(
            bytes(16)))), ('magic', linkpeer.frame('HELLO', linkpeer.hello(
                magic=0x43564c55)))):
        peer = dial(c)
        peer.raw(first)
        assert peer.bye()[0] == BYE['PROTOCOL'], name
    # types from 0x80 are skipped; and it still works
    peer = dial(c)
    peer.greet()
    peer.raw(linkpeer.frame(0x80, os.urandom(99), flags=0x55))
    tid = os.urandom(16)
    kind, body = peer.transfer(tid, data, '1.2.3.851.1')
    assert kind == 'ARRIVED' and body[24:] == linkpeer.root(data)
    wait_only(c, 'delivered', 1)


def test_claims_about_content(cloud, dial):
    """What the sender says of leaves and roots counts for nothing."""
    c = cloud()
    peer = dial(c)
    peer.greet()
    iuid = '1.2.3.852.1'
    data = dicom.data_set(iuid, size=2500000)
    parts = linkpeer.chunks_of(data)
    tid = os.urandom(16)
    peer.send('OFFER', linkpeer.offer(tid, data, iuid), 1)
    assert linkpeer.runs(peer.await_('HAVE', tid=tid)[2])[1] == set()
    for n in range(4):  # it may be bad for ever: refused each time
        peer.chunk(tid, 1, parts[1], said=os.urandom(32))
        _, _, body = peer.await_('BAD', tid=tid)
        assert struct.unpack('>IB', body[16:21]) == (1, 1)
        assert body[54:86] == linkpeer.leaf(parts[1])
    peer.chunk(tid, 0, parts[0][:-5])
    assert peer.await_('BAD', tid=tid)[2][20] == linkpeer.BAD['LENGTH']
    for i in (2, 0):
        peer.chunk(tid, i, parts[i])
        assert i in linkpeer.runs(peer.await_('ACK', tid=tid)[2])[1]
    # the same chunk, another content
    other = bytes(len(parts[0]))
    peer.chunk(tid, 0, other)
    assert peer.await_('BAD', tid=tid)[2][20] == linkpeer.BAD['CONFLICT']
    # a chunk that is none of it
    peer.chunk(tid, 99, b'x' * 1000)
    assert peer.await_('BAD', tid=tid)[2][20] == linkpeer.BAD['LENGTH']
    peer.chunk(tid, 1, parts[1])
    peer.await_('ARRIVED', tid=tid)
    # known, with another root
    peer.send('OFFER', linkpeer.offer(tid, data[:-2] + b'zz', iuid), 1)
    kind, _, body = peer.await_('REFUSED', 'ARRIVED', 'DELIVERED', tid=tid)
    if kind == 'REFUSED':
        assert struct.unpack('>H', body[16:18])[0] == REFUSED['CONFLICT']
    # chunks that are right, and a root that is not
    tid, iuid = os.urandom(16), '1.2.3.852.2'
    data = dicom.data_set(iuid, size=1000)
    o = linkpeer.offer(tid, data, iuid)
    peer.send('OFFER', o[:28] + os.urandom(32) + o[60:], 1)
    peer.await_('HAVE', tid=tid)
    peer.chunk(tid, 0, data)
    _, _, body = peer.await_('REFUSED', tid=tid)
    assert struct.unpack('>H', body[16:18])[0] == REFUSED['ROOT']
    # metadata that is none, or of another transfer
    for meta in (b'\1\7', b'\2', linkpeer.metadata(os.urandom(16), iuid),
                 linkpeer.metadata(tid, 'no uid')):
        tid = tid if meta[:2] == b'\1\1' and b'no uid' in meta else \
            os.urandom(16)
        peer.send('OFFER', linkpeer.offer(tid, data, iuid, meta=meta), 1)
        _, _, body = peer.await_('REFUSED', tid=tid)
        assert struct.unpack('>H', body[16:18])[0] == REFUSED['META'], meta
    wait_only(c, 'delivered', 1)


def test_each_edge_sees_its_own_only(cloud, dial):
    c = cloud()
    one = dial(c)
    two = dial(c, 'edge-2')
    one.greet()
    two.greet()
    iuid, tid = '1.2.3.853.1', os.urandom(16)
    data = dicom.data_set(iuid, size=1500000)
    one.send('OFFER', linkpeer.offer(tid, data, iuid), 1)
    one.await_('HAVE', tid=tid)
    one.chunk(tid, 0, data[:linkpeer.CHUNK])
    one.await_('ACK', tid=tid)
    for kind, body in (('QUERY', linkpeer.ids(tid)),
                       ('WITHDRAW', tid + b'\1\0')):
        two.send(kind, body)
        _, _, body = two.await_('REFUSED', tid=tid)
        assert struct.unpack('>H', body[16:18])[0] == REFUSED['UNKNOWN'], kind
    # the same id, offered by the other: nothing of it is there
    two.send('OFFER', linkpeer.offer(tid, data, iuid), 1)
    assert linkpeer.runs(two.await_('HAVE', tid=tid)[2])[1] == set()
    # a session of another owner
    third = dial(c, 'edge-2')
    third.send('JOIN', struct.pack('>I', linkpeer.MAGIC) + one.theirs[44:60] +
               b'\1\0')
    assert third.bye()[0] == BYE['SESSION']
    one.chunk(tid, 1, data[linkpeer.CHUNK:])
    one.await_('ARRIVED', tid=tid)


# ---- at the edge -------------------------------------------------------------

@pytest.fixture
def edge_to(daemons, link_pki):
    def make(port):
        return daemons(linked.edge_config(
            link_pki, 'edge-1', port, {'timeouts': {'connect': '2s'}}),
            'edge-1')
    return make


@pytest.mark.parametrize('how', ['newer', 'undeclared', 'no alpn', 'foreign',
                                 'nonsense', 'answers'])
def test_a_cloud_that_is_none(edge_to, link_pki, tmp_path, daemons, how):
    """The destination is held or tried again, with an alert that names the
    cause; what waits goes out when there is a good one at that port."""
    def serve(peer):
        peer.next()
        if how in ('newer', 'undeclared'):
            text = b'this end speaks 2 to 3' if how == 'newer' else b'who?'
            peer.send('BYE', struct.pack('>HB', BYE[
                'VERSION' if how == 'newer' else 'UNDECLARED'], len(text)) +
                text, 1)
        elif how == 'nonsense':
            peer.raw(os.urandom(4000))
        elif how == 'answers':
            peer.send('HELLO', linkpeer.hello(session=os.urandom(16)))
            while True:
                kind, _, body = peer.next()
                if kind == 'OFFER':
                    # arrived with a root that is not the sender's
                    peer.send('ARRIVED', body[:16] + bytes(40))
        must = peer.next()
        assert must
    server = Server(
        link_pki, serve, alpn=None if how == 'no alpn' else (linkpeer.ALPN,),
        name='cloud' if how != 'foreign' else 'stranger')
    edge = edge_to(server.port)
    sent, digests = linked.several(3, prefix='1.2.3.860')
    assert dicom.send(edge.port(), sent) == [0] * 3
    pattern = {'newer': r'speaks 2 to 3|version', 'undeclared': r'who\?|undecl',
               'no alpn': r'(?i)alpn|culvert/1', 'foreign': r'cloud\.example',
               'nonsense': r'(?i)protocol|frame',
               'answers': r'(?i)root'}[how]
    edge.wait_log(pattern)
    until('it is shown', lambda: edge.status()['destinations'][0]['error'] or
          edge.status()['destinations'][0]['held_why'] or
          states(edge).get('quarantined'))
    assert not states(edge).get('delivered')
    server.stop()
    edge.wait_log(r' link-closed |destination-unreachable|held')
    config = linked.cloud_config(link_pki, {
        'protocol': 'directory', 'path': str(tmp_path / 'far')}, ['edge-1'])
    config['listeners']['links']['address'] = '127.0.0.1:%d' % server.port
    daemons(config, 'cloud')
    if how in ('newer', 'undeclared', 'answers'):
        edge.cli('queue', 'retry', '--destination', 'cloud', check=True)
    wait_only(edge, 'delivered', 3)
    linked.Far(tmp_path / 'far').wait(digests)
    assert not server.failures, server.failures


# ---- stores that change ------------------------------------------------------

@pytest.mark.tsan
@pytest.mark.parametrize('how', ['wiped', 'restored'])
def test_a_far_store_that_is_not_what_it_was(links, scps, tls, pki, how):
    """Everything had arrived; then the far store is another one, or that of
    yesterday. The edge asks, offers again what is not there, and raises an
    alert; nothing is lost and nothing is sent twice that was there."""
    kept = linked.KeptPort()
    port = kept.port
    s = links(far=linked.archive_at(pki, port))
    first, digests = linked.several(5, size=200000, prefix='1.2.3.870')
    assert dicom.send(s.edge.port(), first) == [0] * 5
    wait_only(s.edge, 'arrived', 5)
    s.cloud.stop()
    copy = s.cloud.root.parent / 'yesterday'
    shutil.copytree(s.cloud.root, copy, ignore=shutil.ignore_patterns(
        '*.sock'))
    s.cloud.start()
    second, more = linked.several(7, size=900000, prefix='1.2.3.871')
    digests.update(more)
    assert dicom.send(s.edge.port(), second) == [0] * 7
    wait_only(s.edge, 'arrived', 12)
    s.cloud.kill()
    shutil.rmtree(s.cloud.root / 'spool')
    shutil.rmtree(s.cloud.root / 'records')
    if how == 'restored':
        for part in ('spool', 'records'):
            shutil.copytree(copy / part, s.cloud.root / part)
    since = len(s.edge.lines)
    s.cloud.start()
    wait_only(s.edge, 'arrived', 12)
    until('they are there again',
          lambda: sum(states(s.cloud).values()) == 12)
    s.edge.wait_log(r' error far-store-changed .*%s' % (
        'wiped' if how == 'wiped' else 'older'), since=since)
    scp = scps(tls=tls.server(), port=port)
    wait_only(s.edge, 'delivered', 12, 90)
    assert {u: d for u, _, d, _ in scp.stored} == digests
    assert len(scp.stored) == 12


def test_two_edges_with_one_certificate_and_spool(links, dial):
    """A copied edge: the sessions replace each other, and an alert says so."""
    s = links()
    sent, digests = linked.several(2, prefix='1.2.3.872')
    assert dicom.send(s.edge.port(), sent) == [0] * 2
    wait_only(s.edge, 'delivered', 2)
    spool, before = os.urandom(16), None
    for _ in range(14):
        peer = dial(s.cloud)
        peer.greet(spool=spool)
        if before:
            assert before.bye()[0] == BYE['REPLACED']
        before = peer
    s.cloud.wait_log(r' link-replaced-often ')
    s.far.wait(digests)
    wait_state(s.edge, 'delivered', 2)


def test_a_congestion_control_that_is_not_there_is_told(cloud, dial):
    """The link works all the same."""
    c = cloud(listener={'congestion': 'nosuch'})
    dial(c).greet()
    line = c.wait_log(' link-option ')
    assert ' code=CV5035 ' in line and 'nosuch' in line
    assert 'see net.ipv4.tcp_available_congestion_control' in line
