"""Bandwidth limits: of the line, and of a device."""
import re
import subprocess
import time

import pytest

import dicom
from culvert import SLOW, until
from test_store import check_all, instances

MBIT = 125000  # bytes a second


def about(seconds, want):
    """Never faster than the limit; on a busy machine a little slower."""
    assert want * 0.96 <= seconds <= want * 1.05 + SLOW, seconds


@pytest.mark.slow
@pytest.mark.parametrize('where', ['total', 'destination'])
def test_what_is_sent_keeps_to_the_limit(daemons, scps, tls, edge_config,
                                         where):
    scp = scps(tls=tls.server())
    rate = {'limit': '40Mbit'}
    config = (edge_config(scp.port, rate=rate) if where == 'total' else
              edge_config(scp.port, destination={'rate': rate}))
    edge = daemons(config)
    sent = instances(10, size=1500000)
    begun = time.monotonic()
    assert dicom.send(edge.port(), sent) == [0] * 10
    # the device is not kept waiting for it
    assert time.monotonic() - begun < 1.5 * SLOW
    edge.wait_deliveries('delivered', 10)
    about(time.monotonic() - begun, 15000000 / (40 * MBIT))
    check_all(scp, sent)


COUNTS = re.compile(r'\b(bytes_sent|bytes_retrans|notsent):(\d+)')


def written(port):
    """Bytes that all connections to port were given, by the kernel's count."""
    sign = {'bytes_sent': 1, 'notsent': 1, 'bytes_retrans': -1}
    p = subprocess.run(['ss', '-tnHi', 'dport', '=', ':%d' % port],
                       stdout=subprocess.PIPE, text=True, check=True)
    return time.monotonic(), sum(
        sign[what] * int(n) for what, n in COUNTS.findall(p.stdout))


@pytest.mark.slow
@pytest.mark.parametrize('mbit', [2, 40])
def test_a_full_line_is_at_its_limit(daemons, scps, tls, edge_config, mbit):
    """tests/bench/rate.py is more exact, and goes to 1 Gbit/s."""
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port, rate={'limit': '64kbit'}))
    sent = instances(12, size=mbit * MBIT // 2)  # six seconds
    assert dicom.send(edge.port(), sent) == [0] * 12
    edge.config['rate']['limit'] = '%dMbit' % mbit
    edge.write()
    edge.cli('reload', check=True)
    time.sleep(0.5)
    begun, before = written(scp.port)
    time.sleep(4)
    ended, after = written(scp.port)
    of_limit = (after - before) / (ended - begun) / (mbit * MBIT)
    assert 0.9 <= of_limit <= 1.02, of_limit  # 1.005: TLS's own bytes
    edge.wait_deliveries('delivered', 12)
    check_all(scp, sent)


@pytest.mark.slow
def test_a_device_is_read_at_its_pace(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    config = edge_config(scp.port)
    config['devices']['scanner']['rate'] = {'limit': '16Mbit'}
    edge = daemons(config)
    sent = instances(4, size=1500000)
    begun = time.monotonic()
    assert dicom.send(edge.port(), sent) == [0] * 4
    seconds = time.monotonic() - begun
    # sockets' buffers hold some of it
    assert 2.0 <= seconds <= 3.4 + SLOW, seconds
    edge.wait_deliveries('delivered', 4)
    check_all(scp, sent)


@pytest.mark.slow
def test_the_timetable_counts(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(
        scp.port, time_zone='Australia/Lord_Howe',
        rate={'limit': '64kbit', 'timetable': [
            {'days': 'mon-sun', 'hours': '00:00-24:00',
             'limit': '24Mbit'}]}))
    edge.wait_log(r'rate-limit at=total bits_per_second=24000000 ')
    sent = instances(4, size=1500000)
    begun = time.monotonic()
    assert dicom.send(edge.port(), sent) == [0] * 4
    edge.wait_deliveries('delivered', 4)
    about(time.monotonic() - begun, 6000000 / (24 * MBIT))
    check_all(scp, sent)


@pytest.mark.slow
def test_an_urgent_study_overtakes_a_full_line(daemons, scps, tls,
                                               edge_config):
    scp = scps(tls=tls.server())
    config = edge_config(scp.port, rate={'limit': '16Mbit'})
    config['devices']['trauma'] = {'ae_title': 'STATSCU', 'priority': 'stat',
                                   'address': '127.0.0.1'}
    edge = daemons(config)
    bulk = instances(8, size=1500000)
    assert dicom.send(edge.port(), bulk) == [0] * 8
    time.sleep(0.5)
    begun = time.monotonic()
    urgent = instances(10, size=40000, prefix='1.2.3.200')
    assert dicom.send(edge.port(), urgent, calling='STATSCU') == [0] * 10
    until('the urgent study is there', lambda: {i for i, _ in urgent} <=
          {s[0] for s in scp.stored})
    # 0.2 s of line; the queue before it is one of six seconds
    assert time.monotonic() - begun < 1 + SLOW
    edge.wait_deliveries('delivered', 18)
    check_all(scp, bulk + urgent)
