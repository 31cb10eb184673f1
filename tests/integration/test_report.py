"""The ready reports."""
import csv
import io
import json

import pytest

import dicom
from culvert import run
from test_store import instances


def report(edge, name, *args):
    return run('report', '-c', edge.path, name, *args, check=True).stdout


def rows(edge, name, *args):
    return list(csv.DictReader(io.StringIO(
        report(edge, name, '--format', 'csv', *args))))


def verify(page, *args):
    return run('report', '--verify', page, *args)


def check_signed(edge, page, tmp_path):
    """The manifest beside a report speaks for every byte of it, offline."""
    key = tmp_path / 'edge.pub'
    key.write_text(edge.cli('audit', 'key', check=True).stdout)
    p = verify(page, '--key', key)
    assert p.returncode == 0 and 'good: 1 rows' in p.stdout
    assert 'report of ' in p.stdout and '"report":"refused"' in p.stdout
    assert json.loads(verify(page, '--json').stdout)['own_key'] is True
    whole = page.read_bytes()
    page.write_bytes(whole.replace(b'=EVIL', b'=GOOD'))
    p = verify(page, '--key', key)
    assert p.returncode == 3 and 'not byte for byte' in p.stdout
    page.write_bytes(whole)
    manifest = page.with_name(page.name + '.manifest.json')
    manifest.write_text(manifest.read_text().replace('"rows": 1,',
                                                     '"rows": 2,'))
    p = verify(page, '--key', key)
    assert p.returncode == 3 and 'signature is not valid' in p.stdout
    manifest.unlink()
    p = verify(page)
    assert p.returncode == 1 and 'without its manifest' in p.stderr


def test_each_report_says_what_happened(daemons, scps, tls, edge_config, pki,
                                        tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    sent = instances(4)
    assert dicom.send(edge.port(), sent) == [0] * 4
    edge.wait_deliveries('delivered', 4)
    scp.stop()
    edge.cli('queue', 'hold', '--destination', 'archive', check=True)
    assert dicom.send(edge.port(), instances(1, prefix='1.2.3.5')) == [0]
    with pytest.raises(Exception):
        dicom.Association(edge.port(), [(1, dicom.CT, [dicom.EVLE])],
                          calling='=EVIL', called='CULVERT')
    edge.wait_deliveries('queued', 1)

    month, = rows(edge, 'monthly')
    assert month['device'] == 'scanner' and month['destination'] == 'archive'
    assert (month['instances'], month['transferred'], month['waiting']) == (
        '5', '4', '1')
    assert int(month['bytes']) > 5 * 3000
    assert rows(edge, 'monthly', '--to', '2020-01-01') == []

    access = rows(edge, 'access')
    assert {'role', 'command', 'page', 'device'} == {r['kind'] for r in access}
    assert [r for r in access if r['how'] == 'culvert audit export'
            ][0]['who'] == 'auditor'
    device, = [r for r in access if r['kind'] == 'device']
    assert 'SCU' in device['how'] and '127.0.0.1' in device['how']

    refused, = rows(edge, 'refused')
    assert refused['calling_ae'] == "'=EVIL" and refused['remedy']

    edge.wait_log('order')
    assert rows(edge, 'failures', '--late', '86400') == []
    changes = rows(edge, 'changes')
    assert 'hold' in [json.loads(r['detail']).get('order') for r in changes]
    assert all(r['user'] for r in changes if r['event'] == 'manual-action')

    certificates = rows(edge, 'certificates')
    own, = [r for r in certificates if r['use'] == 'destination: own']
    assert own['file'] == str(pki / 'edge.pem') and int(own['days_left']) > 0
    assert 'edge' in own['subject'] and own['issuer']

    study, = rows(edge, 'reconciliation')
    assert (study['instances'], study['begun'], study['transferred'],
            study['missing']) == ('5', '5', '4', '1')
    assert study['verdict'] == 'on its way'

    line = json.loads(report(edge, 'reconciliation', '--format', 'jsonl'))
    assert line['missing'] == 1
    text = report(edge, 'refused')
    assert 'Refused attempts' in text and '1 rows' in text
    page = tmp_path / 'r.html'
    run('report', '-c', edge.path, 'refused', '--format', 'html', '-o', page,
        check=True)
    assert '<td>=EVIL</td>' in page.read_text()
    check_signed(edge, page, tmp_path)
    assert run('report', '-c', edge.path, 'nonsense').returncode == 1
    assert run('report', '-c', edge.path).returncode == 2
