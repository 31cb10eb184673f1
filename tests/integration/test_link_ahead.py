"""Cut-through over a link: chunks of an instance that still comes in are sent
ahead, and the rest when it is whole."""
import hashlib
import time

import pytest

import dicom
import linked
from culvert import until
from linked import MIB, states, wait_only
from test_cut_through import Slow

LONG = 60 * MIB
EARLY = {'cut_through': '4MiB'}


def instance(iuid='1.2.3.62', size=LONG):
    return iuid, dicom.data_set(iuid, size=size)


def up(s):
    """Bytes that have passed the line to the cloud."""
    return s.line.up()


def digests(*sent):
    return {iuid: hashlib.sha256(data).hexdigest() for iuid, data in sent}


def settled(s, *sent):
    s.far.wait(digests(*sent))
    wait_only(s.edge, 'delivered', len(sent))
    wait_only(s.cloud, 'delivered', len(sent))


@pytest.mark.tsan
def test_chunks_are_there_before_the_device_has_finished(links):
    s = links(destination=EARLY)
    iuid, data = instance()
    device = Slow(s.edge.port(), iuid, data, stop_at=LONG - 4 * MIB)
    until('most of it', lambda: up(s) > LONG - 8 * MIB)
    assert device.status is None and s.far.files() == []
    assert states(s.edge) == {} and states(s.cloud) == {}
    assert device.end() == 0
    settled(s, (iuid, data))
    # what was there was not sent again
    assert up(s) < LONG + 8 * MIB


def test_it_takes_the_longer_of_the_two_times(links):
    s = links(line=('--mbit', 8 * 10), destination=EARLY)
    iuid, data = instance()
    began = time.monotonic()
    device = Slow(s.edge.port(), iuid, data, seconds=6)
    assert device.end() == 0
    s.far.wait(digests((iuid, data)))
    took = time.monotonic() - began
    print('took %.1f s' % took)
    assert took < 9.5


@pytest.mark.tsan
def test_an_abort_of_the_device_withdraws_it(links):
    s = links(destination=EARLY)
    iuid, data = instance()
    device = Slow(s.edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: up(s) > 20 * MIB)
    device.link.abort()
    s.edge.wait_log('cut-through-withdrawn')
    small = ('1.2.3.1', dicom.data_set('1.2.3.1', size=3000))
    assert dicom.send(s.edge.port(), [small]) == [0]
    settled(s, small)
    s.cloud.stop()
    p = s.cloud.cli('spool', 'check', check=True)
    assert 'partial    0 ' in p.stdout, p.stdout  # nothing of it is left
    s.cloud.start()
    assert dicom.send(s.edge.port(), [(iuid, data)]) == [0]
    settled(s, small, (iuid, data))


@pytest.mark.parametrize('who', ['edge', 'cloud', 'line'])
def test_what_breaks_in_the_middle_loses_nothing(links, who):
    s = links(destination=EARLY)
    iuid, data = instance()
    device = Slow(s.edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: up(s) > 20 * MIB)
    if who == 'line':
        s.line.cut()
    else:
        one = s.edge if who == 'edge' else s.cloud
        one.kill()
        one.start()
    if who == 'edge':
        device.end()
        assert device.status == 'broken'
        device = Slow(s.edge.port(), iuid, data)
    assert device.end() == 0
    settled(s, (iuid, data))
    if who == 'line':  # what had arrived stayed there
        assert up(s) < LONG + 16 * MIB


def test_small_ones_pass_beside_it(links):
    s = links(destination=EARLY)
    iuid, data = instance()
    device = Slow(s.edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: up(s) > 20 * MIB)
    small, _ = linked.several(20)
    assert dicom.send(s.edge.port(), small) == [0] * 20
    wait_only(s.edge, 'delivered', 20)
    assert device.status is None
    assert device.end() == 0
    settled(s, (iuid, data), *small)
    assert up(s) < LONG + 8 * MIB


def test_several_devices_at_once(links):
    s = links(destination=EARLY)
    sent = [instance('1.2.3.63.%d' % i, 12 * MIB) for i in range(6)]
    devices = [Slow(s.edge.port(), iuid, data, stop_at=10 * MIB)
               for iuid, data in sent]
    until('most of all', lambda: up(s) > 6 * 7 * MIB)
    assert [d.end() for d in devices] == [0] * 6
    settled(s, *sent)


def test_a_device_that_pauses_may_go_on(links):
    s = links(destination=dict(EARLY, timeouts={'response': '1s'}))
    iuid, data = instance()
    device = Slow(s.edge.port(), iuid, data, stop_at=30 * MIB)
    until('some of it', lambda: up(s) > 20 * MIB)
    time.sleep(3)
    device.stop_at = 50 * MIB
    device.go.set()
    until('more of it', lambda: up(s) > 40 * MIB)
    assert device.end() == 0
    settled(s, (iuid, data))
    assert up(s) < LONG + 8 * MIB
