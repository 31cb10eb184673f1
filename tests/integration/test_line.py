"""The bench's emulated line does what it claims: what is measured over it is
worth no more than it is. Rate and delay within 2 %."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from culvert import free_port

LINE = pathlib.Path(os.environ.get('BENCH', 'build/bench')) / 'line'


class Line:
    """The emulator, and an echo or sink behind it."""

    def __init__(self, *options):
        self.server = socket.create_server(('127.0.0.1', 0))
        self.port = free_port()
        self.p = subprocess.Popen(
            [LINE, '--port', str(self.port), '--to',
             str(self.server.getsockname()[1]), *map(str, options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port)).close()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.01)
        self.server.accept()[0].close()
        self.say('reset')

    def say(self, text):
        self.p.stdin.write(text + '\n')
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def open(self):
        a = socket.create_connection(('127.0.0.1', self.port))
        a.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        b = self.server.accept()[0]
        b.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return a, b

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        out = self.p.communicate(timeout=10)[0]
        self.server.close()
        assert self.p.returncode == 0
        return json.loads(out.splitlines()[-1])


@pytest.fixture
def line():
    made = []

    def make(*options):
        made.append(Line(*options))
        return made[-1]
    yield make
    for each in made:
        if each.p.poll() is None:
            each.p.kill()
            each.p.wait()


def pump(a, n):
    def send():
        try:
            a.sendall(bytes(n))
        except OSError:
            pass
    t = threading.Thread(target=send, daemon=True)
    t.start()
    return t


def take(b, n):
    """(bytes, when the first and the last came)"""
    got, first = 0, None
    while got < n:
        part = len(b.recv(1 << 20))
        if not part:
            break
        first = first or time.monotonic()
        got += part
    return got, first, time.monotonic()


def drain(b):
    def receive():
        try:
            while b.recv(1 << 20):
                pass
        except OSError:
            pass
    threading.Thread(target=receive, daemon=True).start()


@pytest.mark.parametrize('mbit, mtu, size', [
    (10, 1500, 2_000_000), (100, 1500, 20_000_000), (1000, 9000, 150_000_000)])
def test_rate(line, mbit, mtu, size):
    """Several tries: a machine that others use may be late, never early."""
    best = 0
    it = line('--mbit', mbit, '--delay', 0.02, '--mtu', mtu, '--queue',
              max(65536, int(mbit * 2000)))
    for _ in range(4):
        it.say('reset')
        a, b = it.open()
        begun = time.monotonic()
        pump(a, size)
        got, _, last = take(b, size)
        seconds = last - begun - 0.02
        rate = got * 8 / seconds / 1e6
        assert rate < 1.02 * mbit
        best = max(best, rate)
        stat = it.say('stat')
        a.close()
        b.close()
        if best > 0.98 * mbit:
            break
    assert best > 0.98 * mbit
    assert stat['up'] == size
    assert stat['up_stat']['busy'] > 0.98
    assert stat['up_stat']['most_queued'] <= max(65536, int(mbit * 2000))


@pytest.mark.parametrize('delay', [0.025, 0.1])
def test_delay(line, delay):
    it = line('--mbit', 1000, '--delay', delay)
    a, b = it.open()
    times = []
    for _ in range(8):
        begun = time.monotonic()
        a.sendall(b'x')
        assert b.recv(1) == b'x'
        b.sendall(b'y')
        assert a.recv(1) == b'y'
        times.append(time.monotonic() - begun)
    assert min(times) >= 2 * delay
    assert min(times) < 2 * delay * 1.02


def test_all_connections_share_the_rate(line):
    it = line('--mbit', 50, '--delay', 0.01)
    ends = [it.open() for _ in range(5)]
    for a, b in ends:
        pump(a, 100_000_000)
        drain(b)
    time.sleep(2)
    stat = it.say('stat')
    seconds = (stat['ns'] - stat['up_stat']['first_ns']) / 1e9
    assert stat['up'] * 8 / 1e6 < 50 * seconds * 1.02 + 0.6
    assert stat['up'] * 8 / 1e6 > 50 * seconds * 0.90


def test_a_cut_resets_every_connection(line):
    it = line('--mbit', 100, '--delay', 0.05, '--cut-every', '2M')
    ends = [it.open() for _ in range(3)]
    for a, _ in ends:
        pump(a, 10_000_000)
    for _, b in ends:
        with pytest.raises(ConnectionResetError):
            while b.recv(1 << 20):
                pass
    stat = it.say('stat')
    assert stat['cuts'] == 1
    cut = stat['cut'][0]
    assert cut['connections'] == 3
    assert 2 << 20 <= stat['up'] < (2 << 20) + 1500
    # 100 Mbit/s over 50 ms, and the queue of 64 KB.
    assert 400_000 < cut['up'] < 705_000
    assert stat['up_stat']['lost'] == cut['up']
    a, b = it.open()
    a.sendall(b'again')
    assert b.recv(5) == b'again'


def test_cuts_at_given_times(line):
    it = line('--mbit', 100, '--cut-at', '0.3,0.6')
    for n in (1, 2):
        a, b = it.open()
        a.sendall(b'x')
        assert b.recv(1) == b'x'
        with pytest.raises(ConnectionResetError):
            assert a.recv(1) == b'?'
        assert it.say('stat')['cuts'] == n


def test_a_hole_holds_everything_back_and_loses_nothing(line):
    it = line('--mbit', 80, '--delay', 0.01)
    a, b = it.open()
    size = 8_000_000
    begun = time.monotonic()
    pump(a, size)
    time.sleep(0.2)
    it.say('hole 1')
    time.sleep(0.1)
    before = it.say('stat')
    assert before['still']
    time.sleep(0.5)
    assert it.say('stat')['up'] == before['up']
    got, _, last = take(b, size)
    assert got == size
    assert 1.75 < last - begun < 2.6


def test_another_rate_at_run_time(line):
    it = line('--mbit', 10, '--delay', 0.01)
    a, b = it.open()
    pump(a, 100_000_000)
    drain(b)
    time.sleep(0.5)
    one = it.say('mbit 100')
    time.sleep(1)
    two = it.say('stat')
    mbit = (two['up'] - one['up']) * 8e3 / (two['ns'] - one['ns'])
    assert 80 < mbit < 105


def test_bits_flip(line):
    it = line('--mbit', 1000, '--delay', 0, '--flip-every', '10K', '--seed', 3)
    a, b = it.open()
    pump(a, 1_000_000)
    got = bytearray()
    while len(got) < 1_000_000:
        got += b.recv(1 << 20)
    changed = [x for x in got if x]
    assert all(x.bit_count() == 1 for x in changed)
    assert len(changed) == it.say('stat')['flips']
    assert 60 < len(changed) < 145
    b.sendall(bytes(100000))
    back = bytearray()
    while len(back) < 100000:
        back += a.recv(1 << 20)
    assert not any(back)  # the way back is left alone


def test_it_tells_its_numbers_at_the_end_and_when_asked(line):
    it = line('--mbit', 100)
    a, b = it.open()
    a.sendall(b'hello')
    assert b.recv(5) == b'hello'
    it.p.send_signal(signal.SIGUSR1)
    assert json.loads(it.p.stdout.readline())['up'] == 5
    assert 'error' in it.say('nonsense')
    stat = it.end()
    assert stat['up'] == 5 and stat['down'] == 0
    assert stat['up_stat']['first_ns'] < stat['up_stat']['last_ns']


def test_further_ports_share_the_line(line):
    other = socket.create_server(('127.0.0.1', 0))
    port = free_port()
    it = line('--mbit', 100, '--delay', 0.01, '--also',
              '%d-%d' % (port, other.getsockname()[1]))
    a = socket.create_connection(('127.0.0.1', port))
    b = other.accept()[0]
    a.sendall(b'hello')
    assert b.recv(5) == b'hello'
    assert it.say('stat')['up'] == 5
    other.close()
