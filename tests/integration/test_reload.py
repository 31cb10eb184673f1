"""The configuration read again while the daemon runs."""
import json
import signal
import socket
import sqlite3
import time

import pytest

import dicom
from culvert import SLOW, run, until
from test_store import check_all, instances


@pytest.fixture
def scp(scps, tls):
    return scps(tls=tls.server())


def hup(edge, pattern='config-loaded'):
    mark = len(edge.lines)
    edge.write()
    edge.process.send_signal(signal.SIGHUP)
    return edge.wait_log(pattern, since=mark)


def rates(edge, config=None):
    p = run('status', '-c', config or edge.path, '--json', check=True)
    return {(r['of'], r['name']): r for r in json.loads(p.stdout)['rates']}


def audit(edge, kind):
    """[(outcome, user, {detail})]"""
    rows = []
    for db in (edge.root / 'records').glob('audit-2*.db'):
        c = sqlite3.connect('file:%s?mode=ro' % db, uri=True, timeout=10)
        rows += [(o, u, json.loads(d)) for o, u, d in c.execute(
            'SELECT outcome, user, detail FROM v_audit WHERE event = ? '
            'ORDER BY seq', (kind,))]
        c.close()
    return rows


@pytest.mark.tsan
def test_a_new_limit_counts_at_once(daemons, scp, edge_config):
    edge = daemons(edge_config(scp.port, rate={'limit': '200kbit'}))
    assert rates(edge)['total', '']['limit'] == 200000
    sent = instances(4, size=250000)
    assert dicom.send(edge.port(), sent) == [0] * 4
    time.sleep(0.5)  # a megabyte at 25 KB a second: not in this test's time
    edge.config['rate']['limit'] = '400Mbit'
    begun = time.monotonic()
    line = hup(edge)
    assert 'changed=1 need_restart=0' in line
    assert 'option=rate.limit before="200kbit" after="400Mbit"' in edge.log()
    edge.wait_deliveries('delivered', 4)
    assert time.monotonic() - begun < 2 * SLOW
    assert rates(edge)['total', '']['limit'] == 400000000
    check_all(scp, sent)


@pytest.mark.tsan
def test_culvert_reload_says_what_it_did(daemons, scp, edge_config):
    edge = daemons(edge_config(scp.port))
    edge.config['listeners']['modalities']['limits'] = {'rate': '2/min'}
    edge.config['destinations']['archive']['associations'] = 7
    edge.config['devices']['new'] = {'ae_title': 'NEW', 'address': '127.0.0.9'}
    edge.config['log'] = {'level': 'debug'}
    edge.write()
    out = edge.cli('reload', check=True).stdout
    assert 'listeners.modalities.limits.rate: 2/m, was 600/m' in out
    assert 'log.level: debug, was info' in out
    assert 'taken: 2 changed, 2 take a restart' in out
    later = out[out.index('takes a restart:'):]
    assert 'destinations.archive.associations: 7, was 4' in later
    assert 'devices.new: declared, was not set' in later
    # in force
    socket.create_connection(('127.0.0.1', edge.port())).close()
    edge.wait_log(' debug connection-ended ')
    for i in range(2):
        dicom.Association(edge.port(), [(1, dicom.VERIFICATION, [dicom.IVLE])],
                          calling='SCU').release()
    with pytest.raises(dicom.Rejected):
        dicom.Association(edge.port(), [(1, dicom.VERIFICATION, [dicom.IVLE])],
                          calling='SCU')
    # what waits for a restart is named again, what was taken is not
    out = edge.cli('reload', check=True).stdout
    assert 'taken: 0 changed, 2 take a restart' in out
    rows = until('audit', lambda: len(audit(edge, 'config-loaded')) == 2 and
                 audit(edge, 'config-loaded'))
    outcome, user, detail = rows[0]
    assert outcome == 0 and user.startswith('uid ')
    assert detail['log.level'] == 'info -> debug'
    assert detail['restart'] == 2


@pytest.mark.tsan
def test_a_file_with_mistakes_changes_nothing(daemons, scp, edge_config):
    edge = daemons(edge_config(scp.port, rate={'limit': '80Mbit'}))
    good = edge.root / 'good.yaml'
    good.write_text(edge.path.read_text())
    edge.config['rate'] = {'limit': '60Mbit', 'burts': '1MiB'}
    line = hup(edge, 'config-refused')
    assert 'burts' in line
    assert rates(edge, good)['total', '']['limit'] == 80000000
    # a zone that this machine does not have loads, but cannot be used
    edge.config['rate'] = {'limit': '60Mbit'}
    edge.config['time_zone'] = 'Europe/Atlantis'
    edge.write()
    p = edge.cli('reload')
    assert p.returncode == 1
    assert 'Europe/Atlantis' in p.stderr and 'stays in force' in p.stderr
    assert rates(edge, good)['total', '']['limit'] == 80000000
    edge.path.unlink()
    mark = len(edge.lines)
    edge.process.send_signal(signal.SIGHUP)
    edge.wait_log('config-refused', since=mark)
    until('audit', lambda: len(audit(edge, 'config-refused')) == 3)
    sent = instances(1, size=20000)
    assert dicom.send(edge.port(), sent) == [0]
    edge.wait_deliveries('delivered', 1)


def test_many_reloads_at_once_are_all_answered(daemons, scp, edge_config):
    edge = daemons(edge_config(scp.port))
    for i in range(20):
        edge.config['rate'] = {'limit': '%dMbit' % (i + 1)}
        edge.write()
        edge.process.send_signal(signal.SIGHUP)
    until('the last', lambda: rates(edge).get(
        ('total', ''), {}).get('limit') == 20000000)


def test_status_says_which_limit_counts(daemons, scp, edge_config):
    config = edge_config(scp.port, time_zone='Europe/Berlin', rate={
        'limit': '10Mbit', 'timetable': [
            {'days': 'mon-sun', 'hours': '00:00-24:00', 'limit': '24Mbit'}]})
    config['destinations']['archive']['rate'] = {'timetable': [
        {'days': 'mon-fri', 'hours': '00:00-24:00', 'limit': '8Mbit'},
        {'days': 'sat-sun', 'hours': '00:00-24:00', 'limit': '9Mbit'}]}
    edge = daemons(config)
    sent = instances(10, size=1000000)
    assert dicom.send(edge.port(), sent) == [0] * 10
    until('it shows in use',
          lambda: rates(edge)['destination', 'archive']['out'] > 6000000)
    all_ = rates(edge)
    assert set(all_) == {('total', ''), ('destination', 'archive')}
    total, one = all_['total', ''], all_['destination', 'archive']
    assert total['limit'] == 24000000
    assert total['entry'] == 'mon-sun 00:00-24:00'
    assert total['next_ms'] == 0 and total['next'] == ''
    assert total['burst'] == 65536
    assert one['limit'] in (8000000, 9000000)
    assert one['next_limit'] == 17000000 - one['limit']
    assert one['next'].endswith(' 00:00')
    assert 0 < one['next_ms'] / 1000 - time.time() < 5 * 86400 + 3600
    text = edge.cli('status').stdout
    assert 'mon-sun 00:00-24:00' in text and '24 Mbit/s' in text
    edge.wait_deliveries('delivered', 10)
    check_all(scp, sent)
