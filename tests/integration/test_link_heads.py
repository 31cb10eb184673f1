"""Signed heads of an edge's audit are kept by the cloud at the other end of its
link, and tell what the edge's own files cannot."""
import json
import sqlite3

import auditchain as ac
import linked
from culvert import run, until
import dicom


def heads_at(cloud, device='edge-1'):
    p = run('audit', 'head', '-c', cloud.path, '--of', device)
    return p.stdout if p.returncode == 0 else ''


def verify(edge, *args):
    p = run('audit', 'verify', '--json', '-c', edge.path, *args)
    assert p.returncode in (0, 3), p.stderr
    return json.loads(p.stdout)


def edit(path, *statements):
    c = sqlite3.connect(path, timeout=10)
    triggers = ac.drop_triggers(c)
    for s, values in statements:
        c.execute(s, values)
    for sql in triggers:
        c.execute(sql)
    c.commit()
    c.close()


def cut_off(records, head):
    """What is behind a head goes, with all that knows of it."""
    for path in ac.months(records):
        edit(path, ('DELETE FROM audit WHERE seq>?', (head['seq'],)),
             ('DELETE FROM heads WHERE seq>?', (head['seq'],)))
    names = ('number', 'seq', 'chain', 'wall_ms', 'sig')
    edit(records / 'audit-pruned.db', (
        'UPDATE last SET number=?, seq=?, chain=?, wall_ms=?, sig=?',
        tuple(head[k] for k in names)))


def test_a_head_at_the_cloud_tells_what_was_cut_off_at_the_edge(links,
                                                                tmp_path):
    s = links()
    records = s.edge.root / 'records'
    first, _ = linked.several(2)
    assert dicom.send(s.edge.port(), first) == [0, 0]
    until('a head at the cloud', lambda: heads_at(s.cloud))
    linked.wait_only(s.edge, 'delivered', 2)
    s.edge.stop()
    stopped = ac.heads(records)[-1]
    s.edge.start()
    more, _ = linked.several(2, prefix='1.2.3.890')
    assert dicom.send(s.edge.port(), more) == [0, 0]
    signed = ac.head_file(stopped).decode()
    until('the head of the stop or a later one', lambda: any(
        int(line.split()[1]) >= stopped['number']
        for line in heads_at(s.cloud).splitlines()
        if line.startswith('number: ')))
    linked.wait_only(s.edge, 'delivered', 4)
    s.edge.stop()
    kept = tmp_path / 'edge-1.heads'
    kept.write_text(heads_at(s.cloud))
    assert kept.read_text().count('signature: ') >= 2
    assert signed.splitlines()[2] in kept.read_text()  # the log
    assert verify(s.edge, '--head', kept)['whole']

    cut_off(records, ac.heads(records)[0])
    assert verify(s.edge)['whole']
    report = verify(s.edge, '--head', kept)
    assert {f['fault'] for f in report['faults']} == {'truncated'}
    # what was cut off is not hidden by what is written afterwards
    s.edge.start()
    s.edge.stop()
    assert verify(s.edge)['whole']
    assert not verify(s.edge, '--head', kept)['whole']


def test_a_device_that_has_sent_none(links):
    s = links()
    p = run('audit', 'head', '-c', s.cloud.path, '--of', 'edge-9')
    assert p.returncode == 1 and 'edge-9' in p.stderr
