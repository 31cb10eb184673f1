"""Receipts: what they say, and that nobody edits one unnoticed."""
import base64
import html.parser
import json
import re
import subprocess

import dicom
from culvert import run
from test_export import chinese, public_key

STUDY = '1.2.3.77'


def receipt(edge, *args, out, check=True):
    return run('receipt', '-c', edge.path, STUDY, *args, '-o', out,
               check=check)


class Page(html.parser.HTMLParser):
    """The text of a page, and what it would ask of others."""

    def __init__(self, text):
        super().__init__()
        self.text, self.json, self.outside, self.tag = '', '', [], ''
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        self.outside += [v for k, v in attrs if k in ('src', 'href')]

    def handle_data(self, data):
        if self.tag == 'script':
            self.json += data
        elif self.tag != 'style':
            self.text += data


def test_a_receipt_says_what_went_where_and_shows_edits(
        daemons, scps, tls, edge_config, tmp_path):
    scp = scps(tls=tls.server())
    port = scp.port
    edge = daemons(edge_config(port))
    key = public_key(edge, tmp_path)
    name = '\u5f20\u4e09^</script><b>x'
    sent = [chinese(i, name, study=STUDY) for i in range(3)]
    assert dicom.send(edge.port(), sent) == [0] * 3
    edge.wait_deliveries('delivered', 3)

    js, page = tmp_path / 'r.json', tmp_path / 'r.html'
    receipt(edge, '--json', out=js)
    r = json.loads(js.read_text())['receipt']
    assert r['summary'] == dict(r['summary'], instances=3, deliveries=3,
                                done=3, complete=True)
    assert 'patient' not in r and name not in js.read_text()
    for i, (iuid, data) in zip(r['instances'], sent):
        file = tmp_path / 'data'
        file.write_bytes(data)
        assert i['sop_instance'] == iuid and i['bytes'] == len(data)
        assert run('hash', '--data-set', file).stdout.split()[0] == i['hash']
        d, = i['deliveries']
        assert d['state'] == 'delivered' and d['status'] == '0000'
        assert d['tls']['version'] and len(d['tls']['fingerprint']) >= 64
        assert d['destination'] == 'archive' and i['tls'] is None

    # anybody can check it
    lines = js.read_text().splitlines(True)
    (tmp_path / 'body').write_text(''.join(lines[1:-1]))
    (tmp_path / 'sig').write_bytes(base64.b64decode(
        json.loads(js.read_text())['seal']['signature']))
    subprocess.run(['openssl', 'dgst', '-sha256', '-verify', key, '-signature',
                    tmp_path / 'sig', tmp_path / 'body'], check=True,
                   stdout=subprocess.DEVNULL)

    receipt(edge, '--reveal', out=page)
    text = page.read_text()
    p = Page(text)
    assert not p.outside and 'Delivered whole' in p.text
    assert name in p.text and '<b>x' not in text
    assert json.loads(p.json)['receipt']['patient']['name'] == name
    for f in (js, page):
        v = run('receipt', '--verify', f, '--key', key)
        assert v.returncode == 0 and 'good' in v.stdout, v.stdout

    lines = page.read_bytes().splitlines(True)
    (tmp_path / 'body').write_bytes(b''.join(lines[:-1]))
    (tmp_path / 'sig').write_bytes(base64.b64decode(lines[-1].split()[2]))
    subprocess.run(['openssl', 'dgst', '-sha256', '-verify', key, '-signature',
                    tmp_path / 'sig', tmp_path / 'body'], check=True,
                   stdout=subprocess.DEVNULL)

    edits = [
        (js, lambda t: t.replace('"delivered"', '"queued"', 1)),
        (js, lambda t: re.sub('"hash":"....', '"hash":"0000', t)),
        (js, lambda t: t.replace('"complete":true', '"complete":false')),
        (js, lambda t: t.replace('\n],\n', '\n],\n\n')),
        (js, lambda t: re.sub('"signature":"[^"]*"', '"signature":""', t)),
        (js, lambda t: ''.join(t.splitlines(True)[:-1])),
        (js, lambda t: t[:200]),
        (page, lambda t: t.replace('<b>delivered</b>', '<b>queued</b>', 1)),
        (page, lambda t: t.replace('Delivered whole', 'Not delivered')),
        (page, lambda t: t.replace('</body>', '<p>paid</p></body>')),
        (page, lambda t: t.replace('"attempts":1', '"attempts":2', 1)),
        (page, lambda t: t.replace('id="receipt"', 'id="other"')),
        (page, lambda t: t.replace('@media print', '@media none')),
        (page, lambda t: ''.join(t.splitlines(True)[:-1])),
        (page, lambda t: t + '\n'),
        (page, lambda t: re.sub('<!-- signature ....', '<!-- signature AAAA',
                                t)),
    ]
    for n, (f, edit) in enumerate(edits):
        good = f.read_text()
        assert edit(good) != good, n
        f.write_text(edit(good))
        v = run('receipt', '--verify', f, '--key', key)
        assert v.returncode == 3 and 'WRONG' in v.stdout, (n, v.stdout)
        f.write_text(good)
    v = run('receipt', '--verify', js)
    assert v.returncode == 0 and 'compare it' in v.stdout

    # what still waits is said first
    scp.stop()
    more = [chinese(9, name, study=STUDY)]
    assert dicom.send(edge.port(), more) == [0]
    edge.wait_deliveries('queued', 1)
    receipt(edge, '--force', out=page)
    assert 'Not delivered whole: 3 of 4' in Page(page.read_text()).text
    p = run('receipt', '-c', edge.path, '9.9.9', '-o', tmp_path / 'none')
    assert p.returncode == 1 and 'no such study' in p.stderr
    assert not (tmp_path / 'none').exists()


def test_a_study_too_large_for_a_receipt_is_exported_instead(
        daemons, scps, tls, edge_config, tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port),
                   env={'CULVERT_TEST_RECEIPT_ROWS': '2'})
    sent = [chinese(i, 'A^B', study=STUDY) for i in range(3)]
    assert dicom.send(edge.port(), sent) == [0] * 3
    edge.wait_deliveries('delivered', 3)
    p = receipt(edge, out=tmp_path / 'r.html', check=False)
    assert p.returncode == 1
    assert ('the study is too large for one page; culvert transfers export '
            '--study gives all of it') in p.stderr
    assert not list(tmp_path.glob('r.html*'))
    out = tmp_path / 'all.csv'
    run('transfers', 'export', '-c', edge.path, '--study', STUDY, '-o', out,
        check=True)
    assert len(out.read_text().splitlines()) == 4
