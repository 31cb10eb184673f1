"""Several endpoints for one destination: fail-over, weights, circuits."""
import re

import pytest

import dicom
from culvert import free_port, until
from test_store import check_all, instances


def endpoints(edge):
    """{port: how that endpoint of the only destination is}"""
    return {int(e['endpoint'].rsplit(':', 1)[1]): e
            for e in edge.status()['destinations'][0]['endpoints']}


def circuit(edge, port, *states):
    return until('%d %s: %s' % (port, states, endpoints(edge)),
                 lambda: endpoints(edge)[port]['circuit'] in states)


def several(edge_config, ports, routes=None, services=None, **destination):
    """An edge with these endpoints; each association short, so that the next
    instance has to find its way anew."""
    d = {'endpoints': ['127.0.0.1:%d' % p for p in ports], 'associations': 1,
         'timeouts': {'connect': '20s', 'associate': '20s',
                      'idle': '100ms'}}
    d.update(destination)
    config = edge_config(ports[0], destination=d)
    if routes:
        config['routes'] = routes
    if services:
        config['devices']['scanner']['services'] = services
    return config


def count(edge, event, port):
    return len(re.findall(r' %s .*endpoint=127\.0\.0\.1:%d ' % (event, port),
                          edge.log()))


def stored(scp):
    return len(scp.stored)


@pytest.mark.tsan
def test_forwarding_goes_on_at_the_next_endpoint_and_comes_back(
        daemons, scps, tls, edge_config):
    first, second = scps(tls=tls.server()), scps(tls=tls.server())
    edge = daemons(several(
        edge_config, [first.port, second.port],
        health={'interval': '1s'}, breaker={'failures': 2, 'pause': '10m'}))
    sent = instances(40)
    assert dicom.send(edge.port(), sent[:10]) == [0] * 10
    edge.wait_deliveries('delivered', 10)
    assert (stored(first), stored(second)) == (10, 0)

    # killed in the middle of the next ones
    a = dicom.Association(edge.port(), [(1, dicom.CT, [dicom.EVLE])])
    for i, (iuid, data) in enumerate(sent[10:30]):
        if i == 10:
            first.stop()
        assert a.store(1, iuid, data) == 0
    a.release()
    edge.wait_deliveries('delivered', 30)
    assert stored(second) >= 10
    circuit(edge, first.port, 'open')
    e = endpoints(edge)
    assert 'refused' in e[first.port]['error']
    assert e[second.port]['circuit'] == 'closed'
    shown = edge.cli('status').stdout
    assert re.search(r'127\.0\.0\.1:%d +circuit open' % first.port, shown)
    # the destination works: nobody is called for it
    assert 'all is well' in shown, shown

    back = scps(tls=tls.server(), port=first.port)
    circuit(edge, first.port, 'closed')
    before = stored(second)
    assert dicom.send(edge.port(), sent[30:]) == [0] * 10
    edge.wait_deliveries('delivered', 40)
    assert (stored(back), stored(second)) == (10, before)
    assert count(edge, 'endpoint-down', first.port) == 1
    assert count(edge, 'endpoint-up', first.port) == 1
    assert count(edge, 'endpoint-down', second.port) == 0
    whole = first.stored + second.stored + back.stored
    back.stored = whole
    check_all(back, sent)


def test_a_circuit_opens_and_the_first_answer_closes_it(
        daemons, scps, tls, edge_config):
    """No echoes: what is queued finds out by itself."""
    port = free_port()
    edge = daemons(several(
        edge_config, [port], health={'interval': 0},
        breaker={'failures': 2, 'pause': '10m'}))
    sent = instances(3)
    assert dicom.send(edge.port(), sent) == [0] * 3
    line = edge.wait_log(r' endpoint-down ')
    assert 'refused' in line and 'culvert echo' in line, line
    assert endpoints(edge)[port]['circuit'] == 'open'
    assert edge.cli('status').returncode == 1
    good = scps(tls=tls.server(), port=port)
    edge.wait_deliveries('delivered', 3)
    check_all(good, sent)
    assert endpoints(edge)[port]['circuit'] == 'closed'
    assert count(edge, 'endpoint-down', port) == 1
    assert count(edge, 'endpoint-up', port) == 1
    assert endpoints(edge)[port]['echo_ms'] == 0


def test_silent_endpoints_are_asked_without_traffic(daemons, scps, tls,
                                                    edge_config):
    first, second = scps(tls=tls.server()), scps(tls=tls.server())
    edge = daemons(several(edge_config, [first.port, second.port],
                           health={'interval': '500ms'},
                           breaker={'failures': 2, 'pause': '10m'}))
    until('both were asked', lambda: all(
        e['echo_ms'] for e in endpoints(edge).values()))
    second.stop()
    circuit(edge, second.port, 'open')
    first.stop()
    circuit(edge, first.port, 'open')
    # nothing is queued, and yet it is on alert: live ones are refused
    assert edge.status()['destinations'][0]['alert']
    shown = edge.cli('status')
    assert shown.returncode == 1 and 'refused' in shown.stdout, shown.stdout
    scps(tls=tls.server(), port=second.port)
    circuit(edge, second.port, 'closed')
    assert edge.cli('status').returncode == 0
    assert endpoints(edge)[first.port]['circuit'] != 'closed'


def echo(port):
    """One live association with one C-ECHO: its status, None: refused, and
    for the time being only, as nothing else was asked for."""
    try:
        a = dicom.Association(port, [(1, dicom.VERIFICATION, [dicom.IVLE])])
    except dicom.Rejected as e:
        assert e.args[0][0] == 2, e
        return None
    status = a.echo(1)
    a.release()
    return status


LIVE = [{'service': 'verification', 'relay': 'archive'}]


def test_weights_share_live_associations(daemons, scps, tls, edge_config):
    all_ = [scps(tls=tls.server()) for _ in range(3)]
    edge = daemons(several(
        edge_config, [s.port for s in all_], routes=LIVE, balance='weighted',
        weights=[3, 2, 1], health={'interval': 0}))
    for _ in range(60):
        assert echo(edge.port()) == 0
    assert [len(s.callers) for s in all_] == [30, 20, 10]
    # without one of them the others take its share
    all_[0].stop()
    for _ in range(30):
        assert echo(edge.port()) == 0
    assert [len(s.callers) for s in all_[1:]] == [40, 20]


def test_live_associations_fail_over_and_are_refused_at_once_when_none_is_left(
        daemons, scps, tls, edge_config):
    first, second = scps(tls=tls.server()), scps(tls=tls.server())
    edge = daemons(several(
        edge_config, [first.port, second.port], routes=LIVE,
        health={'interval': 0}, breaker={'failures': 2, 'pause': '3s'}))
    assert echo(edge.port()) == 0
    assert (len(first.callers), len(second.callers)) == (1, 0)
    first.stop()
    assert echo(edge.port()) == 0  # the device sees nothing of it
    assert len(second.callers) == 1
    second.stop()
    while endpoints(edge)[second.port]['circuit'] != 'open' or \
            endpoints(edge)[first.port]['circuit'] != 'open':
        assert echo(edge.port()) is None
    # half-open after the pause: one attempt, its answer closes it
    assert count(edge, 'endpoint-up', second.port) == 0
    scps(tls=tls.server(), port=second.port)
    until('it is served again', lambda: echo(edge.port()) == 0)
    assert count(edge, 'endpoint-down', second.port) == 1
    assert count(edge, 'endpoint-up', second.port) == 1
