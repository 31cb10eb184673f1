"""Exports: what is in them, and that nobody edits one unnoticed."""
import base64
import csv
import io
import json
import re
import struct
import subprocess
import xml.etree.ElementTree as xml
import zipfile

import pytest

import dicom
import relayed
from culvert import run, until
from dicom import IVLE, WORKLIST

ODD_TITLES = ['=1+1', '+A1', '-2+3', '@SUM(A1)', 'A,B', 'SAY "X"', "'TICK"]


def refuse(edge, titles):
    """Somebody undeclared calls by these titles."""
    for title in titles:
        with pytest.raises(Exception):
            dicom.Association(edge.port(), [(1, dicom.CT, [dicom.EVLE])],
                              calling=title, called='CULVERT')


def export(edge, *args, out, table='audit', check=True):
    p = run(table, 'export', '-c', edge.path, *args, '-o', out)
    assert not check or p.returncode == 0, p.stderr
    return p


def printed(edge, *args):
    return run('audit', 'export', '-c', edge.path, *args, '-o', '-',
               check=True).stdout


def verify(out, *args, table='audit'):
    flag = ['--export', out] if table == 'audit' else [out]
    return run(table, 'verify', *flag, *args)


def public_key(edge, tmp_path):
    """The key that the daemon signs with, as anybody may have it."""
    f, = edge.root.rglob('*.key.pub')
    return f


def manifest_of(out):
    return json.loads(out.with_name(out.name + '.manifest.json').read_text())


def rows_of(out):
    text = out.read_bytes().decode('utf-8-sig')
    return list(csv.DictReader(io.StringIO(text, newline='')))


def bare(cell):
    """A text as it was before it was made safe for spreadsheets."""
    return cell[1:] if cell[:1] == "'" else cell


@pytest.fixture
def edge(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    refuse(edge, ODD_TITLES)
    sent = [('1.2.3.7.%d' % i, dicom.data_set('1.2.3.7.%d' % i, size=3000))
            for i in range(12)]
    assert dicom.send(edge.port(), sent) == [0] * 12
    edge.wait_deliveries('delivered', 12)
    until('on record', lambda: 'instances-received' in printed(
        edge, '--format', 'jsonl'))
    return edge


def test_every_format_of_the_audit_and_its_manifest(edge, tmp_path):
    key = public_key(edge, tmp_path)
    out = tmp_path / 'a.csv'
    export(edge, out=out)
    assert b'\r\n' in out.read_bytes() and out.stat().st_mode & 0o777 == 0o600
    rows = rows_of(out)
    titles = [r['calling_ae'] for r in rows if r['event'] ==
              'association-refused']
    # nothing that a spreadsheet would compute, and nothing lost
    assert not [t for r in rows for t in r.values() if t and t[0] in '=+-@\t']
    assert set(map(bare, titles)) >= set(ODD_TITLES)
    assert [int(r['seq']) for r in rows] == list(range(1, len(rows) + 1))
    m = manifest_of(out)
    assert m['rows'] == len(rows) and m['contiguous'] is True
    assert m['chain'] == rows[-1]['chain'] and m['filter'] == {}
    assert m['bytes'] == out.stat().st_size
    p = verify(out, '--key', key)
    assert p.returncode == 0 and 'good' in p.stdout, p.stdout + p.stderr

    bom = tmp_path / 'bom.csv'
    export(edge, '--bom', out=bom)
    assert bom.read_bytes()[:3] == b'\xef\xbb\xbf'
    assert verify(bom, '--key', key).returncode == 0

    lines = tmp_path / 'a.jsonl'
    export(edge, '--format', 'jsonl', out=lines)
    js = [json.loads(x) for x in lines.read_text().splitlines()]
    for a, b in zip(rows, js):
        assert a['chain'] == b['chain'] and int(a['seq']) == b['seq']
        assert bare(a['calling_ae']) == (b['calling_ae'] or '')
        assert (json.loads(a['detail']) if a['detail'] else None) == \
            b['detail']
    assert verify(lines, '--key', key).returncode == 0

    dcm = tmp_path / 'a.xml'
    export(edge, '--format', 'dicom', out=dcm)
    root = xml.fromstring(dcm.read_bytes())
    assert root.tag == 'AuditMessages'
    assert {x.tag for x in root} == {'AuditMessage'}
    assert len(root) == manifest_of(dcm)['rows'] >= len(rows)
    assert verify(dcm, '--key', key).returncode == 0

    # every one of them is on record, with what went out
    until('on record', lambda: len(re.findall(
        '"exported":"audit"', printed(edge, '--event', 'export').replace(
            '""', '"'))) >= 4)


def test_openssl_checks_the_signature_of_a_manifest(edge, tmp_path):
    out = tmp_path / 'a.csv'
    export(edge, out=out)
    text = out.with_name('a.csv.manifest.json').read_text()
    signed = ''.join(x for x in text.splitlines(True)
                     if not x.startswith('  "signature": '))
    (tmp_path / 'signed').write_text(signed)
    assert json.loads(signed)
    (tmp_path / 'sig').write_bytes(base64.b64decode(
        json.loads(text)['signature']))
    (tmp_path / 'pub').write_text(json.loads(text)['key'])
    for key in (tmp_path / 'pub', public_key(edge, tmp_path)):
        subprocess.run(['openssl', 'dgst', '-sha256', '-verify', key,
                        '-signature', tmp_path / 'sig', tmp_path / 'signed'],
                       check=True, stdout=subprocess.DEVNULL)


def line_at(b, n):
    return b.splitlines(True)[n]


def edit_lines(change):
    """An edit of the list of lines."""
    def edit(b):
        lines = b.splitlines(True)
        change(lines)
        return b''.join(lines)
    return edit


def swap(lines):
    lines[3], lines[4] = lines[4], lines[3]


def in_line(n, old, new):
    def change(lines):
        assert old in lines[n], lines[n]
        lines[n] = lines[n].replace(old, new, 1)
    return edit_lines(change)


# what is done to the CSV file, and what verify must say of it
CSV_EDITS = {
    'an AE title': (lambda b: b.replace(b'@SUM(A1)', b'@SUM(A2)', 1),
                    r'row \d+ \(seq \d+\): row-changed'),
    'a time': (lambda b: edit_lines(lambda x: x.__setitem__(
        3, re.sub(rb'T(\d\d):', lambda m: b'T%02d:' % (
            (int(m[1]) + 1) % 24), x[3], count=1)))(b),
        r'row 3 \(seq 3\): row-changed'),
    'an outcome': (lambda b: edit_lines(lambda x: x.__setitem__(
        2, re.sub(rb'Z,([a-z-]+),\d+', rb'Z,\1,12', x[2])))(b),
        r'row 2 \(seq 2\): row-changed'),
    'the word of an event only': (
        lambda b: b.replace(b',association-refused,', b',query,', 1),
        'the column event holds'),
    'a row taken away': (edit_lines(lambda x: x.pop(4)),
                         r'row 4 \(seq 5\): rows-missing|order'),
    'the last row taken away': (edit_lines(lambda x: x.pop()),
                                'the last row is'),
    'the first row taken away': (edit_lines(lambda x: x.pop(1)),
                                 'the first row is'),
    'a row twice': (edit_lines(lambda x: x.insert(4, x[4])),
                    r'row 5 \(seq 4\)'),
    'two rows moved': (edit_lines(swap), r'row 3 \(seq 4\)'),
    'cut within a row': (lambda b: b[:-20], 'cut off'),
    'a column taken away': (lambda b: b.replace(b'seq,time,', b'time,', 1),
                            'does not name the columns'),
    'a cell more': (edit_lines(lambda x: x.__setitem__(
        5, x[5].replace(b'\r\n', b',x\r\n'))), 'row 5: .*fields'),
    'line ends': (lambda b: b.replace(b'\r\n', b'\n'),
                  'does not name the columns'),
    'one line end': (edit_lines(lambda x: x.__setitem__(
        6, x[6].replace(b'\r\n', b'\n'))), r'row 6 .*not written the way'),
    'an apostrophe taken away': (lambda b: b.replace(b"'=1+1", b'=1+1', 1),
                                 r'row \d+ .*not written the way'),
    'another chain': (edit_lines(lambda x: x.__setitem__(3, re.sub(
        rb'[0-9a-f]{64}\r\n', b'0' * 63 + b'1\r\n', x[3]))),
        r'row 3 \(seq 3\)'),
    'a row of garbage': (edit_lines(lambda x: x.insert(3, b'1,2\r\n')),
                         'row 3: '),
    'a byte order mark': (lambda b: b'\xef\xbb\xbf' + b,
                          'not byte for byte'),
}


def test_each_edit_of_a_csv_file_is_named(edge, tmp_path):
    key = public_key(edge, tmp_path)
    out = tmp_path / 'a.csv'
    export(edge, out=out)
    good = out.read_bytes()
    for what, (edit, said) in CSV_EDITS.items():
        bad = edit(good)
        assert bad != good, what
        out.write_bytes(bad)
        p = verify(out, '--key', key)
        assert p.returncode == 3 and re.search(said, p.stdout), \
            (what, p.stdout, p.stderr)
        first = re.search('WRONG  (.*)', p.stdout).group(1)
        assert 'row' in first or 'manifest' in first or 'file' in first, what
    out.write_bytes(good)
    assert verify(out, '--key', key).returncode == 0


def test_each_edit_of_json_lines_is_named(edge, tmp_path):
    key = public_key(edge, tmp_path)
    out = tmp_path / 'a.jsonl'
    export(edge, '--format', 'jsonl', out=out)
    good = out.read_bytes()
    edits = {
        'a value': (lambda b: b.replace(b'"@SUM(A1)"', b'"@SUM(A2)"', 1),
                    'row-changed'),
        'a detail': (lambda b: re.sub(rb'"detail":\{"', b'"detail":{"x', b,
                                      count=1), 'row-changed'),
        'a space': (edit_lines(lambda x: x.__setitem__(
            2, x[2].replace(b',', b', ', 1))), r'row 3 .*not written the way'),
        'members in another order': (edit_lines(lambda x: x.__setitem__(
            2, b'{"time":' + x[2][1:].split(b'"time":')[1].split(b',')[0] +
            b',' + x[2][1:])), 'row 3: it is not a JSON object of this table'),
        'no JSON': (edit_lines(lambda x: x.__setitem__(2, b'{"seq":\n')),
                    'row 3: '),
        'null for a number': (lambda b: re.sub(rb'"outcome":\d+',
                                               b'"outcome":null', b, count=1),
                              'the column outcome'),
        'a row away': (edit_lines(lambda x: x.pop(2)), 'rows-missing|order'),
        'all rows away': (lambda b: b'', 'has 0 rows'),
    }
    for what, (edit, said) in edits.items():
        bad = edit(good)
        assert bad != good, what
        out.write_bytes(bad)
        p = verify(out, '--key', key)
        assert p.returncode == 3 and re.search(said, p.stdout), \
            (what, p.stdout, p.stderr)


def test_each_edit_of_a_manifest_is_named(edge, tmp_path):
    key = public_key(edge, tmp_path)
    out = tmp_path / 'a.csv'
    export(edge, out=out)
    path = out.with_name('a.csv.manifest.json')
    good = path.read_text()
    sig = json.loads(good)['signature']
    flipped = bytearray(base64.b64decode(sig))
    flipped[-1] ^= 1
    other = subprocess.run('openssl ecparam -name prime256v1 -genkey -noout |'
                           'openssl ec -pubout', shell=True, check=True,
                           capture_output=True, text=True).stdout
    edits = {
        'rows': (lambda t: re.sub(r'"rows": \d+', '"rows": 5', t),
                 'signature is not valid'),
        'filter': (lambda t: t.replace('"filter": {}',
                                       '"filter": {"device":"ct"}'),
                   'signature is not valid'),
        'contiguous': (lambda t: t.replace('"contiguous": true',
                                           '"contiguous": false'),
                       'signature is not valid'),
        'user': (lambda t: re.sub('"user": "[^"]*', '"user": "nobody', t),
                 'signature is not valid'),
        'hash': (lambda t: re.sub('"sha256": "....', '"sha256": "0000', t),
                 'not byte for byte'),
        'signature': (lambda t: t.replace(sig, base64.b64encode(
            flipped).decode()), 'signature is not valid'),
        'no signature': (lambda t: t.replace(sig, ''),
                         'signature is not valid'),
        'a member more': (lambda t: t.replace('{\n', '{\n  "x": 1,\n', 1),
                          'not written the way'),
        'cut off': (lambda t: t[:-30], 'not written the way'),
        'not JSON': (lambda t: 'hello\n', 'not written the way'),
        'table': (lambda t: t.replace('"audit"', '"transfers"'),
                  'of an export of transfers'),
        'key': (lambda t: t.replace(json.dumps(json.loads(t)['key'])[1:-1],
                                    json.dumps(other)[1:-1]),
                'signature is not valid'),
    }
    for what, (edit, said) in edits.items():
        bad = edit(good)
        assert bad != good, what
        path.write_text(bad)
        p = verify(out, '--key', key)
        assert p.returncode == 3 and re.search(said, p.stdout), \
            (what, p.stdout, p.stderr)
    path.write_text(good)
    # the manifest is honest, and somebody else's
    stranger = tmp_path / 'other.pem'
    stranger.write_text(other)
    p = verify(out, '--key', stranger)
    assert p.returncode == 3 and 'and not with' in p.stdout
    p = verify(out)
    assert p.returncode == 0 and 'compare it' in p.stdout
    path.unlink()
    p = verify(out, '--key', key)
    assert p.returncode == 1 and 'without its manifest' in p.stderr


def test_a_filtered_export_holds_row_by_row(edge, tmp_path):
    key = public_key(edge, tmp_path)
    out = tmp_path / 'a.csv'
    export(edge, '--event', 'association-refused', '--from', '2020-01-01',
           '--to', '2099-12-31', out=out)
    rows = rows_of(out)
    assert {r['event'] for r in rows} == {'association-refused'}
    m = manifest_of(out)
    assert m['contiguous'] is False
    assert m['filter']['event'] == 'association-refused'
    assert m['filter']['from'] == '2020-01-01T00:00:00.000Z'
    assert m['filter']['to'] == '2100-01-01T00:00:00.000Z'
    assert verify(out, '--key', key).returncode == 0
    out.write_bytes(out.read_bytes().replace(b'@SUM', b'@MUS', 1))
    p = verify(out, '--key', key)
    assert p.returncode == 3 and 'row-changed' in p.stdout
    assert export(edge, '--event', 'nonsense', out='-',
                  check=False).returncode == 1
    assert export(edge, '--from', 'yesterday', out='-',
                  check=False).returncode == 2


def test_what_is_sealed_comes_out_only_when_asked(daemons, scps, tls, pki,
                                                  tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(relayed.config(pki, scp.port, scp.port))
    key = public_key(edge, tmp_path)
    a = dicom.Association(edge.port(), [(1, WORKLIST, [IVLE])], called='RIS')
    name = '\u5f20\u4e09^\u5c0f=\u4e1c'
    query = dicom.encode([(8, 5, 'CS', 'ISO_IR 192')], IVLE) + \
        struct.pack('<HHI', 0x10, 0x10, len(dicom.even(name.encode()))) + \
        dicom.even(name.encode()).replace(b'\0', b' ')
    try:
        a.find(1, query)
        a.release()
    except dicom.Gone:
        pass
    until('the query', lambda: ',query,' in printed(edge))
    plain, opened = tmp_path / 'plain.csv', tmp_path / 'opened.csv'
    export(edge, '--event', 'query', out=plain)
    row, = rows_of(plain)
    assert row['sealed'] == 'sealed' and row['commitment']
    assert name.encode() not in plain.read_bytes()
    export(edge, '--event', 'query', '--reveal', '--bom', out=opened)
    row, = rows_of(opened)
    assert row['patient_name'] == name and row['opened'] == 'yes'
    assert name.encode().hex() in row['sealed_value']
    p = verify(opened, '--key', key)
    assert p.returncode == 0, p.stdout
    for old, new in ((row['salt'], '0' * 32),
                     (name.encode().hex(), name.encode()[::-1].hex())):
        bad = tmp_path / 'bad.csv'
        bad.write_bytes(opened.read_bytes().replace(old.encode(),
                                                    new.encode()))
        p = run('audit', 'verify', '--export', bad, '--key', key,
                '--manifest', str(opened) + '.manifest.json')
        assert p.returncode == 3 and 'sealed-changed' in p.stdout
    for path in edge.root.rglob('*'):
        if path.is_file():
            assert name.encode() not in path.read_bytes(), path


def test_a_file_is_whole_or_not_there(edge, tmp_path):
    out = tmp_path / 'a.csv'
    out.write_text('precious')
    p = export(edge, out=out, check=False)
    assert p.returncode == 1 and '--force' in p.stderr
    assert out.read_text() == 'precious'
    export(edge, '--force', out=out)
    assert out.read_bytes().startswith(b'seq,')
    p = export(edge, out=tmp_path / 'no' / 'such' / 'a.csv', check=False)
    assert p.returncode == 1
    edge.stop()
    p = export(edge, out=tmp_path / 'b.csv', check=False)
    assert p.returncode == 3 and 'no daemon answers' in p.stderr
    assert sorted(x.name for x in tmp_path.glob('*.csv*')) == [
        'a.csv', 'a.csv.manifest.json']


def test_the_page_gets_one_archive(edge, tmp_path):
    """What the status page asks for: file and manifest in one ZIP."""
    import socket
    s = socket.socket(socket.AF_UNIX)
    s.connect(str(edge.root / 'control.sock'))
    s.sendall(b'{"op":"audit-export","format":"jsonl","zip":true}\n')
    f = s.makefile('rb')
    head = json.loads(f.readline())
    assert head['ok'] and head['media'] == 'application/zip'
    data, kind = b'', b'd'
    while kind in (b'd', b'p'):
        kind = f.read(1)
        part = f.read(struct.unpack('>I', f.read(4))[0])
        data += part if kind == b'd' else b''
    assert kind == b'm' and json.loads(part)['table'] == 'audit'
    z = zipfile.ZipFile(io.BytesIO(data))
    assert z.testzip() is None
    name, manifest = z.namelist()
    assert name + '.zip' == head['name'] and z.read(manifest) == part
    out = tmp_path / name
    z.extractall(tmp_path)
    assert verify(out, '--key', public_key(edge, tmp_path)).returncode == 0


def chinese(i, name, size=2000, study='1.2.3', accession='ACC1'):
    data = dicom.data_set('1.2.3.8.%d' % i, size=size, study=study, name=name)
    return ('1.2.3.8.%d' % i,
            dicom.encode([(8, 5, 'CS', 'ISO_IR 192')], dicom.EVLE) + data)


def test_transfers_with_names_that_are_not_ascii(daemons, scps, tls,
                                                 edge_config, tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    key = public_key(edge, tmp_path)
    names = ['\u5f20\u4e09^\u5c0f\u4e1c', '=\u738b\u4e94', '\u6b27\u9633,"x"',
             '\uff1d1+1']
    for i, name in enumerate(names):
        iuid, data = chinese(i, name, study='1.2.3.%d' % i)
        data = data.replace(b'1.2.3.4\0', b'1.2.9.%d\0' % i)
        assert dicom.send(edge.port(), [(iuid, data)]) == [0]
    edge.wait_deliveries('delivered', 4)
    out = tmp_path / 't.csv'
    export(edge, '--reveal', '--bom', out=out, table='transfers')
    assert out.read_bytes()[:3] == b'\xef\xbb\xbf'
    rows = rows_of(out)
    assert [bare(r['patient_name']) for r in rows] == names
    assert [r['state'] for r in rows] == ['delivered'] * 4
    assert [r['patient_name'][0] == "'" for r in rows] == [
        False, True, False, True]
    p = verify(out, '--key', key, table='transfers')
    assert p.returncode == 0, p.stdout + p.stderr
    good = out.read_bytes()
    for what, edit, said in (
            ('a name', lambda b: b.replace(b'\xe5\xbc\xa0', b'\xe7\x8e\x8b'),
             r'row 1 \(delivery'),
            ('a state', lambda b: b.replace(b',delivered,', b',queued,', 1),
             r'row 1 \(delivery'),
            ('a row away', edit_lines(lambda x: x.pop(2)),
             r'row 2 \(delivery'),
            ('the last away', edit_lines(lambda x: x.pop()), 'the last row'),
            ('moved', edit_lines(swap), r'row 3 \(delivery'),
            ('twice', edit_lines(lambda x: x.insert(2, x[2])),
             r'row 3 \(delivery'),
            ('cut', lambda b: b[:-9], 'cut off')):
        out.write_bytes(edit(good))
        p = verify(out, '--key', key, table='transfers')
        assert p.returncode == 3 and re.search(said, p.stdout), (what,
                                                                 p.stdout)
    lines = tmp_path / 't.jsonl'
    export(edge, '--format', 'jsonl', '--state', 'delivered', '--study',
           '1.2.3.2', out=lines, table='transfers')
    row = json.loads(lines.read_text())
    assert row['study'] == '1.2.3.2' and 'patient_name' not in row
    assert verify(lines, '--key', key, table='transfers').returncode == 0
    dcm = tmp_path / 't.xml'
    export(edge, '--format', 'dicom', out=dcm, table='transfers')
    root = xml.fromstring(dcm.read_bytes())
    assert len(root) == 4 and names[0] not in dcm.read_text()
    assert verify(dcm, '--key', key, table='transfers').returncode == 0
    found = json.loads(run('transfers', 'search', '-c', edge.path, '--study',
                           '1.2.3.1', '--json', check=True).stdout)
    assert [r['study'] for r in found['rows']] == ['1.2.3.1']
    text = run('transfers', 'show', '-c', edge.path, '1.2.3.1',
               check=True).stdout
    assert '1.2.3.8.1' in text and 'delivered to archive' in text
    assert 'TLSv1.3' in text or 'TLS 1.3' in text
