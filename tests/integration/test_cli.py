"""The commands a person types: they explain themselves."""
import os
import re

import pytest

import culvert
import dicom
from culvert import run, until

COMMANDS = re.findall(r'^  ([a-z]+) +[a-z]', run('help').stdout, re.M)


@pytest.mark.parametrize('command', COMMANDS)
def test_every_command_helps_with_examples(command):
    p = run(command, '--help', check=True)
    assert 'culvert ' + command in p.stdout
    assert 'example' in p.stdout.lower()


@pytest.mark.parametrize('command', COMMANDS)
def test_misuse_is_status_2_with_usage(command):
    p = run(command, '--no-such-option')
    assert p.returncode == 2
    assert 'usage' in p.stderr or '--help' in p.stderr


@pytest.mark.parametrize('args', [
    ('queue', 'discard', '--destination', 'archive', '--study', '1.2', '--yes'),
    ('queue', 'hold', '--destination', 'archive', '--state', 'held'),
    ('queue', 'retry', '--device', 'scanner'),
    ('queue', 'list', 'surplus'), ('queue', 'list', '--limit', '5x'),
    ('association', 'list', '--limit'), ('association', 'list', '--no', '3'),
    ('association', 'show', 'abc'), ('refused', '--limit', '5x'),
])
def test_an_option_that_would_be_ignored_is_misuse(daemons, edge_config, args):
    """Or discard would delete more than was meant."""
    p = daemons(edge_config(1), start=False).cli(*args)
    assert p.returncode == 2, p.stdout + p.stderr


def test_unknown_command():
    p = run('sevre')
    assert p.returncode == 2 and 'unknown command' in p.stderr


def test_config_errors_have_a_place_a_cause_and_an_example(tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text('node: edge\nlisteners:\n  in: {adress: "127.0.0.1:104",'
                    ' protocol: dicom, ae_titles: [A]}\n')
    p = run('check', '-c', path)
    assert p.returncode == 1
    assert '%s:3:' % path in p.stderr
    assert "address" in p.stderr and 'example' in p.stderr


def test_missing_config_names_the_file(tmp_path):
    p = run('check', '-c', tmp_path / 'none.yaml')
    assert p.returncode == 1 and 'none.yaml' in p.stderr


def test_check_says_ok_or_cause_and_remedy(daemons, pki, edge_config):
    edge = daemons(edge_config(1), start=False)
    p = edge.cli('check')
    assert p.returncode == 0, p.stdout + p.stderr
    assert 'wolfSSL' in p.stdout
    for line in p.stdout.splitlines():
        assert line.startswith(('ok ', 'warn ', '0 failed')), line
    edge.config['destinations']['archive']['tls']['key'] = \
        str(pki / 'archive.key')
    edge.write()
    p = edge.cli('check')
    assert p.returncode == 1 and 'FAIL' in p.stdout and 'key' in p.stdout


def test_check_looks_at_what_the_page_needs(daemons, pki, edge_config,
                                            tmp_path):
    users = tmp_path / 'users'
    edge = daemons(edge_config(1, status={
        'address': '127.0.0.1:1', 'users': str(users),
        'tls': {'certificate': str(pki / 'archive.pem'),
                'key': str(pki / 'edge.key')}}), start=False)
    p = edge.cli('check')
    assert p.returncode == 1
    assert re.search('^FAIL +status: .*key', p.stdout, re.M)
    assert f'cannot read {users}' in p.stdout
    edge.config['status']['tls']['key'] = str(pki / 'archive.key')
    edge.write()
    users.write_text('')
    assert edge.cli('check').returncode == 0


def test_check_connect_and_echo(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port), start=False)
    p = edge.cli('check', '--connect')
    assert p.returncode == 0, p.stdout + p.stderr
    p = edge.cli('echo', 'archive')
    assert p.returncode == 0 and 'TLSv1.3' in p.stdout, p.stdout
    scp.stop()
    p = edge.cli('echo', 'archive')
    assert p.returncode == 1 and 'FAILED' in p.stdout
    p = edge.cli('echo', 'nowhere')
    assert p.returncode == 1 and 'archive' in p.stderr


def test_hash_counts_the_data_set_only(tmp_path):
    data = dicom.data_set('1.2.3', size=3000000)
    head = bytes(128) + b'DICM'
    for i, ae in enumerate((b'A   ', b'OTHER   ')):
        meta = b'\x02\0\x10\0UI\x14\0' + b'1.2.840.10008.1.2.1\0' + \
            b'\x02\0\x16\0AE' + len(ae).to_bytes(2, 'little') + ae
        (tmp_path / ('%d.dcm' % i)).write_bytes(head + meta + data)
    out = run('hash', tmp_path / '0.dcm', tmp_path / '1.dcm',
              check=True).stdout.split()
    assert out[0] == out[2] and len(out[0]) == 64
    import hashlib
    leaves = b''.join(hashlib.sha256(b'\0' + data[i:i + (1 << 20)]).digest()
                      for i in range(0, len(data), 1 << 20))
    assert out[0] == hashlib.sha256(
        b'\1' + len(data).to_bytes(8, 'big') + leaves).hexdigest()
    p = run('hash', tmp_path / 'none.dcm')
    assert p.returncode == 1 and 'none.dcm' in p.stderr


def test_status_without_a_daemon_says_what_to_do(daemons, edge_config):
    edge = daemons(edge_config(1), start=False)
    p = edge.cli('status')
    assert p.returncode == 3 and 'culvert serve' in p.stderr


def test_status_of_a_running_daemon(daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    assert dicom.send(edge.port(), [('1.2.3', dicom.data_set('1.2.3'))]) == [0]
    edge.wait_deliveries('delivered', 1)
    out = until('well', lambda: (lambda p: p.stdout if p.returncode == 0
                                 else None)(edge.cli('status')))
    assert 'all is well' in out and 'archive' in out and 'scanner' in out
    scp.stop()
    assert culvert.run('status', '-c', edge.path).returncode in (0, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root')
def test_root_makes_no_files_among_those_of_the_daemons_user(daemons,
                                                             edge_config):
    edge = daemons(edge_config(1), start=False)
    records = edge.root / 'records'
    records.mkdir(exist_ok=True)
    os.chown(records, 65534, 65534)
    p = edge.cli('serve', timeout=10)
    assert p.returncode == 1
    assert 'belongs to nobody' in p.stderr and 'runuser' in p.stderr
    # what root can read says nothing about what that user can
    p = edge.cli('check')
    assert p.returncode == 1 and 'looked at as nobody' in p.stdout
    assert f'{edge.path} cannot be read by nobody' in p.stdout
    assert list(records.iterdir()) == []
