"""A viewer of the status page, and one who takes an export: what faces.py
measures with. Standard library only."""

import http.client
import json
import re
import socket
import struct
import threading
import time
import urllib.parse

from harness import Failed

PASSWORD = 'correct horse battery staple'


class Viewer:
    """One person at the page, on one connection."""

    def __init__(self, port, name=None):
        self.port, self.cookies, self.http = port, {}, None
        if name:
            self.login(name)

    def ask(self, method, path, body=None):
        """(status, bytes)"""
        headers = {'Cookie': '; '.join('%s=%s' % c
                                       for c in self.cookies.items())}
        if body is not None:
            headers['Content-Type'] = 'application/x-www-form-urlencoded'
        for last in (False, True):
            if self.http is None:
                self.http = http.client.HTTPConnection('127.0.0.1', self.port,
                                                       timeout=60)
                self.http.connect()
                self.http.sock.setsockopt(socket.IPPROTO_TCP,
                                          socket.TCP_NODELAY, 1)
            try:
                self.http.request(method, path, body, headers)
                r = self.http.getresponse()
                data = r.read()
                break
            except (http.client.HTTPException, OSError):
                self.http.close()
                self.http = None
                if last:
                    raise
        for cookie in r.msg.get_all('set-cookie') or ():
            name, value = cookie.split(';')[0].split('=', 1)
            self.cookies[name] = value
        return r.status, data

    def get(self, path):
        status, data = self.ask('GET', path)
        if status != 200:
            raise Failed('%s: %d' % (path, status))
        return data.decode()

    def login(self, name):
        token = re.search(r'name="csrf" value="([0-9a-f]{64})"',
                          self.get('/login')).group(1)
        status, _ = self.ask('POST', '/login', urllib.parse.urlencode(
            {'name': name, 'password': PASSWORD, 'csrf': token, 'next': '/'}))
        if status != 303 and status != 302:
            raise Failed('%s cannot log in: %d' % (name, status))


class Watcher(threading.Thread):
    """Takes server-sent events until told to stop, and counts them."""

    def __init__(self, port, name):
        super().__init__(daemon=True)
        self.viewer = Viewer(port, name)
        self.events, self.ended = 0, False
        self.start()

    def run(self):
        v = self.viewer
        with socket.create_connection(('127.0.0.1', v.port), 60) as s:
            cookie = '; '.join('%s=%s' % c for c in v.cookies.items())
            s.sendall(('GET /events HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n'
                       'Cookie: %s\r\n\r\n' % (v.port, cookie)).encode())
            s.settimeout(0.5)
            while not self.ended:
                try:
                    data = s.recv(1 << 16)
                except TimeoutError:
                    continue
                if not data:
                    return
                self.events += data.count(b'\ndata: ')

    def stop(self):
        self.ended = True
        self.join(5)


class Reader(threading.Thread):
    """Opens one page after the other, resting in between."""

    def __init__(self, port, name, paths, rest):
        super().__init__(daemon=True)
        self.viewer, self.paths, self.rest = Viewer(port, name), paths, rest
        self.ms, self.ended, self.error = [], False, None
        self.start()

    def run(self):
        try:
            i = 0
            while not self.ended:
                begun = time.monotonic()
                self.viewer.get(self.paths[i % len(self.paths)])
                self.ms.append((time.monotonic() - begun) * 1000)
                time.sleep(self.rest)
                i += 1
        except (Failed, OSError, http.client.HTTPException) as e:
            self.error = e

    def stop(self):
        self.ended = True
        self.join(60)
        if self.error:
            raise Failed('a reader of the page: %s' % self.error)


def read_exactly(s, buffer):
    view = memoryview(buffer)
    while len(view):
        n = s.recv_into(view)
        if n == 0:
            raise Failed('the export broke off')
        view = view[n:]


def export(control, op, seconds=None, ended=lambda: False,
           begun=lambda: None, **request):
    """Take an export by the control socket and drop its bytes. Stops early
    after seconds, or when ended() says so; begun() is called before the first
    byte is taken. {'rows', 'bytes', 'seconds',
    'whole'}; rows of one that was stopped: its lines."""
    buffer = bytearray(1 << 18)
    rows = total = 0
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(control))
        s.sendall(json.dumps({'op': op, **request}).encode() + b'\n')
        line = b''
        while not line.endswith(b'\n'):
            line += s.recv(1)
        answer = json.loads(line)
        if not answer.get('ok'):
            raise Failed('%s: %s' % (op, answer.get('error')))
        begun()
        start = time.monotonic()
        while True:
            head = bytearray(5)
            read_exactly(s, head)
            kind, n = chr(head[0]), struct.unpack('>I', head[1:])[0]
            part = memoryview(buffer)[:n]
            read_exactly(s, part)
            took = time.monotonic() - start
            if kind == 'd':
                total += n
                rows += buffer.count(b'\n', 0, n)
            elif kind == 'm':
                rows = json.loads(bytes(part))['rows']
                return {'rows': rows, 'bytes': total, 'seconds': took,
                        'whole': True}
            elif kind == 'e':
                raise Failed('%s: %s' % (op, bytes(part).decode()))
            if (seconds and took > seconds) or ended():
                return {'rows': rows, 'bytes': total, 'seconds': took,
                        'whole': False}
