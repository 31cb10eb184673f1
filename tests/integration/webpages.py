"""A site with something to see on its status page: transfers, a destination
that is down, one in clear, strangers with hostile names, figures of months."""
import fcntl
import hashlib
import json
import math
import os
import pathlib
import random
import shutil
import socket
import sqlite3
import subprocess
import time

import pytest

import culvert
import dcmjs
import dicom

HERE = pathlib.Path(__file__).resolve().parents[1] / 'web'
BUILD = HERE.parents[1] / 'build' / 'web'
HOSTILE = '<b onclick=x()>'  # a calling AE title, 15 of 16 characters
REASON = 'no TLS in it <script>alert(1)</script> & until 2027'
USERS = {'anna': 'operator', 'olga': 'operator,security',
         'berta': 'auditor'}
PASSWORD = 'a long password of the test'


def modules():
    """playwright-core and axe-core by their lock file, into build/web."""
    want = hashlib.sha256(
        (HERE / 'package-lock.json').read_bytes()).hexdigest()
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = BUILD / 'installed'
        if not done.exists() or done.read_text() != want:
            for name in ('package.json', 'package-lock.json'):
                shutil.copy(HERE / name, BUILD / name)
            p = subprocess.run(
                ['npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund',
                 '--fetch-retries=1'],
                cwd=BUILD, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, timeout=250)
            if p.returncode != 0:
                dcmjs.skip_unreachable(p.stdout)
            assert p.returncode == 0, 'npm ci: ' + p.stdout[-3000:]
            done.write_text(want)
    return BUILD / 'node_modules'


def browser():
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        if shutil.which(name):
            return shutil.which(name)
    pytest.skip('no Chromium here')


def config(pki, scp_port, plain_port, dead_port, web_port):
    tls = {'ca': str(pki / 'ca.pem'), 'certificate': str(pki / 'edge.pem'),
           'key': str(pki / 'edge.key'), 'server_name': 'archive.example'}
    quick = {'first': '100ms', 'max': '30s', 'probe': '30s'}
    return {
        'listeners': {'modalities': {'ae_titles': ['ARCHIVE', 'WORKLIST']}},
        'devices': {
            'ct-room-2': {'ae_title': 'CT2', 'address': '127.0.0.1',
                          'services': ['storage', 'verification',
                                       'worklist', 'commitment']},
            'mr-basement': {'ae_title': ['MR1', 'MR1_STORE'],
                            'address': '127.0.0.1'},
            'ultrasound-cart-7': {'ae_title': "<i>'\"&US7",
                                  'address': '127.0.0.1',
                                  'services': ['storage']},
            'angio': {'ae_title': 'XA1', 'address': '127.0.0.2',
                      'services': ['storage', 'mpps']}},
        'destinations': {
            'cloud': {'protocol': 'dicom-tls', 'ae_title': 'CLOUDPACS',
                      'endpoints': ['127.0.0.1:%d' % scp_port], 'tls': tls,
                      'rate': {'limit': '200Mbit', 'timetable': [
                          {'days': 'mon-fri', 'hours': '07:00-19:00',
                           'limit': '50Mbit'}]}, 'retry': quick},
            'research': {'protocol': 'dicom-tls', 'ae_title': 'RESEARCH',
                         'endpoints': ['127.0.0.1:%d' % dead_port],
                         'tls': tls, 'retry': quick},
            'old-archive': {'protocol': 'dicom', 'ae_title': 'OLDPACS',
                            'endpoints': ['127.0.0.1:%d' % plain_port],
                            'plaintext': {'allowed': REASON},
                            'retry': quick}},
        'routes': [
            {'service': 'storage', 'device': 'mr-basement',
             'forward': ['cloud', 'research']},
            {'service': 'storage', 'device': 'ultrasound-cart-7',
             'forward': ['old-archive']},
            {'service': 'storage', 'forward': ['cloud']},
            {'service': ['worklist', 'verification'], 'relay': 'cloud'},
            {'service': 'commitment', 'hold': 'cloud'}],
        'status': {'address': '127.0.0.1:%d' % web_port, 'users': 'users'}}


def study(n):
    return '1.2.826.0.1.3680043.8.498.2026052809150%d' % n


def images(n, count, size, modality):
    for i in range(count):
        iuid = '%s.1.%d' % (study(n), i + 1)
        yield iuid, dicom.data_set(iuid, size=size, study=study(n))


# ---- figures over time


def varint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


STEPS = {0: 10, 1: 60, 2: 600, 3: 3600}
KEPT = {0: 3 * 3600, 1: 86400, 2: 14 * 86400, 3: 100 * 86400}
# number, name, of what (store/ledger_rollup.h)
METRICS = [(0, ''), (8, 'cloud'), (24, 'ct-room-2'), (11, 'cloud'),
           (5, '0.005'), (5, '0.01'), (5, '0.05'), (5, '0.25'),
           (25, 'ct-room-2'), (24, 'mr-basement'), (25, 'mr-basement'),
           (15, 'cloud'), (16, 'cloud'), (27, 'mr-basement')]


def busy(t):
    """How busy the clinic is, 0 to 1, by the hour and a little by chance."""
    hour = t % 86400 / 3600
    wave = math.exp(-(hour - 10.5) ** 2 / 8) + math.exp(-(hour - 15) ** 2 / 8)
    weekend = 0.25 if (t // 86400 + 4) % 7 in (0, 6) else 1
    noise = 0.6 + 0.25 * math.sin(t / 97) * math.sin(t / 41) + \
        0.5 * random.Random(int(t)).random()
    return (0.06 + wave) * weekend * noise


def values(t, step):
    b = busy(t)
    sent = int(min(6.2e6, 5e6 * b) * step)
    acks = max(1, int(40 * b * step / 10))
    return [step, sent, int(3.2e6 * b * step), int(max(0, b - 0.8) * 900),
            acks * 7, acks * 4, acks // 2, acks // 40,
            int(6 * b * step), int(1.9e6 * b * step), int(3 * b * step),
            14200, int(b * step / 40), 0]


def seed(records):
    """Figures of the last weeks into a ledger that nobody uses now."""
    now = int(time.time())
    c = sqlite3.connect(records / 'ledger.db')
    c.execute('DELETE FROM rollups')
    c.execute('DELETE FROM rollup_names')
    c.executemany('INSERT INTO rollup_names VALUES(?,?,?)',
                  [(i + 1, m, n) for i, (m, n) in enumerate(METRICS)])
    rows = []
    for level, step in STEPS.items():
        for t in range((now - KEPT[level]) // step * step, now - step, step):
            if level < 2 and 2500 < now - t < 3100:
                continue  # the daemon was down
            data = b''.join(varint(i + 1) + varint(v)
                            for i, v in enumerate(values(t, step)))
            rows.append(((level << 40) + t // 10, data))
    c.executemany('INSERT OR REPLACE INTO rollups VALUES(?,?)', rows)
    c.commit()
    c.close()


# ---- the site


def refuse(port, calling, called='ARCHIVE'):
    try:
        dicom.Association(port, [(1, dicom.VERIFICATION, [dicom.IVLE])],
                          calling=calling, called=called).close()
    except (dicom.Rejected, dicom.Aborted, dicom.Gone, OSError):
        return
    raise AssertionError(calling + ' was let in')


def add_users(root):
    for user, roles in USERS.items():
        culvert.run('web', 'passwd', '-f', root / 'users', user, '--role',
                    roles, input=PASSWORD + '\n', check=True)


def walk(plan, out):
    """What walk.js found."""
    path = out / 'plan.json'
    path.write_text(json.dumps(plan))
    p = subprocess.run(
        ['node', str(HERE / 'walk.js'), str(path)], text=True, timeout=280,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(os.environ, NODE_PATH=str(modules()), HOME=str(out)))
    assert p.stdout.startswith('{'), (p.stdout[-2000:], p.stderr[-3000:])
    return json.loads(p.stdout)


class Site:
    """Everything on, and left on until stop()."""

    def __init__(self, root, pki, tls):
        self.scp = dicom.Scp(tls=tls.server())
        self.plain = dicom.Scp()
        self.web_port = culvert.free_port()
        self.edge = culvert.Culvert(root, config(
            pki, self.scp.port, self.plain.port, culvert.free_port(),
            self.web_port))
        self.base = 'http://127.0.0.1:%d' % self.web_port
        add_users(self.edge.root)
        self.edge.start()
        self._transfer()
        self.edge.stop()
        seed(self.edge.root / 'records')
        self.edge.start()
        culvert.until('the page', self._answers)

    def _answers(self):
        try:
            socket.create_connection(('127.0.0.1', self.web_port), 1).close()
            return True
        except OSError:
            return False

    def _transfer(self):
        port = self.edge.port()
        send = dicom.send
        send(port, list(images(1, 24, 40000, 'CT')), 'CT2', 'ARCHIVE')
        send(port, list(images(2, 8, 90000, 'MR')), 'MR1', 'ARCHIVE')
        self.plain.status = lambda iuid: 0xa700
        send(port, list(images(3, 4, 5000, 'US')), "<i>'\"&US7", 'ARCHIVE')
        send(port, list(images(4, 1, 4 << 20, 'CT')), 'CT2', 'ARCHIVE')
        for calling, called in ((HOSTILE, 'ARCHIVE'), ('CT9', 'ARCHIVE'),
                                ('CT2', 'PACS'), ('XA1', 'ARCHIVE')):
            for _ in range(3 if calling == 'CT9' else 1):
                refuse(port, calling, called)
        self.edge.wait_deliveries('delivered', 33)

    def plan(self, out):
        views = {'now': '/', 'wall': '/wall', 'transfers': '/transfers',
                 'study': '/transfers/' + study(2)}
        return {
            'base': self.base, 'out': str(BUILD / 'shots'),
            'browser': browser(),
            'shots': os.environ.get('CULVERT_SHOTS', 'now-operator-1280-light-en').split(','),
            'roles': {
                'operator': {'user': 'olga', 'password': PASSWORD,
                             'views': dict(views, refused='/refused')},
                'auditor': {'user': 'berta', 'password': PASSWORD,
                            'views': dict(views, audit='/audit',
                                          configuration='/configuration')}}}

    def stop(self):
        self.edge.stop()
        self.scp.stop()
        self.plain.stop()
