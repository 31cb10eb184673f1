"""A viewer of the status page in tests: requests byte by byte where that
matters, cookies kept as a browser keeps them."""
import re
import socket
import sqlite3
import subprocess
import urllib.parse

from culvert import BINARY, free_port

PASSWORD = 'correct horse battery'


def config(directory, status=None, **kw):
    """A daemon that files what it gets, and its page."""
    c = {'listeners': {'modalities': {}},
         'devices': {'scanner': {'ae_title': ['SCU', 'STORESCU'],
                                 'address': '127.0.0.1'}},
         'destinations': {'files': {'protocol': 'directory',
                                    'path': str(directory / 'out')}},
         'routes': [{'service': 'storage', 'forward': ['files']}],
         'status': dict({'address': '127.0.0.1:%d' % free_port()},
                        **(status or {}))}
    c.update(kw)
    return c


def page_port(daemon):
    return int(daemon.config['status']['address'].rsplit(':', 1)[1])


def await_page(daemon, since=0):
    daemon.wait_log(' web-ready ', since=since)
    return page_port(daemon)


def passwd(path, user, role, password=PASSWORD):
    p = subprocess.run([BINARY, 'web', 'passwd', '-f', str(path), user,
                        '--role', role], input=password + '\n', text=True,
                       capture_output=True, timeout=60)
    assert p.returncode == 0, p.stderr


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __getitem__(self, name):
        return self.headers.get(name.lower(), [None])[0]

    def all(self, name):
        return self.headers.get(name.lower(), [])

    @property
    def text(self):
        return self.body.decode()


def read_answer(sock, head=False):
    """One response; None: the connection ended without one."""
    data = b''
    while b'\r\n\r\n' not in data:
        try:
            part = sock.recv(65536)
        except ConnectionError:
            part = b''
        if not part:
            return None
        data += part
    top, body = data.split(b'\r\n\r\n', 1)
    lines = top.decode('latin-1').split('\r\n')
    headers = {}
    for line in lines[1:]:
        name, value = line.split(':', 1)
        headers.setdefault(name.lower(), []).append(value.strip())
    n = 0 if head else int(headers.get('content-length', ['0'])[0])
    while len(body) < n:
        part = sock.recv(65536)
        assert part, 'cut'
        body += part
    return Answer(int(lines[0].split()[1]), headers, body)


class Viewer:
    """A browser with a cookie jar, at one address."""

    def __init__(self, port, tls=None, host='127.0.0.1', source='127.0.0.1',
                 timeout=60):
        self.port, self.tls, self.host = port, tls, host
        self.source, self.timeout = source, timeout
        self.cookies = {}

    def dial(self):
        sock = socket.create_connection((self.host, self.port), self.timeout,
                                        source_address=(self.source, 0))
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_hostname='127.0.0.1')
        return sock

    def raw(self, data):
        with self.dial() as sock:
            sock.sendall(data)
            return read_answer(sock)

    def ask(self, method, path, headers=None, body=None):
        h = {'Host': '127.0.0.1:%d' % self.port}
        if self.cookies:
            h['Cookie'] = '; '.join('%s=%s' % c for c in self.cookies.items())
        if body is not None:
            h['Content-Length'] = str(len(body))
            h['Content-Type'] = 'application/x-www-form-urlencoded'
        h.update(headers or {})
        text = '%s %s HTTP/1.1\r\n' % (method, path) + ''.join(
            '%s: %s\r\n' % kv for kv in h.items() if kv[1] is not None)
        with self.dial() as sock:
            sock.sendall(text.encode('latin-1') + b'\r\n' + (body or b''))
            answer = read_answer(sock, method == 'HEAD')
        for cookie in answer.all('set-cookie') if answer else ():
            name, value = cookie.split(';')[0].split('=', 1)
            if 'Max-Age=0' in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, path, **headers):
        return self.ask('GET', path, headers)

    def post(self, path, fields, headers=None):
        return self.ask('POST', path, headers,
                        urllib.parse.urlencode(fields).encode())

    def token(self):
        form = self.get('/login').text
        return re.search(r'name="csrf" value="([0-9a-f]{64})"', form).group(1)

    def login(self, name, password=PASSWORD, next='/'):
        return self.post('/login', {'name': name, 'password': password,
                                    'csrf': self.token(), 'next': next})


def events(sock, n):
    """The data of the next n events of a stream that has begun."""
    data, out = b'', []
    while len(out) < n:
        part = sock.recv(65536)
        assert part, 'the stream ended'
        data += part
        out = re.findall(rb'^data: (.*)$', data, re.M)
    return out


def audit_rows(daemon, event):
    """(user, peer, detail) of the audit rows of an event, by its name."""
    out = []
    for path in (daemon.root / 'records').glob('audit-2*.db'):
        c = sqlite3.connect('file:%s?mode=ro' % path, uri=True, timeout=10)
        try:
            out += c.execute('SELECT user, peer, detail FROM v_audit WHERE '
                             'event = ?', (event,)).fetchall()
        finally:
            c.close()
    return out
