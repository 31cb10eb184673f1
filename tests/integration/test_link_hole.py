"""A real black hole: the network between edge and cloud is gone for ten
seconds, without a word to either, and comes back. TCP would wait for its timer
as long again; the link is at its full rate within two seconds."""
import pathlib
import sys
import threading
import time

import pytest

import culvert
import linked
from culvert import SLOW, free_port, until
from linked import wait_only

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'bench'))
import blackhole  # noqa: E402

MBIT = 80
HOLE = 10
SIZE = 10000000
OBJECTS = 9


def sent_by(net):
    """Bytes that left for the far end, lower layers included."""
    return int(pathlib.Path('/sys/class/net/%s/statistics/tx_bytes' %
                            net.near).read_text())


@pytest.fixture
def net():
    why = blackhole.missing()
    if why:
        pytest.skip('NO BLACK HOLE WAS TESTED: ' + why)
    with blackhole.Net() as n:
        yield n


@pytest.mark.slow
def test_back_at_full_rate_within_two_seconds(net, daemons, tmp_path,
                                              link_pki):
    config = linked.cloud_config(link_pki, {
        'protocol': 'directory', 'path': str(tmp_path / 'far')}, ['edge-1'])
    port = free_port()
    config['listeners']['links']['address'] = '%s:%d' % (net.host, port)
    config['devices']['edge-1']['address'] = blackhole.NEAR
    cloud = daemons(config, 'cloud', prefix=net.wrapper)
    config = linked.edge_config(
        link_pki, 'edge-1', port, {
            'endpoints': ['%s:%d' % (net.host, port)],
            'rate': {'limit': '%dMbit' % MBIT},
            'link': {'connections': 2}})
    edge = daemons(config)
    bigs = [linked.Big('1.2.3.880.%d' % n, SIZE) for n in range(OBJECTS)]
    # 0.1 s apart: (when, bytes)
    samples, ended = [], threading.Event()

    def sample():
        while not ended.wait(0.1):
            samples.append((time.monotonic(), sent_by(net)))
    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        for big in bigs:
            assert big.store(edge.port()) == 0
        until('under way', lambda: sent_by(net) > 1.5 * SIZE)
        net.down()
        time.sleep(HOLE)
        net.up()
        up = time.monotonic()
        wait_only(edge, 'delivered', OBJECTS)
    finally:
        ended.set()
        sampler.join(5)
    linked.Far(tmp_path / 'far').wait({b.iuid: b.digest() for b in bigs})
    wait_only(cloud, 'delivered', OBJECTS)

    def rate(a, b):
        part = [s for s in samples if up + a <= s[0] <= up + b]
        return (part[-1][1] - part[0][1]) * 8e-6 / (part[-1][0] - part[0][0])
    print('Mbit/s in the seconds after it: %s' % ', '.join(
        '%.0f' % rate(n, n + 1) for n in range(4)))
    tolerance = 0.9 if SLOW == 1 else 0.6
    assert rate(2, 4) > tolerance * MBIT
    # what is limited is bytes of the link: TCP, IP and Ethernet come on top
    assert rate(2, 4) < 1.1 * MBIT
    assert culvert.REPORT.search(edge.log()) is None
