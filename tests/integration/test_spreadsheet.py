"""LibreOffice opens the CSV: names as they are, nothing computed. Takes half a
minute: only when CULVERT_SPREADSHEET is set (make spreadsheet)."""
import csv
import os
import shutil
import subprocess

import pytest

import dicom
from test_export import chinese, export, refuse

pytestmark = pytest.mark.skipif(
    not os.environ.get('CULVERT_SPREADSHEET') or not shutil.which('soffice'),
    reason='once: CULVERT_SPREADSHEET is not set, or no LibreOffice')


def opened(path, tmp_path):
    """What LibreOffice makes of a CSV file: its cells, formulas computed."""
    subprocess.run(['soffice', '--headless', '-env:UserInstallation=file://%s'
                    % (tmp_path / 'profile'), '--infilter=CSV:44,34,76,1',
                    '--convert-to', 'ods', '--outdir', tmp_path, path],
                   check=True, timeout=300, stdout=subprocess.DEVNULL)
    ods = tmp_path / (path.stem + '.ods')
    content = subprocess.run(['unzip', '-p', ods, 'content.xml'], check=True,
                             capture_output=True, text=True).stdout
    assert 'table:formula' not in content
    out = tmp_path / 'again'
    subprocess.run(['soffice', '--headless', '-env:UserInstallation=file://%s'
                    % (tmp_path / 'profile'), '--convert-to',
                    'csv:Text - txt - csv (StarCalc):44,34,76', '--outdir',
                    out, ods], check=True, timeout=300,
                   stdout=subprocess.DEVNULL)
    with open(out / (path.stem + '.csv'), newline='',
              encoding='utf-8-sig') as f:
        return list(csv.DictReader(f))


def test_names_stay_and_formulas_stay_text(daemons, scps, tls, edge_config,
                                           tmp_path):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    names = ['\u5f20\u4e09^\u5c0f\u4e1c', '=1+1', '@SUM(1;2)', '\uff1d1+1',
             '+2', '-3+4', '=HYPERLINK("http://127.0.0.1/";"x")']
    for i, name in enumerate(names):
        iuid, data = chinese(i, name, study='1.2.3.%d' % i)
        data = data.replace(b'1.2.3.4\0', b'1.2.9.%d\0' % i)
        assert dicom.send(edge.port(), [(iuid, data)]) == [0]
    edge.wait_deliveries('delivered', len(names))
    refuse(edge, ['=1+1', '-2+3', '@SUM(A1)'])
    out = tmp_path / 'transfers.csv'
    export(edge, '--reveal', '--bom', out=out, table='transfers')
    seen = [r['patient_name'] for r in opened(out, tmp_path)]
    print('LibreOffice shows:', seen)
    assert seen[0] == names[0]
    assert seen[1:] == ["'" + n for n in names[1:]]
    audit = tmp_path / 'audit.csv'
    export(edge, '--bom', '--event', 'association-refused', out=audit)
    titles = [r['calling_ae'] for r in opened(audit, tmp_path)]
    print('LibreOffice shows:', titles)
    assert set(titles) >= {"'=1+1", "'-2+3", "'@SUM(A1)"}
