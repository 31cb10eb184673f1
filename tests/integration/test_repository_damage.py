"""What stands between the audit and its repositories is damaged."""
import shutil
import sqlite3

import pytest

import repository
from culvert import until
from repository import caught_up, make_rows, rows

pytestmark = pytest.mark.skipif(shutil.which('rsyslogd') is None,
                                reason='rsyslog is not installed')


@pytest.fixture
def log(tmp_path, pki):
    r = repository.Rsyslog(tmp_path, pki).start()
    yield r
    r.stop()


@pytest.fixture
def edge(edge_config, daemons, log, pki):
    """It has sent some rows, and is stopped."""
    c = daemons(dict(edge_config(1), repositories=repository.config(
        pki, log.port, replay={'rows': 0, 'time': '0s'})))
    make_rows(c, 8)
    caught_up(c)
    c.stop()
    return c


def new_ones_come(edge, log):
    make_rows(edge, 4)
    caught_up(edge)
    wanted = max(rows(edge))
    until('the newest row is there', lambda: wanted in log.seqs())


def test_a_damaged_cursor_repeats_and_loses_nothing(edge, log):
    for path in (edge.root / 'records').glob('repositories.db*'):
        path.write_bytes(b'rubbish' * 2000)
    before = len(log.messages())
    edge.start()
    line = edge.wait_log('repositories-damaged code=CV9104')
    assert 'moved-to=' in line
    new_ones_come(edge, log)
    until('the begin came again', lambda: sum(
        m.seq == 1 for m in log.messages()) == 2)
    assert len(log.messages()) > 2 * before - 4


def test_a_cursor_that_cannot_be_written_is_named(edge, log):
    edge.start()
    c = sqlite3.connect(edge.root / 'records' / 'repositories.db',
                        isolation_level=None)
    c.execute('BEGIN IMMEDIATE')
    try:
        make_rows(edge, 4)
        line = edge.wait_log('repository-cursor-unsaved code=CV9103')
        assert 'look after the disk' in line or 'check the disk' in line
    finally:
        c.close()
    new_ones_come(edge, log)


def test_a_damaged_month_is_named_and_the_others_go_out(edge, log):
    (edge.root / 'records' / 'audit-2020-01.db').write_bytes(b'rubbish' * 2000)
    edge.start()
    line = edge.wait_log('repository-rows-unreadable code=CV9102')
    assert 'culvert audit verify' in line
    (edge.root / 'records' / 'audit-2020-01.db').unlink()
    new_ones_come(edge, log)


def test_an_audit_that_begins_anew_is_sent_from_its_begin(edge, log):
    for path in (edge.root / 'records').glob('audit-*'):
        path.unlink()
    edge.start()
    line = edge.wait_log('repository-audit-anew code=CV9105')
    assert 'from its begin' in line
    new_ones_come(edge, log)
    assert sum(m.seq == 1 for m in log.messages()) == 2
