"""The server of the status page: who may see what, and how it answers."""
import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import time

import pytest

import webclient
from culvert import BINARY, REPORT, run, until
from webclient import PASSWORD, Viewer, await_page, passwd


@pytest.fixture
def plain(daemons, tmp_path):
    d = daemons(webclient.config(tmp_path))
    return d, Viewer(await_page(d))


@pytest.fixture
def staff(daemons, tmp_path):
    """A page with a log-in, on loopback and without TLS."""
    users = tmp_path / 'users'
    passwd(users, 'anna', 'operator')
    passwd(users, 'rita', 'auditor')
    d = daemons(webclient.config(tmp_path, {'users': str(users)}))
    d.users = users
    return d, Viewer(await_page(d))


def test_every_answer_has_the_headers_that_bind_a_browser(plain):
    _, v = plain
    for path, status in (('/', 200), ('/healthz', 200), ('/nothing', 404),
                         ('/audit', 403), ('/assets/culvert.css', 200)):
        a = v.get(path)
        assert a.status == status, path
        policy = a['Content-Security-Policy']
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert 'unsafe' not in policy
        assert a['X-Content-Type-Options'] == 'nosniff'
        assert a['Referrer-Policy'] == 'same-origin'
        assert a['Cross-Origin-Resource-Policy'] == 'same-origin'
        assert a['Cache-Control'] == ('no-cache' if 'assets' in path
                                      else 'no-store')
        assert a['Server'] is None
        assert a['Strict-Transport-Security'] is None  # no TLS


def test_only_get_and_head_are_answered(plain):
    _, v = plain
    whole = v.get('/healthz')
    head = v.ask('HEAD', '/healthz')
    assert head.status == 200 and head.body == b''
    assert head['Content-Length'] == whole['Content-Length']
    for method in ('POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE',
                   'CONNECT', 'get', 'PROPFIND', 'X'):
        a = v.ask(method, '/', body=b'a=1' if method == 'POST' else None)
        assert a is None or a.status in (400, 405), method
        if method in ('PUT', 'DELETE', 'PATCH', 'POST'):
            assert a.status == 405 and a['Allow'] == 'GET, HEAD', method
    assert v.ask('GET', '/', body=b'a=1').status == 400


def test_paths_and_hosts_that_are_tricks_are_refused(plain):
    d, v = plain
    for path in ('/../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd',
                 '/assets/../../etc/passwd', '/assets/%2e%2e%2fculvert.yaml',
                 '//etc/passwd', '/a\\b', '/%00', '/%ff', '/.', '/a//b'):
        assert v.get(path).status in (400, 404), path
    assert v.get('/' + 'a' * 2000).status == 414
    for host in ('evil.example', 'evil.example:%d' % v.port, '10.9.8.7', '',
                 'localhost.evil.example', '127.0.0.1@evil.example', '[::2]',
                 '127.0.0.1 evil'):
        a = v.get('/', Host=host)
        assert a.status in (400, 421), host
    assert v.ask('GET', '/', {'Host': None}).status in (400, 421)
    assert v.raw(b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil\r\n\r\n'
                 ).status in (400, 421)
    for host in ('localhost', 'LocalHost:%d' % v.port, '127.0.0.1'):
        assert v.get('/', Host=host).status == 200, host


def test_names_of_the_configuration_are_its_own(daemons, tmp_path):
    d = daemons(webclient.config(tmp_path, {'hosts': ['culvert.example']}))
    v = Viewer(await_page(d))
    assert v.get('/', Host='CULVERT.example:443').status == 200
    assert v.get('/', Host='x.culvert.example').status == 421


def test_without_users_loopback_is_an_operator(plain):
    _, v = plain
    assert v.get('/').status == 200
    assert v.get('/audit').status == 403
    assert v.get('/login').status == 404
    assert v.post('/login', {'name': 'x'}).status == 405


def test_health_says_whether_images_are_taken_in(plain):
    d, v = plain
    assert v.get('/healthz').text == 'ok\n'
    a = v.get('/readyz')
    assert (a.status, a.text) == (200, 'ok\n')
    assert a['Content-Type'].startswith('text/plain')


def test_assets_are_asked_for_again_by_their_tag(plain):
    _, v = plain
    a = v.get('/assets/culvert.css')
    assert a.status == 200 and a['Content-Type'].startswith('text/css')
    b = v.get('/assets/culvert.css', **{'If-None-Match': a['ETag']})
    assert b.status == 304 and b.body == b''
    assert v.get('/assets/none.css').status == 404


def test_language_and_theme_are_remembered(plain):
    _, v = plain
    v.get('/?lang=zh&theme=dark')
    assert v.cookies == {'lang': 'zh', 'theme': 'dark'}
    v.get('/?theme=')
    assert v.cookies == {'lang': 'zh'}


# ---- log-in

def test_who_is_not_logged_in_is_sent_there_and_back(staff):
    _, v = staff
    a = v.get('/transfers?study=1.2&lang=en')
    assert a.status == 303
    assert a['Location'] == '/login?next=%2Ftransfers%3Fstudy%3D1.2%26lang' \
                            '%3Den'
    assert 'value="/transfers?study=1.2' in v.get(a['Location']).text
    for path in ('/healthz', '/readyz', '/assets/culvert.css', '/login'):
        assert v.get(path).status == 200, path
    a = v.login('anna', next='/transfers?a=1')
    assert a.status == 303 and a['Location'] == '/transfers?a=1'
    for evil in ('//evil.example', 'https://evil.example/', '/\\evil.example',
                 'javascript:alert(1)', '/a\r\nX: y'):
        a = Viewer(v.port).login('anna', next=evil)
        assert a.status == 303 and a['Location'] == '/', evil


def test_roles_see_different_things(staff):
    _, v = staff
    w = Viewer(v.port)
    assert v.login('anna').status == 303
    assert w.login('rita').status == 303
    assert v.get('/').status == 200 and w.get('/').status == 200
    assert v.get('/audit').status == 403
    assert w.get('/audit').status in (200, 404)  # 404: no such view yet
    assert w.get('/refused').status == 403


def test_a_session_cookie_is_for_this_place_only(staff):
    d, v = staff
    a = v.login('anna')
    cookie = [c for c in a.all('set-cookie') if 'session' in c][0]
    assert re.match(r'culvert-session=[0-9a-f]{64}; Path=/; Max-Age=\d+; '
                    r'HttpOnly; SameSite=Strict$', cookie)
    token = v.cookies['culvert-session']
    assert token not in d.log()
    w = Viewer(v.port)
    w.cookies = {'culvert-session': token[:-1] + ('0' if token[-1] != '0'
                                                  else '1')}
    assert w.get('/').status == 303
    w.cookies = {'culvert-session': token}
    assert w.get('/').status == 200


def test_a_log_out_ends_the_session(staff):
    d, v = staff
    v.login('anna')
    token = v.cookies['culvert-session']
    assert v.post('/logout', {'csrf': '0' * 64}).status == 403
    assert v.get('/').status == 200
    # the token of the form is in the page; the daemon's own is not needed
    found = re.search(r'name="csrf" value="([0-9a-f]{64})"', v.get('/').text)
    if found is None:
        pytest.skip('the page has no form to log out yet')
    assert v.post('/logout', {'csrf': found.group(1)}).status == 303
    v.cookies['culvert-session'] = token
    assert v.get('/').status == 303
    until('log-out on record', lambda: webclient.audit_rows(d, 'logout'))


def test_forms_of_other_places_are_refused(staff):
    _, v = staff
    token = v.token()
    fields = {'name': 'anna', 'password': PASSWORD, 'csrf': token}
    for headers in ({'Origin': 'https://evil.example'}, {'Origin': 'null'},
                    {'Origin': 'http://127.0.0.1:1'},
                    {'Sec-Fetch-Site': 'cross-site'},
                    {'Content-Type': 'text/plain'}):
        assert v.post('/login', fields, headers).status == 403, headers
    w = Viewer(v.port)
    assert w.post('/login', fields).status == 403  # no cookie
    w.cookies = {'culvert-form': '1' * 64}
    assert w.post('/login', fields).status == 403  # another cookie
    assert v.post('/login', dict(fields, csrf='')).status == 403
    a = v.post('/login', fields, {
        'Origin': 'http://127.0.0.1:%d' % v.port,
        'Sec-Fetch-Site': 'same-origin'})
    assert a.status == 303


def test_log_ins_and_failures_are_on_record(staff):
    d, v = staff
    assert v.login('anna', 'wrong password').status == 403
    assert v.login('nobody', 'wrong password').status == 403
    assert v.login('anna').status == 303
    until('on record', lambda: len(webclient.audit_rows(d, 'login-failed')) >= 2 and
          webclient.audit_rows(d, 'login'))
    failed = webclient.audit_rows(d, 'login-failed')
    assert {r[0] for r in failed} == {'anna', 'nobody'}
    assert {r[1] for r in failed} == {'127.0.0.1'}
    assert webclient.audit_rows(d, 'login')[0][0] == 'anna'
    assert 'wrong password' not in d.log() + str(failed)


def test_guessing_is_slowed_down_but_nobody_else_is(staff):
    _, v = staff
    bad = Viewer(v.port, source='127.0.0.9')
    assert v.login('anna').status == 303
    status = [bad.login('anna', 'wrong %d' % i).status for i in range(7)]
    assert status[:4] == [403] * 4 and 429 in status, status
    a = bad.login('anna')
    assert a.status == 429 and int(a['Retry-After']) >= 1
    w = Viewer(v.port)  # where she has been before
    assert w.login('anna').status == 303
    assert Viewer(v.port).login('rita').status == 303


def test_a_changed_users_file_is_taken_up(staff):
    d, v = staff
    assert v.login('anna').status == 303
    run('web', 'passwd', '-f', d.users, 'anna', '--delete', check=True)
    until('session ended', lambda: v.get('/').status == 303)
    passwd(d.users, 'ben', 'operator')
    d.wait_log('web-users-read')
    until('ben logs in', lambda: Viewer(v.port).login('ben').status == 303)


def test_sessions_end_by_idleness(daemons, tmp_path):
    users = tmp_path / 'users'
    passwd(users, 'anna', 'operator')
    d = daemons(webclient.config(tmp_path, {
        'users': str(users), 'session': {'idle': '1s', 'lifetime': '1h'}}))
    v = Viewer(await_page(d))
    assert v.login('anna').status == 303
    time.sleep(1.2)
    assert v.get('/').status == 303


# ---- TLS

@pytest.fixture
def secure(daemons, tmp_path, pki):
    users = tmp_path / 'users'
    passwd(users, 'anna', 'operator')
    der = ssl.PEM_cert_to_DER_cert(
        re.search(r'-----BEGIN.*?END CERTIFICATE-----\n',
                  (pki / 'edge.pem').read_text(), re.S).group(0))
    with open(users, 'a') as f:
        f.write('carol auditor fingerprint %s\n' %
                hashlib.sha256(der).hexdigest())
    d = daemons(webclient.config(tmp_path, {
        'users': str(users),
        'tls': {'certificate': str(pki / 'archive.pem'),
                'key': str(pki / 'archive.key'),
                'client_ca': str(pki / 'ca.pem')}}))
    return d, await_page(d)


def test_a_certificate_is_a_log_in(secure, tls):
    d, port = secure
    v = Viewer(port, tls.client('edge'))
    a = v.get('/configuration')
    assert a.status in (200, 404)
    assert v.get('/refused').status == 403
    a = v.get('/')
    assert a.status == 200
    assert a['Strict-Transport-Security'].startswith('max-age=')
    assert v.get('/login').status == 303
    until('on record', lambda: webclient.audit_rows(d, 'login'))
    assert webclient.audit_rows(d, 'login')[0][0] == 'carol'
    # one that the CA has signed, but that nobody in the file has
    other = Viewer(port, tls.client('elsewhere'))
    assert other.get('/').status == 303


def test_without_a_certificate_a_password_will_do(secure, tls):
    d, port = secure
    v = Viewer(port, tls.client(None))
    assert v.get('/').status == 303
    a = v.login('anna')
    assert a.status == 303
    cookie = [c for c in a.all('set-cookie') if '__Host-' in c][0]
    assert 'Secure' in cookie and 'HttpOnly' in cookie
    assert v.get('/').status == 200
    assert v.get('/audit').status == 403


def test_certificates_of_others_and_plaintext_get_nowhere(secure, tls, pki):
    _, port = secure
    other = pki.parent / 'other'
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        v = Viewer(port, tls.client('edge', other), timeout=20)
        assert v.get('/') is None
        raise ConnectionError
    plaintext = Viewer(port).raw(b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
    assert plaintext is None
    assert Viewer(port, tls.client(None)).get('/healthz').status == 200


def test_large_and_many_answers_pass_through_tls(secure, tls):
    _, port = secure
    v = Viewer(port, tls.client(None))
    want = v.get('/assets/uplot.js').body
    assert len(want) > 20000
    with v.dial() as sock:  # pipelined, and read late
        sock.sendall(b'GET /assets/uplot.js HTTP/1.1\r\nHost: 127.0.0.1\r\n'
                     b'\r\n' * 20)
        for _ in range(20):
            assert len(read_one(sock)) == len(want)


def read_one(sock):
    """A body, without taking more than it from the socket."""
    data = b''
    while not data.endswith(b'\r\n\r\n'):
        part = sock.recv(1)
        assert part
        data += part
    n = int(re.search(rb'Content-Length: (\d+)', data).group(1))
    body = b''
    while len(body) < n:
        body += sock.recv(n - len(body))
    return body


def test_a_hup_takes_new_certificates_and_keeps_sessions(secure, tls, pki):
    d, port = secure
    v = Viewer(port, tls.client(None))
    assert v.login('anna').status == 303
    os.kill(web_pid(d), signal.SIGHUP)
    d.wait_log('web-reloaded tls=taken users=taken')
    assert v.get('/').status == 200


# ---- the process

def web_pid(d, since=0):
    return int(re.search(r'pid=(\d+)', d.wait_log('web-started',
                                                   since=since)).group(1))


def test_a_page_that_dies_is_started_again(plain):
    d, v = plain
    mark = len(d.lines)
    os.kill(web_pid(d), signal.SIGKILL)
    d.wait_log('web-ended')
    await_page(d, since=mark)
    assert v.get('/healthz').status == 200
    assert d.alive()


def test_a_page_whose_broker_dies_is_started_again(plain):
    d, v = plain
    pid = web_pid(d)
    children = '/proc/%d/task/%d/children' % (pid, pid)
    mark = len(d.lines)
    broker, = open(children).read().split()
    os.kill(int(broker), signal.SIGKILL)
    v.get('/transfers')  # which wants a file
    d.wait_log('web-broker-gone', since=mark)
    await_page(d, since=mark)
    assert v.get('/transfers').status == 200


def test_a_page_ends_with_its_daemon(plain):
    d, _ = plain
    pid = web_pid(d)
    d.kill()
    until('the page ended', lambda: not os.path.exists('/proc/%d' % pid) or
          open('/proc/%d/stat' % pid).read().split()[2] == 'Z')


def test_it_holds_no_key_and_no_privilege(plain):
    d, v = plain
    v.get('/')
    pid = web_pid(d)
    status = open('/proc/%d/status' % pid).read()
    assert re.search(r'NoNewPrivs:\s*1', status)
    assert re.search(r'CapEff:\s*0+\n', status)
    for task in os.listdir('/proc/%d/task' % pid):  # each has its own
        status = open('/proc/%d/task/%s/status' % (pid, task)).read()
        assert not re.search(r'Cap(Eff|Prm|Inh|Amb):\s*0*[1-9a-f]', status), \
            status
    names = []
    for fd in os.listdir('/proc/%d/fd' % pid):
        try:
            names.append(os.readlink('/proc/%d/fd/%s' % (pid, fd)))
        except FileNotFoundError:
            pass
    names = [n.replace(str(d.root), '') for n in names]
    assert not [n for n in names if 'key' in n or 'spool' in n], names


def test_the_page_refuses_to_be_reached_unprotected(tmp_path):
    for status, says in (
            ({'address': '0.0.0.0:8104'}, "needs 'tls.certificate'"),
            ({'address': '[::]:8104', 'tls': {'certificate': 'a',
                                              'key': 'b'}},
             "needs 'users'"),
            ({'tls': {'certificate': 'a', 'key': 'b', 'client_ca': 'c'}},
             "needs 'status.users'")):
        c = webclient.config(tmp_path, status)
        c['listeners']['modalities'] = {
            'address': '127.0.0.1:104', 'protocol': 'dicom',
            'ae_titles': ['A']}
        path = tmp_path / 'c.yaml'
        path.write_text(json.dumps(c))
        p = run('web', '-c', path)
        assert p.returncode == 1 and says in p.stderr, p.stderr


def answers(v):
    try:
        return v.get('/healthz').status == 200
    except OSError:
        return False


def test_a_page_by_itself_says_what_it_cannot_do(daemons, tmp_path):
    """Without a daemon: no record, and not ready."""
    users = tmp_path / 'users'
    passwd(users, 'anna', 'operator')
    d = daemons(webclient.config(tmp_path, {'users': str(users)}))
    port = await_page(d)
    second = run('web', '-c', d.path)  # its port is taken
    assert second.returncode == 1
    assert re.search(r'web-listen .*CV9001', second.stderr), second.stderr
    d.stop()
    with subprocess.Popen([BINARY, 'web', '-c', str(d.path)], text=True,
                          stderr=subprocess.PIPE) as page:
        try:
            v = Viewer(port)
            until('the page alone', lambda: answers(v))
            assert v.login('anna', 'wrong password').status == 403
            a = v.get('/readyz')
            assert a.status == 503 and 'does not answer' in a.text
            users.write_text(users.read_text() + 'ben king password x\n')
            time.sleep(1.5)
            assert v.login('anna').status == 303  # as it was before
            del d.config['status']
            d.write()
            d.start()  # it is told now what it missed
            until('the log-ins are on record', lambda:
                  webclient.audit_rows(d, 'login') and
                  webclient.audit_rows(d, 'login-failed'))
        finally:
            page.send_signal(signal.SIGTERM)
            log = page.communicate(timeout=60)[1]
    assert page.returncode == 0, log
    for code in ('web-unrecorded .*CV9005', 'web-users .*CV9001',
                 'web-login .*CV9004'):
        assert re.search(code, log), log
    assert not REPORT.search(log), log


def test_the_page_opens_no_key_and_nothing_to_write(daemons, tmp_path):
    """Not by itself, where the kernel can see to it; not by its broker."""
    for n, (what, broker) in enumerate((('data.key', 'refused'),
                                        ('signing.key', 'refused'),
                                        ('records/none.db', 'refused'),
                                        ('records/ledger.db', 'opened'))):
        tried = tmp_path / ('edge%d' % n) / what
        d = daemons(webclient.config(tmp_path), name='edge%d' % n,
                    env={'CULVERT_TEST_WEB_OPEN': str(tried)})
        port = await_page(d)
        line = d.wait_log(' web-tried ')
        assert 'broker=' + broker in line, (what, line)
        assert 'write=refused' in line, (what, line)
        if 'web-landlock' not in d.log():
            assert 'itself=refused' in line, (what, line)
        assert Viewer(port).get('/transfers').status == 200
        assert what.endswith('.db') or tried.exists()
