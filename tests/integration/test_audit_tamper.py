"""Whatever is done to the audit's files, verify names it, or a head from
outside does."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

import auditchain as ac
from culvert import run

MAKER = pathlib.Path(os.environ.get('CULVERT_BUILD', 'build/asan'),
                     'unit/test_audit_chain').absolute()
MAY, JUNE = 'audit-2024-05.db', 'audit-2024-06.db'
PRUNED = 'audit-pruned.db'


@pytest.fixture(scope='module')
def sample(tmp_path_factory):
    """April pruned (1 to 10); May and June interleave from 11 on; sealed values
    at 21, 42 (erased), 63; the last head covers 75 of 78."""
    d = tmp_path_factory.mktemp('sample')
    subprocess.run([MAKER, '--sample', d], check=True, capture_output=True)
    return d


@pytest.fixture
def audit(sample, tmp_path):
    d = tmp_path / 'audit'
    shutil.copytree(sample, d)
    return d


def verify(d, *args, key=None):
    p = run('audit', 'verify', '--dir', d, '--key',
            key or d / 'signing.key.pub', '--json', '--all', *args)
    assert p.returncode in (0, 3), p.stderr
    report = json.loads(p.stdout)
    assert report['whole'] == (p.returncode == 0)
    return report


def edit(d, name, *statements, keep_triggers=True):
    """SQL in one file, by one who knows to take the triggers out of the way."""
    c = ac.open_db(d / name)
    triggers = ac.drop_triggers(c)
    for s in statements:
        c.execute(*s) if isinstance(s, tuple) else c.execute(s)
    if keep_triggers:
        for sql in triggers:
            c.execute(sql)
    c.commit()
    c.close()


def in_row(seq, what):
    name = JUNE if seq >= 22 and (seq - 11) % 21 > 10 else MAY
    return lambda d: edit(d, name, what + ' WHERE seq=%d' % seq)


def sql(name, *statements, **kw):
    return lambda d: edit(d, name, *statements, **kw)


def hashed_anew(d):
    in_row(13, "UPDATE audit SET user='x'")(d)
    row = next(r for _, r in ac.all_rows(d) if r['seq'] == 13)
    edit(d, MAY, ('UPDATE audit SET chain=? WHERE seq=13',
                  (ac.row_hash(row, row['prev_chain']),)))


def swap(d):
    """The contents of two rows change places."""
    c = ac.open_db(d / MAY)
    names = [r[1] for r in c.execute('PRAGMA table_info(audit)')
             if r[1] != 'seq']
    a, b = (c.execute('SELECT %s FROM audit WHERE seq=?' % ','.join(names),
                      (n,)).fetchone() for n in (13, 15))
    c.close()
    put = 'UPDATE audit SET ' + ','.join(n + '=?' for n in names)
    edit(d, MAY, (put + ' WHERE seq=13', tuple(b)),
         (put + ' WHERE seq=15', tuple(a)))


def renumber(d):
    edit(d, MAY, 'UPDATE audit SET seq=1000 WHERE seq=13',
         'UPDATE audit SET seq=13 WHERE seq=15',
         'UPDATE audit SET seq=15 WHERE seq=1000')


def twice(d):
    """A row of May also in June."""
    c = ac.open_db(d / MAY)
    row = tuple(c.execute('SELECT * FROM audit WHERE seq=13').fetchone())
    c.close()
    edit(d, JUNE, ('INSERT INTO audit VALUES(%s)' % ','.join('?' * len(row)),
                   row))


def put_in(d):
    """One more row at the end, with a good chain and no head."""
    rows = ac.all_rows(d)
    last = rows[-1][1]
    new = dict(last, seq=last['seq'] + 2, user='mallory')
    new['prev_chain'] = last['chain']
    new['chain'] = ac.row_hash(new, last['chain'])
    edit(d, rows[-1][0].name,
         ('INSERT INTO audit VALUES(%s)' % ','.join('?' * len(new)),
          tuple(new.values())))


def forged(seq, what):
    def do(d):
        in_row(seq, what)(d)
        ac.forge_forward(d, seq)
    return do


def forged_without(seq):
    """A row taken out, those behind it moved up, and the chain made anew."""
    def do(d):
        for name in (MAY, JUNE):
            edit(d, name, 'DELETE FROM audit WHERE seq=%d' % seq,
                 *['UPDATE audit SET seq=%d WHERE seq=%d' % (n - 1, n)
                   for n in range(seq + 1, 79)])
        edit(d, MAY, 'UPDATE sealed SET seq=seq-1 WHERE seq>%d' % seq,
             'UPDATE erased SET seq=seq-1, by=by-1 WHERE seq>%d' % seq)
        rows = ac.all_rows(d)
        prev = next(r['chain'] for _, r in rows if r['seq'] == seq - 1)
        edit(d, next(p for p, r in rows if r['seq'] == seq).name,
             ('UPDATE audit SET prev_chain=? WHERE seq=?', (prev, seq)))
        ac.forge_forward(d, seq)
    return do


def remove(*names):
    def do(d):
        for n in names:
            (d / n).unlink()
    return do


def other_key(d):
    """A head signed anew with a key of the attacker's, under the old id."""
    key = d / 'mine.pem'
    subprocess.run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey',
                    '-noout', '-out', key], check=True, capture_output=True)
    head = ac.heads(d)[-1]
    text = ac.head_file(head).rsplit(b'signature: ', 1)[0]
    for name in (MAY, JUNE):
        edit(d, name, ('UPDATE heads SET sig=? WHERE number=?',
                       (ac.openssl_sign(key, text), head['number'])))


def other_key_id(d):
    edit(d, JUNE, "UPDATE heads SET key_id=x'0011223344556677'")


def broken_page(d):
    b = bytearray((d / MAY).read_bytes())
    for at in range(4096, len(b), 4096):
        b[at:at + 512] = b'\xff' * 512
    (d / MAY).write_bytes(b)


def foreign_log(d):
    edit(d, JUNE, "UPDATE log SET id=zeroblob(16)")


# name: (edit, a fault that must be named, its row or None)
EDITS = {
    'user changed': (in_row(13, "UPDATE audit SET user='x'"),
                     'row-changed', 13),
    'reason changed': (in_row(13, "UPDATE audit SET detail='{\"a\":1}'"),
                       'row-changed', 13),
    'time changed': (in_row(13, 'UPDATE audit SET wall_ms=wall_ms-1'),
                     'row-changed', 13),
    'monotonic time changed': (in_row(13, 'UPDATE audit SET mono_ns=6'),
                               'row-changed', 13),
    'boot changed': (in_row(13, "UPDATE audit SET boot='other'"),
                     'row-changed', 13),
    'kind changed': (in_row(13, 'UPDATE audit SET kind=10'),
                     'row-changed', 13),
    'outcome changed': (in_row(13, 'UPDATE audit SET outcome=0'),
                        'row-changed', 13),
    'association changed': (in_row(13, 'UPDATE audit SET association=18'),
                            'row-changed', 13),
    'association zero': (in_row(13, 'UPDATE audit SET association=0'),
                         'row-malformed', 13),
    'text emptied': (in_row(13, "UPDATE audit SET calling_ae=''"),
                     'row-malformed', 13),
    'text as blob': (in_row(13, "UPDATE audit SET listener="
                                "CAST(listener AS BLOB)"),
                     'row-malformed', 13),
    'hidden behind a NUL': (
        in_row(13, "UPDATE audit SET calling_ae=calling_ae||char(0)||'x'"),
        'row-malformed', 13),
    'commitment changed': (in_row(21, "UPDATE audit SET "
                                      "commitment=zeroblob(32)"),
                           'row-changed', 21),
    'hash of the blob changed': (in_row(21, "UPDATE audit SET "
                                            "sealed_hash=zeroblob(32)"),
                                 'row-changed', 21),
    'sealed denied': (in_row(21, 'UPDATE audit SET commitment=NULL, '
                                 'sealed_hash=NULL'),
                      'row-changed', 21),
    'chain changed': (in_row(13, 'UPDATE audit SET chain=zeroblob(32)'),
                      'row-changed', 13),
    'chain taken out': (in_row(13, 'UPDATE audit SET chain=NULL, '
                                   'prev_chain=NULL'),
                        'chain-missing', 13),
    'row hashed anew': (hashed_anew, 'order', 14),
    'row deleted': (in_row(13, 'DELETE FROM audit'), 'rows-missing', 13),
    'rows deleted': (sql(MAY, 'DELETE FROM audit WHERE seq BETWEEN 13 AND 17'),
                     'rows-missing', 13),
    'rows swapped': (swap, 'row-changed', 13),
    'numbers swapped': (renumber, 'row-changed', 13),
    'row doubled': (twice, 'row-added', 13),
    'row put in': (put_in, 'rows-missing', 79),
    'end cut off': (sql(JUNE, 'DELETE FROM audit WHERE seq>70'),
                    'truncated', None),
    'end cut off with its heads': (
        sql(JUNE, 'DELETE FROM audit WHERE seq>70',
            'DELETE FROM heads WHERE seq>70'), 'truncated', None),
    'a month removed': (remove(MAY), 'rows-missing', None),
    'the newest month removed': (remove(JUNE), 'rows-missing', None),
    'both months removed but one row': (
        lambda d: (remove(JUNE)(d),
                   edit(d, MAY, 'DELETE FROM audit WHERE seq>11')),
        'truncated', None),
    'chain forged from a row on': (
        forged(13, "UPDATE audit SET user='x'"), 'head-differs', None),
    'row taken out and chain forged': (
        forged_without(13), 'head-differs', None),
    'head changed': (sql(JUNE, 'UPDATE heads SET wall_ms=wall_ms+1'),
                     'head-forged', None),
    'head moved to another row': (sql(JUNE, 'UPDATE heads SET seq=seq-1'),
                                  'head-forged', None),
    'head signed by another key': (other_key, 'head-forged', None),
    'head of another key': (other_key_id, 'head-key', None),
    'head taken out': (sql(MAY, 'DELETE FROM heads WHERE number=2'),
                       'head-missing', None),
    'newest head taken out': (
        sql(JUNE, 'DELETE FROM heads WHERE number='
                  '(SELECT max(number) FROM heads)'), None, None),
    'sealed value removed': (sql(MAY, 'DELETE FROM sealed WHERE seq=21'),
                             'sealed-missing', 21),
    'sealed value removed as if erased': (
        sql(MAY, 'DELETE FROM sealed WHERE seq=21',
            'INSERT INTO erased VALUES(21,75)'), 'sealed-missing', 21),
    'erasure denied': (sql(MAY, 'DELETE FROM erased'),
                       'sealed-missing', 42),
    'sealed value changed': (
        sql(MAY, "UPDATE sealed SET blob=x'00' WHERE seq=21"),
        'sealed-changed', 21),
    'sealed value put in': (sql(MAY, "INSERT INTO sealed VALUES(13,x'00')"),
                            'sealed-added', 13),
    'pruned run changed': (sql(PRUNED, 'UPDATE runs SET last=9, count=9'),
                           'run-forged', 1),
    'pruned run removed': (sql(PRUNED, 'DELETE FROM runs'),
                           'rows-missing', 1),
    'copy of the newest head removed': (remove(PRUNED),
                                        'head-missing', None),
    'file of another audit': (foreign_log, 'file-foreign', None),
    'file damaged': (broken_page, None, None),
    'triggers removed': (sql(MAY, keep_triggers=False),
                         'trigger-missing', None),
    'trigger disarmed': (
        sql(MAY, 'CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN '
                 'SELECT 1; END', keep_triggers=False),
        'trigger-missing', None),
}


def test_the_sample_is_whole(audit):
    report = verify(audit)
    assert report['whole']
    assert (report['rows'], report['last']) == (68, 78)
    assert (report['pruned'], report['erased']) == (10, 1)
    assert (report['head_last'], report['uncovered']) == (75, 3)


@pytest.mark.parametrize('name', EDITS)
def test_an_edit_is_named(audit, name):
    change, fault, seq = EDITS[name]
    change(audit)
    if name == 'newest head taken out':
        # the copy beside the months still covers the rows: nothing is lost
        assert verify(audit)['head_last'] == 75
        return
    report = verify(audit)
    assert not report['whole']
    named = {(f['fault'], f['seq']) for f in report['faults']}
    if fault is not None:
        assert fault in {f for f, _ in named}, named
    if seq is not None:
        assert (fault, seq) in named
        assert report['first']['seq'] in (seq, seq + 1), named


def test_what_needs_a_head_from_outside_is_found_with_one(audit, tmp_path):
    newest = ac.heads(audit)[-1]
    head = tmp_path / 'head'
    head.write_bytes(ac.head_file(newest))
    assert verify(audit, '--head', head)['whole']
    # all of it as it was before: nothing inside can tell
    edit(audit, JUNE, 'DELETE FROM audit WHERE seq>74',
         'DELETE FROM heads WHERE seq>74')
    edit(audit, MAY, 'DELETE FROM erased',
         "INSERT INTO sealed VALUES(42,x'00')")
    old = ac.heads(audit)[-1]
    edit(audit, PRUNED, ('UPDATE last SET number=?, seq=?, chain=?, wall_ms=?,'
                         ' sig=?', tuple(old[k] for k in (
                             'number', 'seq', 'chain', 'wall_ms', 'sig'))))
    report = verify(audit, '--head', head)
    assert 'truncated' in {f['fault'] for f in report['faults']}


def test_rows_after_the_last_head_need_one_from_outside(audit):
    """The documented hole: a minute's worth, until the next head."""
    edit(audit, JUNE, 'DELETE FROM audit WHERE seq>75')
    assert verify(audit)['whole']


def test_one_with_the_signing_key_needs_a_head_from_outside(audit, tmp_path):
    """Everything forged and signed anew: only what left the machine tells."""
    head = tmp_path / 'head'
    head.write_bytes(ac.head_file(ac.heads(audit)[-1]))
    forged(13, "UPDATE audit SET user='x'")(audit)
    rows = {r['seq']: r['chain'] for _, r in ac.all_rows(audit)}
    for h in ac.heads(audit):
        if h['seq'] not in rows:
            continue
        h['chain'] = rows[h['seq']]
        text = ac.head_file(h).rsplit(b'signature: ', 1)[0]
        sig = ac.openssl_sign(audit / 'signing.key', text)
        for name in (MAY, JUNE):
            edit(audit, name, ('UPDATE heads SET chain=?, sig=? WHERE '
                               'number=?', (h['chain'], sig, h['number'])))
        edit(audit, PRUNED, ('UPDATE last SET chain=?, sig=? WHERE number=?',
                             (h['chain'], sig, h['number'])))
    assert verify(audit)['whole']
    report = verify(audit, '--head', head)
    assert 'head-differs' in {f['fault'] for f in report['faults']}


def test_the_chain_can_be_computed_by_others(audit, tmp_path):
    c = ac.open_db(audit / PRUNED)
    run_ = c.execute('SELECT * FROM runs').fetchone()
    c.close()
    prev, seq = run_['chain'], run_['last']
    assert run_['prev'] == ac.genesis(run_['log'], 1)
    chains = {}
    for _, row in ac.all_rows(audit):
        assert (row['seq'], row['prev_chain']) == (seq + 1, prev)
        prev, seq = ac.row_hash(row, prev), row['seq']
        assert row['chain'] == prev
        chains[seq] = prev
    heads = ac.heads(audit)
    assert len(heads) == 7
    for h in heads:
        assert chains[h['seq']] == h['chain']
        text = ac.head_file(h).rsplit(b'signature: ', 1)[0]
        assert ac.openssl_verify(audit / 'signing.key.pub', text, h['sig'],
                                 tmp_path)


def test_another_key_is_not_believed(audit):
    key = audit / 'mine.pem'
    subprocess.run(['openssl', 'ecparam', '-name', 'prime256v1', '-genkey',
                    '-noout', '-out', key], check=True, capture_output=True)
    pub = audit / 'mine.pub'
    subprocess.run(['openssl', 'ec', '-in', key, '-pubout', '-out', pub],
                   check=True, capture_output=True)
    faults = {f['fault'] for f in verify(audit, key=pub)['faults']}
    assert 'head-key' in faults


def test_it_is_checked_where_nothing_can_be_written(audit):
    for f in audit.iterdir():
        f.chmod(0o444)
    audit.chmod(0o555)
    try:
        assert verify(audit)['whole']
    finally:
        audit.chmod(0o755)


def test_a_file_in_use_by_others_is_read_all_the_same(audit):
    c = sqlite3.connect(audit / JUNE)
    c.execute('BEGIN IMMEDIATE')
    assert verify(audit)['whole']
    c.close()
