"""kill -9 under load: the audit accounts for every acknowledged instance.

Its rows count instances by association and study, and are made when those are
through; what a daemon that was killed had counted is written by the next one.
"""
import collections
import json
import random
import threading
import time

import auditchain
import dicom
from culvert import until
from dicom import CT, EVLE

KILLS = 3


class Modality(threading.Thread):
    """Long associations, one after the other, of two or three studies each;
    acked: {iuid: study} of what was acknowledged."""

    def __init__(self, number, port):
        super().__init__(daemon=True)
        self.number, self.port = number, port
        self.acked, self.n, self.associations = {}, 0, 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                self.association()
            except (OSError, dicom.Gone, dicom.Rejected, dicom.Aborted,
                    AssertionError):
                time.sleep(0.02)

    def association(self):
        self.associations += 1
        a = dicom.Association(self.port, [(1, CT, [EVLE])], timeout=20)
        for i in range(300):
            if self.ended.is_set():
                break
            self.n += 1
            iuid = '1.2.3.%d.%d' % (self.number, self.n)
            study = '1.2.4.%d.%d.%d' % (self.number, self.associations, i % 3)
            data = dicom.data_set(iuid, size=2000, study=study,
                                  series='%s.%d' % (study, i % 2))
            if a.store(1, iuid, data) == 0:
                self.acked[iuid] = study
            time.sleep(0.002)
        a.release()


def rows(daemon, event):
    out = []
    for path in auditchain.months(daemon.root / 'records'):
        db = auditchain.open_db(path)
        out += [dict(r, detail=json.loads(r['detail'])) for r in db.execute(
            'SELECT * FROM v_audit WHERE event=? ORDER BY seq', (event,))]
        db.close()
    return out


def short(daemon, event, columns, query, wanted):
    """What is not covered: {key: (instances, in rows of the audit)}."""
    have, there = collections.Counter(), collections.Counter()
    for r in rows(daemon, event):
        have[tuple(r[c] for c in columns)] += r['detail']['instances']
    for iuid, *key in daemon.sql(query):
        there[tuple(key)] += iuid in wanted
    return {k: (n, have[k]) for k, n in there.items() if n > have[k]}


RECEIVED = ('SELECT DISTINCT sop_instance, association, study '
            'FROM v_deliveries')
SENT = ("SELECT sop_instance, destination, study FROM v_deliveries "
        "WHERE state='delivered'")


def test_what_a_killed_daemon_had_counted_is_on_record(
        daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    modalities = [Modality(i, edge.port()) for i in range(2)]
    for m in modalities:
        m.start()
    try:
        for _ in range(KILLS):
            time.sleep(random.uniform(0.6, 1.6))
            edge.kill()
            edge.start()
    finally:
        for m in modalities:
            m.ended.set()
        for m in modalities:
            m.join(30)
    acked = {u: s for m in modalities for u, s in m.acked.items()}
    assert len(acked) > 100, len(acked)
    until('all delivered', lambda: edge.sql(
        "SELECT count(*) FROM v_deliveries WHERE state<>'delivered'"
    ) == [(0,)])
    edge.stop()
    known = {u for u, in edge.sql('SELECT sop_instance FROM v_deliveries')}
    assert set(acked) <= known
    received, sent = ('instances-received', 'instances-transferred')
    assert not short(edge, received, ('association', 'study'), RECEIVED, acked)
    assert not short(edge, sent, ('destination', 'study'), SENT, known)
    found = [r for e in (received, sent) for r in rows(edge, e)
             if r['detail'].get('recovered')]
    print('%d acknowledged, %d rows recovered, of %d instances' % (
        len(acked), len(found), sum(r['detail']['instances'] for r in found)))
    for r in found:
        d = r['detail']
        assert d['recovered'] is True and d['bytes'] > 0, r
        assert d['first'] <= d['last'] <= r['time'], r
        assert r['device'], r
    assert {r['event'] for r in found} == {received, sent}
    # and no more than was there, but for what was written twice: marked
    n = collections.Counter()
    for r in rows(edge, received):
        if not r['detail'].get('recovered'):
            n[r['association'], r['study']] += r['detail']['instances']
    there = collections.Counter(
        tuple(k) for _, *k in edge.sql(RECEIVED))
    assert all(n[k] <= there[k] for k in n)
    assert len(rows(edge, 'audit-gap')) >= KILLS
    assert edge.cli('audit', 'verify').returncode == 0
    assert edge.sql('SELECT count(*) FROM owed WHERE run<'
                    '(SELECT max(run) FROM owed)') == [(0,)]


def test_an_end_that_is_a_stop_leaves_nothing_to_recover(
        daemons, scps, tls, edge_config):
    scp = scps(tls=tls.server())
    edge = daemons(edge_config(scp.port))
    images = [('1.2.3.9.%d' % i, dicom.data_set('1.2.3.9.%d' % i, size=500))
              for i in range(20)]
    assert dicom.send(edge.port(), images) == [0] * 20
    edge.wait_deliveries('delivered', 20)
    edge.stop()
    edge.start()
    assert dicom.send(edge.port(), images[:1]) == [0]
    edge.wait_deliveries('delivered', 21)
    until('only what is of this run is owed', lambda: edge.sql(
        'SELECT count(DISTINCT run) FROM owed')[0][0] <= 1)
    edge.kill()
    edge.start()
    until('it is on record', lambda: rows(edge, 'instances-transferred')[-1]
          ['detail'].get('recovered'))
    edge.stop()
    found = [r for e in ('instances-received', 'instances-transferred')
             for r in rows(edge, e) if r['detail'].get('recovered')]
    assert sum(r['detail']['instances'] for r in found) in (1, 2), found
