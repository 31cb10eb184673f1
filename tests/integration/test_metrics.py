"""Metrics: as promtool wants them; rules and dashboard use what there is."""
import json
import pathlib
import re
import subprocess

import pytest

import dicom
import webclient
from conftest import needs
from culvert import free_port, until

PACKAGING = pathlib.Path(__file__).resolve().parents[2] / 'packaging'
# Only there when a line has been measured, or a limit is set.
SOMETIMES = {'culvert_destination_round_trip_seconds',
             'culvert_destination_retransmitted_segments_total',
             'culvert_destination_path_mtu_bytes',
             'culvert_limit_bytes_per_second',
             'culvert_acknowledgement_seconds_bucket'}


def families(text):
    """{metric: {labels: value}} of the samples."""
    out = {}
    for line in text.splitlines():
        m = re.fullmatch(r'([a-z_]+)(?:\{(.*)\})? (\S+)', line)
        if line.startswith('#'):
            continue
        assert m, line
        out.setdefault(m[1], {})[m[2] or ''] = float(m[3])
    return out


@pytest.fixture
def edge(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    e = daemons(edge_config(scp.port, **{'rate': {'limit': '100Mbit'}}))
    sent = [('1.2.3.%d' % i, dicom.data_set('1.2.3.%d' % i, size=50000))
            for i in range(3)]
    assert dicom.send(e.port(), sent) == [0] * 3
    e.wait_deliveries('delivered', 3)
    return e


@needs('promtool')
def test_promtool_accepts_them(edge):
    text = edge.cli('metrics', check=True).stdout
    p = subprocess.run(['promtool', 'check', 'metrics'], input=text,
                       capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr + text
    assert not p.stderr.strip(), p.stderr
    m = families(text)
    assert m['culvert_up'] == {'': 1}
    assert m['culvert_spool_instances_total'] == {'': 3}
    until('delivered', lambda: families(edge.cli('metrics').stdout)[
        'culvert_destination_delivered_instances_total'] ==
        {'destination="archive"': 3})
    assert m['culvert_certificate_expiry_seconds'][
        'used_by="destination archive"'] > 1.7e9
    opened = edge.cli('metrics', '--openmetrics', check=True).stdout
    assert opened.endswith('\n# EOF\n')
    assert set(families(opened)) == set(m)
    # nothing of a patient, no UID
    assert 'Findme' not in text and '1.2.3' not in text


@needs('promtool')
def test_rules_and_dashboard_use_what_there_is(edge):
    have = set(families(edge.cli('metrics', check=True).stdout))
    have |= SOMETIMES
    rules = PACKAGING / 'prometheus' / 'culvert.rules.yml'
    for args in (['check', 'rules', str(rules)],
                 ['test', 'rules', 'culvert.rules.test.yml']):
        p = subprocess.run(['promtool', *args], capture_output=True, text=True,
                           cwd=rules.parent)
        assert p.returncode == 0, p.stdout + p.stderr
    dashboard = json.loads((PACKAGING / 'grafana' / 'culvert.json').read_text())
    used = set()
    for panel in dashboard['panels']:
        for target in panel['targets']:
            used |= set(re.findall(r'\bculvert_[a-z_]+', target['expr']))
    used |= set(re.findall(r'\bculvert_[a-z_]+', ' '.join(
        re.findall(r'expr: (.*(?:\n {10,}.*)*)', rules.read_text()))))
    assert len(used) > 20
    assert used <= have, used - have


def test_the_page_serves_both_formats(daemons, tmp_path):
    d = daemons(webclient.config(tmp_path))
    v = webclient.Viewer(webclient.await_page(d))
    a = v.get('/metrics')
    assert a.status == 200 and 'version=0.0.4' in a['Content-Type']
    assert families(a.text)['culvert_up'] == {'': 1}
    a = v.get('/metrics', Accept='application/openmetrics-text; version=1.0.0')
    assert 'openmetrics' in a['Content-Type'] and a.text.endswith('# EOF\n')


def test_a_daemon_that_is_away_is_down(daemons, edge_config):
    e = daemons(edge_config(free_port()), start=False)
    p = e.cli('metrics')
    assert p.returncode == 1 and 'culvert_up 0\n' in p.stdout
    assert 'no daemon answers' in p.stderr
