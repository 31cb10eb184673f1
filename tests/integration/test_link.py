"""Two Culverts and the chunk link between them: what a device stores at one
comes out at the other as it was, whatever of the two stops for a while."""
import re
import urllib.request

import pytest

import dicom
import linked
import peers
from conftest import needs
from culvert import free_port, until
from linked import states, wait_only, wait_state


def stored_by(scp):
    return {iuid: digest for iuid, _, digest, _ in list(scp.stored)}


@pytest.mark.tsan
def test_small_ones_come_out_as_they_went_in(links):
    s = links()
    sent, digests = linked.several(20)
    assert dicom.send(s.edge.port(), sent) == [0] * 20
    s.far.wait(digests)
    wait_only(s.edge, 'delivered', 20)
    wait_only(s.cloud, 'delivered', 20)


@needs('storescu')
def test_storescu_to_orthanc(links, pki, tmp_path):
    """Real peers at both ends; each file is kept bit by bit."""
    (tmp_path / 'orthanc').mkdir()
    orthanc = peers.Orthanc(tmp_path / 'orthanc', pki)
    try:
        s = links(far=linked.archive_at(pki, orthanc.port))
        files = {}
        for n, (iuid, content) in enumerate(
                peers.study(1, 12) + peers.study(2, 3, size=3000000)):
            p = tmp_path / ('%d.dcm' % n)
            p.write_bytes(content)
            files[iuid] = (p, dicom.split_part10(content)[1])
        peers.client('storescu', '-aec', 'CULVERT', '127.0.0.1',
                     s.edge.port(), *(p for p, _ in files.values()))
        wait_only(s.edge, 'delivered', len(files), 120)
        assert len(orthanc.instances()) == len(files)
        for one in orthanc.instances():
            with urllib.request.urlopen(
                    'http://127.0.0.1:%d/instances/%s/file' % (
                        orthanc.http, one), timeout=30) as answer:
                meta, data = dicom.split_part10(answer.read())
            assert data == files[meta[3]][1], meta[3]
    finally:
        orthanc.stop()


def test_a_large_one(links):
    s = links()
    big = linked.Big('1.2.3.801.1', 60 << 20)
    assert big.store(s.edge.port()) == 0
    s.far.wait({big.iuid: big.digest()}, 120)
    wait_only(s.edge, 'delivered', 1)


def test_a_large_one_is_followed_chunk_by_chunk(links):
    """In the status, and on the study's page."""
    web = '127.0.0.1:%d' % free_port()
    s = links(line=None, destination={'rate': {'limit': '8Mbit'}},
              edge={'status': {'address': web}})
    big = linked.Big('1.2.3.801.2', 12 << 20)
    assert big.store(s.edge.port()) == 0

    def under_way():
        to, = s.edge.status()['destinations']
        return [t for t in to['link']['large'] if 0 < t['durable']]

    def on_page():
        with urllib.request.urlopen('http://%s/transfers/1.2.3' % web,
                                    timeout=30) as answer:
            page = answer.read().decode()
        return re.search(r'id="chunks-(\d+)">[1-9] of 13 chunks', page)

    one, = until('some of its chunks', under_way)
    assert one['chunks'] == 13 and one['durable'] < 13
    assert until('them on the page', on_page)[1] == str(one['delivery'])


def test_sizes_around_a_chunk(links):
    """The data set's length, not that of the pixels, is cut into chunks."""
    s = links()
    head = linked.Big('1.2.3.802.100', 0).length
    sent, digests = [], {}
    for n, length in enumerate((0, 2, linked.MIB - 2, linked.MIB,
                                linked.MIB + 2, 2 * linked.MIB,
                                5 * linked.MIB - 2)):
        iuid = '1.2.3.802.%d' % (100 + n)
        data = dicom.data_set(iuid, size=max(0, length - head))
        sent.append((iuid, data))
        digests[iuid] = linked.digest_of(data)
    lengths = [len(d) for _, d in sent]
    assert linked.MIB in lengths and linked.MIB + 2 in lengths, lengths
    assert dicom.send(s.edge.port(), sent) == [0] * len(sent)
    s.far.wait(digests)
    wait_only(s.edge, 'delivered', len(sent))


def test_many_small_ones_over_a_long_line(links):
    """No round trip each: 400 over 100 ms would take 40 s at one a time."""
    s = links(line=('--delay', 0.05))
    sent, digests = linked.several(400, size=6000, prefix='1.2.3.803')
    assert dicom.send(s.edge.port(), sent) == [0] * 400
    s.far.wait(digests, 20)
    wait_only(s.edge, 'delivered', 400)


@pytest.mark.tsan
def test_several_connections(links):
    s = links(destination={'link': {'connections': 3}}, line=('--delay', 0.01))
    sent, digests = linked.several(60, size=300000, prefix='1.2.3.804')
    assert dicom.send(s.edge.port(), sent) == [0] * 60
    s.far.wait(digests)
    wait_only(s.edge, 'delivered', 60)
    assert s.line.stat()['accepted'] >= 3


@pytest.mark.tsan
def test_the_far_archive_is_down_for_a_while(links, scps, tls, pki):
    """What arrived stays at the edge until the far archive has it; then its
    room is free. Neither end's restart changes that."""
    kept = linked.KeptPort()
    port = kept.port
    s = links(far=linked.archive_at(pki, port),
              edge={'spool': {'path': 'spool', 'quota': '256MiB',
                              'segment': '4MiB'}})
    sent, digests = linked.several(12, size=1500000, prefix='1.2.3.805')
    assert dicom.send(s.edge.port(), sent) == [0] * 12
    wait_only(s.edge, 'arrived', 12)
    assert s.edge.status()['spool']['stored_bytes'] >= 12 * 1500000
    listed = s.edge.cli('queue', 'list', check=True).stdout
    assert listed.count('arrived') >= 12
    s.edge.kill()
    s.edge.start()
    assert states(s.edge) == {'arrived': 12}
    s.cloud.kill()
    s.cloud.start()
    # said again: one that comes in now goes the same way
    more, also = linked.several(1, size=5000, prefix='1.2.3.806')
    assert dicom.send(s.edge.port(), more) == [0]
    wait_only(s.edge, 'arrived', 13)
    before = s.line.up()
    scp = scps(tls=tls.server(), port=port)
    wait_only(s.edge, 'delivered', 13, 90)
    assert stored_by(scp) == dict(digests, **also)
    # they were not sent a second time over the link
    assert s.line.up() - before < 1500000
    until('the edge has its room back',
          lambda: s.edge.status()['spool']['stored_bytes'] < 1500000)


def test_it_is_shown(links, scps, tls, pki):
    kept = linked.KeptPort()
    port = kept.port
    s = links(far=linked.archive_at(pki, port))
    sent, _ = linked.several(3, prefix='1.2.3.807')
    assert dicom.send(s.edge.port(), sent) == [0] * 3
    wait_only(s.edge, 'arrived', 3)
    text = s.edge.cli('status', check=True).stdout
    assert 'cloud' in text and 'link' in text and 'arrived' in text, text
    d = [d for d in s.edge.status()['destinations'] if d['name'] == 'cloud'][0]
    assert d['link']['node'] == 'cloud' and d['link']['connections'] == 1, d
    rows = s.edge.sql('SELECT transfer FROM v_deliveries')
    shown = s.edge.cli('queue', 'show', rows[0][0], check=True).stdout
    assert 'arrived' in shown, shown
    far = s.cloud.cli('status').stdout  # it fails: the archive is down
    assert 'edge-1' in far, far


def test_both_ends_stop_and_start_in_an_orderly_way(links):
    s = links()
    digests = {}
    for n in range(4):
        sent, more = linked.several(10, size=100000, prefix='1.2.3.81%d' % n)
        digests.update(more)
        assert dicom.send(s.edge.port(), sent) == [0] * 10
        c = (s.edge, s.cloud)[n % 2]
        c.stop()
        c.start()
    s.far.wait(digests)
    wait_only(s.edge, 'delivered', 40)
    wait_only(s.cloud, 'delivered', 40)


def test_two_destinations_of_which_one_is_a_link(links, scps, tls, pki):
    """Each has its own state; the bytes go when both are done."""
    scp = scps(tls=tls.server())
    s = links(edge={'routes': [
        {'service': 'storage', 'forward': ['cloud', 'near']}]},
        near=linked.archive_at(pki, scp.port))
    sent, digests = linked.several(5, prefix='1.2.3.820')
    assert dicom.send(s.edge.port(), sent) == [0] * 5
    s.far.wait(digests)
    wait_only(s.edge, 'delivered', 10)
    assert stored_by(scp) == digests


def test_the_archive_refuses_one(links, scps, tls, pki):
    """Quarantined at the far end: the edge says why, keeps it, and is done
    when it is discarded there or goes through."""
    scp = scps(tls=tls.server())
    bad = '1.2.3.821.2'
    scp.status = lambda iuid: 0xa900 if iuid == bad else 0
    s = links(far=linked.archive_at(pki, scp.port, quarantine_after=1))
    sent, digests = linked.several(4, prefix='1.2.3.821')
    assert dicom.send(s.edge.port(), sent) == [0] * 4
    wait_state(s.edge, 'delivered', 3)
    wait_state(s.cloud, 'quarantined', 1)

    def why():
        return s.edge.sql('SELECT last_error FROM v_deliveries'
                          " WHERE state='arrived'")
    until('the edge knows why', lambda: why() and 'A900' in (
        why()[0][0] or '').upper())
    scp.status = lambda iuid: 0
    s.cloud.cli('queue', 'retry', '--destination', 'far', check=True)
    wait_only(s.edge, 'delivered', 4)
    assert stored_by(scp) == digests


def test_the_edge_takes_what_the_far_archive_takes(links, scps, tls, pki):
    """The link tells which transfer syntaxes; devices are answered by it."""
    scp = scps(tls=tls.server())
    scp.accept = lambda abstract, syntaxes, calling: \
        dicom.EVLE if dicom.EVLE in syntaxes else None
    s = links(far=linked.archive_at(pki, scp.port))
    sent, digests = linked.several(1, prefix='1.2.3.822')
    assert dicom.send(s.edge.port(), sent) == [0]
    wait_only(s.edge, 'delivered', 1)
    jpeg_ls = dicom.PREFIX + '1.2.4.80'

    def answered():
        a = dicom.Association(s.edge.port(), [
            (1, dicom.CT, [jpeg_ls]), (3, dicom.CT, [jpeg_ls, dicom.EVLE])])
        a.release()
        return a.accepted
    until('mirrored', lambda: answered() == {3: dicom.EVLE})
    assert stored_by(scp) == digests


def under_way(s, size=30 << 20):
    """A large one that is half over a slow line, and small ones behind it."""
    big = linked.Big('1.2.3.823.1', size)
    assert big.store(s.edge.port()) == 0
    sent, digests = linked.several(5, prefix='1.2.3.823.2')
    assert dicom.send(s.edge.port(), sent) == [0] * 5
    until('some of it is there', lambda: s.line.up() > size / 4)
    return dict(digests, **{big.iuid: big.digest()})


@pytest.mark.tsan
def test_both_ends_stop_in_the_middle(links):
    """Nothing is left behind by what was under way, in memory or elsewhere."""
    s = links(line=('--mbit', 100))
    digests = under_way(s)
    for c in (s.edge, s.cloud):
        assert not states(s.edge).get('delivered') == 6
        c.stop()
        c.start()
    wait_only(s.edge, 'delivered', 6)
    s.far.wait(digests)
    # what was there was not sent again
    assert s.line.up() < 1.5 * (30 << 20)


def test_an_operator_gives_up_what_is_under_way(links):
    """Its chunks at the far end are freed; all else goes on."""
    s = links(line=('--mbit', 60))
    digests = under_way(s)
    tid = s.edge.sql("SELECT transfer FROM v_deliveries"
                     " WHERE sop_instance='1.2.3.823.1'")[0][0]
    s.edge.cli('queue', 'discard', tid, '--yes', check=True)
    del digests['1.2.3.823.1']
    until('the others are delivered',
          lambda: states(s.edge) == {'delivered': 5, 'discarded': 1})
    s.far.wait(digests)
    s.cloud.wait_log(' transfer-withdrawn ')
    s.cloud.stop()
    p = s.cloud.cli('spool', 'check', check=True)
    assert 'partial    0 ' in p.stdout, p.stdout


def test_an_operator_at_the_far_end(links, scps, tls, pki):
    """What is held there stays; what is discarded there ends at the edge as
    its operator says."""
    kept = linked.KeptPort()
    s = links(far=linked.archive_at(pki, kept.port))
    sent, digests = linked.several(3, prefix='1.2.3.824')
    assert dicom.send(s.edge.port(), sent) == [0] * 3
    wait_only(s.edge, 'arrived', 3)
    until('they are known', lambda: sum(states(s.cloud).values()) == 3)
    tid = s.cloud.sql("SELECT transfer FROM v_deliveries"
                      " WHERE sop_instance='1.2.3.824.2'")[0][0]
    s.cloud.cli('queue', 'hold', tid, check=True)
    scp = scps(tls=tls.server(), port=kept.port)
    wait_state(s.edge, 'delivered', 2)
    assert states(s.edge) == {'arrived': 1, 'delivered': 2}
    s.cloud.cli('queue', 'release', tid, check=True)
    wait_only(s.edge, 'delivered', 3)
    assert stored_by(scp) == digests
