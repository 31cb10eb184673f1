"""The status page under attack; images go on arriving as if nothing were."""
import os
import re
import select
import socket
import statistics
import threading
import time

import pytest

import dicom
import webclient
from culvert import SLOW, until
from dicom import CT, EVLE
from webclient import Viewer, await_page

DATA = os.urandom(60000)
HEAD_S = 4  # what a request's head may take; 20 s unless tests say so


@pytest.fixture
def target(daemons, tmp_path):
    d = daemons(webclient.config(tmp_path, {'connections': 128,
                                            'per_address': 16}),
                env={'CULVERT_TEST_WEB_HEAD_MS': str(HEAD_S * 1000)})
    return d, await_page(d)


class Device(threading.Thread):
    """Sends images one after the other and keeps how long each took."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.over, self.times, self.failed = port, False, [], None

    def run(self):
        try:
            a = dicom.Association(self.port, [(1, CT, [EVLE])])
            n = 0
            while not self.over:
                n += 1
                began = time.monotonic()
                status = a.store(1, '1.2.3.%d' % n, DATA)
                self.times.append(time.monotonic() - began)
                assert status == 0, status
                time.sleep(0.005)
            a.release()
        except Exception as e:  # noqa: for the test to show
            self.failed = e

    def end(self):
        self.over = True
        self.join(60)
        assert self.failed is None, self.failed
        return statistics.median(self.times)


def normal(d, seconds=3):
    device = Device(d.port())
    device.start()
    time.sleep(seconds)
    return device.end()


def crowd(port, n, first=b'GET / HTT'):
    """n connections of several addresses; those that stay."""
    out = []
    for i in range(n):
        s = socket.socket()
        s.setblocking(False)
        s.bind(('127.0.1.%d' % (1 + i % 200), 0))
        s.connect_ex(('127.0.0.1', port))
        out.append(s)
    poll, waiting = select.poll(), {s.fileno(): s for s in out}
    for s in out:
        poll.register(s, select.POLLOUT)
    end = time.monotonic() + 5
    while waiting and time.monotonic() < end:
        for fd, _ in poll.poll(200):
            try:
                waiting.pop(fd).send(first)
            except OSError:
                pass
            poll.unregister(fd)
    return out


def ended(sock, seconds=0):
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(seconds * 1000):
        return False
    try:
        return sock.recv(1 << 16) == b''
    except OSError:
        return True


def descriptors_of(d):
    pid = int(re.search(r'pid=(\d+)', d.wait_log('web-started')).group(1))
    return pid, len(os.listdir('/proc/%d/fd' % pid))


def test_images_arrive_while_2000_connections_and_slow_loris_last(target):
    d, port = target
    usual = normal(d)
    device = Device(d.port())
    device.start()
    socks = crowd(port, 800)
    pid, descriptors = descriptors_of(d)
    assert descriptors < 128 * 3 + 128, descriptors
    began = time.monotonic()
    held = socks
    while time.monotonic() - began < 24 and held:
        # the crowd comes again and again; the slow go on byte by byte
        for s in held:
            try:
                s.send(b'x')
            except OSError:
                pass
        held = [s for s in held if not ended(s)]
        if len(socks) < 2000:
            more = crowd(port, 100)
            socks += more
            held += more
        time.sleep(0.3)
    assert len(socks) == 2000
    during = device.end()
    for s in socks:
        s.close()
    assert len(device.times) > 20
    assert during < 4 * usual + 0.02, (usual, during)
    # a slow one gets no more than its time, however it drips
    slow = socket.create_connection(('127.0.0.1', port))
    slow.sendall(b'GET / HTTP/1.1\r\nX: ')
    dripped = time.monotonic()
    while not ended(slow, 0.5):
        assert time.monotonic() - dripped < 2 * HEAD_S * SLOW, 'it drips on'
        try:
            slow.send(b'x')
        except OSError:
            break
    slow.close()
    until('the page answers again',
          lambda: Viewer(port).get('/healthz').status == 200)
    assert 'web-full' in d.log()
    lines = d.log().count('web-full')
    assert lines < 20, lines  # a flood is not a flood of lines
    assert os.path.exists('/proc/%d' % pid)


MALFORMED = [
    b'', b'\r\n' * 200, b'\0' * 3000, b'\xff\xfe\xfd' * 500, b'GET\r\n\r\n',
    b'GET / HTTP/9.9\r\n\r\n', b'GET  /  HTTP/1.1\r\n\r\n',
    b'GET /' + b'a' * 60000 + b' HTTP/1.1\r\n\r\n',
    b'GET / HTTP/1.1\r\n' + b'X: ' + b'y' * 60000 + b'\r\n\r\n',
    b'GET / HTTP/1.1\r\n' + b'X: y\r\n' * 20000,
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: '
    b'99999999999999999999\r\n\r\n',
    b'POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\n'
    b'Content-Length: 1000000\r\n\r\n' + b'a' * 100000,
    b'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n'
    b'\r\nffffffffffffffffff\r\n',
    b'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n'
    b'Content-Length: 4\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n',
    b'GET / HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n',
    b'GET / HTTP/1.1\nHost: 127.0.0.1\n\n',
    b'GET http://evil/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
    b'GET * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
    b'GET /?' + b'a=1&' * 250 + b' HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
    b'GET /%00%0a%0d HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: ' + b'a=b;' * 2000 +
    b'\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept-Language: ' +
    b'zh;q=0.1,' * 1000 + b'\r\n\r\n',
    b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + os.urandom(200),
    b'\x01\x00\x00\x00\x00\xcd' + b'\0' * 205,  # an A-ASSOCIATE-RQ
    b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    b'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n'
    b'Connection: Upgrade\r\n\r\n',
]


def test_malformed_requests_end_one_connection_each(target):
    d, port = target
    for request in MALFORMED:
        with socket.create_connection(('127.0.0.1', port), 10) as s:
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                s.settimeout(0.5)
                answer = b''
                while True:
                    part = s.recv(1 << 16)
                    if not part:
                        break
                    answer += part
            except OSError:
                answer = b''
        if answer:
            code = int(answer[9:12])
            assert code in (200, 400, 403, 404, 405, 411, 413, 414, 421, 431,
                            500, 505), (request[:60], answer[:200])
            assert code != 500, request[:60]
            assert b'<script>' not in answer
    assert Viewer(port).get('/healthz').status == 200
    assert 'web-ended' not in d.log()


def test_markup_in_a_request_is_not_markup_in_the_answer(target):
    _, port = target
    v = Viewer(port)
    for path in ('/%3Cscript%3Ealert(1)%3C/script%3E',
                 '/?study=%3Cscript%3Ealert(1)%3C/script%3E',
                 '/transfers?device=%22%3E%3Cimg%20src%3Dx%20onerror%3D1%3E',
                 '/login?next=%22%3E%3Cscript%3E'):
        a = v.get(path)
        assert b'<script>alert' not in a.body and b'<img src=x' not in a.body
        assert b'"><script>' not in a.body


def test_readers_who_do_not_read_are_let_go(daemons, tmp_path):
    """Answers asked for and never taken hold no thread."""
    d = daemons(webclient.config(tmp_path))
    port = await_page(d)
    stuck = []
    for _ in range(20):
        s = socket.create_connection(('127.0.0.1', port))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b'GET /assets/uplot.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'
                  * 40)
        stuck.append(s)
    v = Viewer(port)
    began = time.monotonic()
    for _ in range(10):
        assert v.get('/').status == 200
    assert time.monotonic() - began < 10 * SLOW
    for s in stuck:
        s.close()


def test_a_download_that_drips_is_let_go(daemons, tmp_path):
    """There are few places for downloads: each piece has its time."""
    d = daemons(webclient.config(tmp_path),
                env={'CULVERT_TEST_WEB_PIECE_MS': '2000'})
    port = await_page(d)
    normal(d, 5)  # some images to tell of
    ask = (b'GET /transfers/export?format=dicom HTTP/1.1\r\n'
           b'Host: 127.0.0.1\r\n\r\n')
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(('127.0.0.1', port))
    slow.sendall(ask)
    taken, began = b'', time.monotonic()
    try:
        while True:
            part = slow.recv(2000)
            taken += part
            if not part:
                break
            if time.monotonic() - began < 8:
                time.sleep(0.25)
    except OSError:
        pass
    slow.close()
    # who takes it at a fair pace gets all of it
    with socket.create_connection(('127.0.0.1', port)) as fair:
        fair.sendall(ask.replace(b'\r\n\r\n', b'\r\nConnection: close\r\n\r\n'))
        with fair.makefile('rb') as f:
            whole = f.read()
    assert whole.endswith(b'\r\n0\r\n\r\n') and len(taken) < len(whole), len(whole)


def test_guesses_do_not_slow_images_down(daemons, tmp_path):
    users = tmp_path / 'users'
    webclient.passwd(users, 'anna', 'operator')
    d = daemons(webclient.config(tmp_path, {'users': str(users)}))
    port = await_page(d)
    usual = normal(d, 2)
    device = Device(d.port())
    device.start()
    over = threading.Event()

    def guess(n):
        i = 0
        while not over.is_set():
            v = Viewer(port, source='127.0.2.%d' % (1 + (n + 8 * i) % 250))
            i += 1
            try:
                assert v.login('anna', 'guess %d' % i).status in (403, 429,
                                                                  503)
            except (OSError, AttributeError):
                pass

    guessers = [threading.Thread(target=guess, args=(n,), daemon=True)
                for n in range(8)]
    for g in guessers:
        g.start()
    time.sleep(4)
    over.set()
    for g in guessers:
        g.join(60)
    during = device.end()
    assert during < 6 * usual + 0.05, (usual, during)
    assert d.log().count('web-login') < 1000
