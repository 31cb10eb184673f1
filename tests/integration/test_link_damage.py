"""Bits that flip: in the edge's spool before it sends, in the cloud's spool
before it delivers, and on the way, before the receiver has checked a leaf.
Each is found and named, repaired or quarantined; none is ever delivered."""
import re

import pytest

import dicom
import linked
from culvert import until
from linked import MIB, chunks_in, flip, states, wait_only, wait_state


def transfer_of(c, iuid):
    return c.sql('SELECT lower(hex(transfer)) FROM instances'
                 ' WHERE sop_instance=?', iuid)[0][0]


def records_of(c, iuid):
    """{chunk index: record} of an instance, the newest of each."""
    tid = transfer_of(c, iuid)
    return {r.index: r for r in chunks_in(c.root / 'spool') if r.id == tid}


def stored_by(scp):
    return {iuid: digest for iuid, _, digest, _ in list(scp.stored)}


def test_in_the_spool_of_the_edge(links):
    """It does not open, so it is not sent: quarantined there, and named."""
    s = links()
    s.cloud.stop()
    bigs = [linked.Big('1.2.3.840.%d' % (n + 1), 6 << 20) for n in range(3)]
    for big in bigs:
        assert big.store(s.edge.port()) == 0
    wait_only(s.edge, 'queued', 3)
    bad = bigs[1]
    r = records_of(s.edge, bad.iuid)[3]
    flip(r.path, r.at + 12345, bit=5)
    s.cloud.start()
    wait_state(s.edge, 'delivered', 2)
    wait_state(s.edge, 'quarantined', 1)
    s.far.wait({b.iuid: b.digest() for b in bigs if b is not bad})
    assert states(s.cloud) == {'delivered': 2}
    listed = s.edge.cli('queue', 'list', '--state', 'quarantined',
                        check=True).stdout
    tid = transfer_of(s.edge, bad.iuid)
    assert tid in listed, listed
    assert tid in s.edge.log() and 'chunk' in s.edge.log()
    s.edge.stop()
    p = s.edge.cli('spool', 'check')
    assert 'damaged' in p.stdout, p.stdout
    # nothing of it is left at the far end
    s.cloud.stop()
    p = s.cloud.cli('spool', 'check', check=True)
    assert 'partial    0 ' in p.stdout, p.stdout


def test_a_head_in_the_spool_of_the_edge_is_mended(links):
    """Heads stand twice: one flipped bit of them costs nothing."""
    s = links()
    s.cloud.stop()
    big = linked.Big('1.2.3.841.1', 4 << 20)
    assert big.store(s.edge.port()) == 0
    wait_only(s.edge, 'queued', 1)
    r = records_of(s.edge, big.iuid)[2]
    flip(r.path, r.at - 4096 + 90, bit=2)
    s.cloud.start()
    s.far.wait({big.iuid: big.digest()})
    wait_only(s.edge, 'delivered', 1)


@pytest.mark.parametrize('restart', [False, True])
def test_in_the_spool_of_the_cloud(links, scps, tls, pki, restart):
    """Arrived, then damaged: taken back, sent again by the edge, which still
    has it, and delivered as it was."""
    kept = linked.KeptPort()
    port = kept.port
    s = links(far=linked.archive_at(pki, port))
    bigs = [linked.Big('1.2.3.842.%d' % (n + 1), 5 << 20) for n in range(3)]
    for big in bigs:
        assert big.store(s.edge.port()) == 0
    wait_only(s.edge, 'arrived', 3)
    until('the cloud knows them',
          lambda: sum(states(s.cloud).values()) == 3)
    if restart:
        s.cloud.kill()
    r = records_of(s.cloud, bigs[1].iuid)[2]
    flip(r.path, r.at + MIB // 2, bit=7)
    before = s.line.up()
    if restart:
        s.cloud.start()
    scp = scps(tls=tls.server(), port=port)
    wait_only(s.edge, 'delivered', 3, 90)
    assert stored_by(scp) == {b.iuid: b.digest() for b in bigs}
    assert len(scp.stored) == 3
    # named, by transfer and chunk, at either end
    log = s.cloud.log()
    assert transfer_of(s.cloud, bigs[1].iuid) in log
    s.edge.wait_log(r' chunk-refused .*chunk=2 ')
    # and no more than a chunk or so went again
    assert s.line.up() - before < 3 * MIB


def test_before_the_leaf_check_of_the_receiver(links):
    """A hook of the sanitized build flips a bit of every seventh chunk:
    refused by index, sent again."""
    s = links(cloud_env={'CULVERT_TEST_FLIP': '3/7'})
    big = linked.Big('1.2.3.843.1', 30 << 20)
    assert big.store(s.edge.port()) == 0
    s.far.wait({big.iuid: big.digest()})
    wait_only(s.edge, 'delivered', 1)
    refused = [line for line in s.edge.log().splitlines()
               if ' chunk-refused ' in line]
    assert len(refused) >= 3, refused
    assert not any('times=3 ' in line for line in refused), refused


@pytest.mark.tsan
def test_small_ones_before_the_leaf_check(links):
    """The same of objects that are one chunk, which take another way."""
    s = links(cloud_env={'CULVERT_TEST_FLIP': '2/5'})
    sent, digests = linked.several(30, size=40000, prefix='1.2.3.846')
    assert dicom.send(s.edge.port(), sent) == [0] * 30
    wait_only(s.edge, 'delivered', 30)
    s.far.wait(digests)
    assert s.edge.log().count(' chunk-refused ') >= 5


@pytest.mark.tsan
def test_bad_for_the_third_time(links):
    """Every chunk is damaged: quarantined with both hashes, never delivered;
    released, it goes through."""
    s = links(cloud_env={'CULVERT_TEST_FLIP': '1/1'})
    big = linked.Big('1.2.3.844.1', 3 << 20)
    assert big.store(s.edge.port()) == 0
    wait_only(s.edge, 'quarantined', 1)
    why = s.edge.sql('SELECT last_error FROM v_deliveries')[0][0]
    refused = s.edge.wait_log(r' chunk-refused .*times=3')
    text = why + refused + s.edge.cli(
        'queue', 'show', transfer_of(s.edge, big.iuid), check=True).stdout
    assert len(set(re.findall(r'\b[0-9a-f]{64}\b', text))) >= 2, text
    assert not s.far.files() and not states(s.cloud)
    s.cloud.kill()
    s.cloud.env.pop('CULVERT_TEST_FLIP')
    s.cloud.start()
    s.edge.cli('queue', 'retry', '--destination', 'cloud', check=True)
    wait_only(s.edge, 'delivered', 1)
    s.far.wait({big.iuid: big.digest()})


def test_flips_on_the_line_itself(links):
    """TLS notices: the connection ends, nothing else happens."""
    s = links(line=('--flip-every', '9M'))
    sent, digests = linked.several(40, size=700000, prefix='1.2.3.845')
    assert dicom.send(s.edge.port(), sent) == [0] * 40
    s.far.wait(digests, 90)
    wait_only(s.edge, 'delivered', 40)
    assert s.line.stat()['flips'] > 0
