"""The audit on its way to audit repositories."""
import shutil
import socket

import pytest

import dicom
import repository
from culvert import free_port, until
from repository import caught_up, make_rows, must_be_valid, rows

pytestmark = pytest.mark.skipif(
    shutil.which('rsyslogd') is None or shutil.which('jing') is None,
    reason='rsyslog or jing is not installed')


@pytest.fixture
def log(tmp_path, pki):
    r = repository.Rsyslog(tmp_path, pki)
    yield r
    r.stop()


def with_repository(edge_config, repositories):
    return dict(edge_config(1), repositories=repositories)


def all_there(edge, log):
    wanted = set(rows(edge))
    until('%d rows there' % len(wanted), lambda: wanted <= log.seqs())


@pytest.mark.tsan
def test_every_row_arrives_as_a_valid_message(edge_config, daemons, log, pki,
                                              tmp_path):
    log.start()
    edge = daemons(with_repository(edge_config, repository.config(
        pki, log.port, site='Clinic North', msgid='IHE+RFC-3881',
        facility='local3')))
    edge.wait_log(r'repository-connected .*repository=site .*version=TLSv1')
    make_rows(edge, 8)
    edge.cli('reload', check=True)
    with socket.create_connection(('127.0.0.1', edge.port())) as s:
        s.send(b'GET / HTTP/1.1\r\n\r\n')
        s.recv(100)
    caught_up(edge)
    text = edge.cli('status').stdout
    assert 'repository' in text and 'connected' in text, text
    edge.stop()
    all_there(edge, log)  # the stop is there, too
    messages = log.messages()
    assert {m.msgid for m in messages} == {'IHE+RFC-3881'}
    assert {m.host for m in messages} == {'edge'}
    assert {m.pri for m in messages} <= {19 * 8 + 5, 19 * 8 + 4}
    assert all(b'AuditEnterpriseSiteID="Clinic North"' in m.xml
               for m in messages)
    starts = [m for m in messages if b'csd-code="110120"' in m.xml]
    stops = [m for m in messages if b'csd-code="110121"' in m.xml]
    assert starts and stops
    heads = [m for m in messages if m.seq is None]
    assert heads
    assert repository.details(heads[-1].xml)['head'].startswith(
        b'culvert audit head 1\nnode: edge\n')
    assert repository.details(heads[-1].xml)['signature']
    must_be_valid(messages, tmp_path)


@pytest.mark.parametrize('identity', ['no', 'yes'])
def test_patients_are_named_where_it_is_allowed(edge_config, daemons, log, pki,
                                                tmp_path, identity):
    log.start()
    edge = daemons(with_repository(edge_config, repository.config(
        pki, log.port, identity=identity)))
    a = dicom.Association(edge.port(), [(1, dicom.CT, [dicom.EVLE])])
    assert a.store(1, '1.2.3.9', dicom.data_set(
        '1.2.3.9', name='Findme^Zanzibar')) == 0
    a.release()
    caught_up(edge)
    edge.stop()
    all_there(edge, log)
    came = [m for m in log.messages() if b'csd-code="110104"' in m.xml]
    assert came
    for m in came:
        assert (b'Findme^Zanzibar' in m.xml) == (identity == 'yes'), m.xml
        assert (b'"withheld"' in m.xml) == (identity == 'no'), m.xml
    assert 'Zanzibar' not in edge.log()
    must_be_valid(log.messages(), tmp_path)


def test_nothing_is_lost_when_the_repository_dies(edge_config, daemons, log,
                                                  pki, tmp_path):
    edge = daemons(with_repository(edge_config,
                                   repository.config(pki, log.port)))
    line = edge.wait_log(r'repository-away .*repository=site ')
    assert 'nothing listens there' in line and 'code=CV9101' in line
    make_rows(edge, 60)
    until('rows wait', lambda:
          edge.status()['repositories'][0]['behind'] > 100)
    assert 'ALERT  repository site' in edge.cli('status').stdout
    for _ in range(3):
        before = log.size()
        log.start()
        make_rows(edge, 16)
        # in the middle of what waited
        until('some of it arrived', lambda: log.size() > before)
        log.kill()
        make_rows(edge, 16)
    log.start()
    make_rows(edge, 4)
    caught_up(edge)
    all_there(edge, log)
    assert edge.log().count('repository-away') <= 5  # one an outage
    must_be_valid(log.messages(), tmp_path)


def test_nothing_is_lost_when_culvert_dies(edge_config, daemons, log, pki):
    edge = daemons(with_repository(edge_config,
                                   repository.config(pki, log.port)))
    make_rows(edge, 40)
    edge.kill()
    log.start()
    for _ in range(3):
        before = log.size()
        edge.start()
        until('some of it arrived', lambda: log.size() > before)
        edge.kill()
    edge.start()
    make_rows(edge, 4)
    caught_up(edge)
    all_there(edge, log)


def test_a_repository_that_stops_reading_is_left_and_found_again(
        edge_config, daemons, pki, tls):
    far = repository.Stubborn(tls.server())
    try:
        edge = daemons(with_repository(edge_config, repository.config(
            pki, far.port, timeouts={'connect': '5s', 'stall': '1s'})))
        edge.wait_log('repository-connected')
        make_rows(edge, 160)
        line = edge.wait_log('repository-away')
        assert 'acknowledges nothing any more' in line
        # the clinic does not notice
        make_rows(edge, 4)
        far.reading.set()
        caught_up(edge)
        wanted = set(rows(edge))
        until('it is well again', lambda:
              edge.status()['repositories'][0]['error'] == '')
        assert far.connections >= 2
        # the last connection replays a window, all before came before
        got = {m.seq for m in far.messages() if m.seq}
        assert max(got) == max(wanted)
        assert got == set(range(min(got), max(got) + 1))
    finally:
        far.stop()


def test_what_was_acknowledged_and_never_read_goes_again(
        edge_config, daemons, pki, tls):
    far = repository.Stubborn(tls.server(), rcvbuf=1 << 20)
    try:
        edge = daemons(with_repository(edge_config, repository.config(
            pki, far.port, replay={'rows': 0, 'time': '1h'})))
        make_rows(edge, 40)
        caught_up(edge)  # with its kernel
        far.die()
        far.reading.set()
        wanted = set(rows(edge))
        until('all of it came again',
              lambda: wanted <= {m.seq for m in far.messages()})
    finally:
        far.stop()


@pytest.mark.parametrize('which, says', [
    ('theirs', r'certificate.*(CA|ca)'),
    ('name', r'certificate.*(name|elsewhere)'),
    ('ours', r'may not permit this certificate')])
def test_a_wrong_certificate_is_named(edge_config, daemons, log, pki, which,
                                      says):
    c = repository.config(pki, log.port)
    other = pki.parent / 'other'
    if which == 'theirs':
        c['site']['tls']['ca'] = str(other / 'ca.pem')
    elif which == 'name':
        c['site']['tls']['server_name'] = 'elsewhere.example'
    else:
        c['site']['tls'].update({
            'certificate': str(other / 'edge.pem'),
            'key': str(other / 'edge.key')})
    log.start()
    log.wait()
    edge = daemons(with_repository(edge_config, c))
    edge.wait_log(r'repository-away .*' + says)
    assert not log.seqs()


def test_udp_goes_on_where_it_was_refused(edge_config, daemons, tmp_path):
    port = free_port()
    edge = daemons(with_repository(edge_config, {'old': {
        'protocol': 'syslog-udp', 'address': '127.0.0.1:%d' % port,
        'plaintext': {'allowed': 'a test'}, 'datagram': 1400,
        'retry': {'first': '100ms', 'max': '200ms'}}}))
    line = edge.wait_log('repository-away')
    assert 'nothing listens there' in line
    make_rows(edge, 8)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', port))
        s.settimeout(10)
        got, messages = set(), []
        while not set(rows(edge)) <= got:
            b = s.recv(65536)
            messages.append(repository.parse(b))
            got.add(messages[-1].seq)
            if messages[-1].seq:
                assert len(b) <= 1400, b
    caught_up(edge)
    must_be_valid(messages, tmp_path)


def test_check_looks_at_repositories(edge_config, daemons, log, pki):
    c = repository.config(pki, log.port)
    c['old'] = {'protocol': 'syslog-udp', 'address': '127.0.0.1:514',
                'plaintext': {'allowed': 'a test'}}
    edge = daemons(with_repository(edge_config, c), start=False)
    out = edge.cli('check').stdout
    assert 'repositories.site' in out
    assert 'warn  repositories.old: the audit goes out in clear, because: ' \
        'a test' in out
    out = edge.cli('check', '--connect').stdout
    assert 'FAIL  repositories.site connect' in out, out
    log.start()
    until('connects', lambda: 'ok    repositories.site TLS' in
          edge.cli('check', '--connect').stdout)
