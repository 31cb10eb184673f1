"""kill -9 at random moments: every acknowledged instance arrives as sent.

Rounds: 20 for every change, more with CULVERT_KILLS=2000 (make kills N=2000).
The edge, the archive and the connections are killed and cut while instances
flow; CULVERT_PACE is the pause of each modality between two of them, CULVERT_GAP the
longest time between two kills.
"""
import hashlib
import os
import random
import threading
import time

import dicom
from culvert import until
from dicom import CT, EVLE

ROUNDS = int(os.environ.get('CULVERT_KILLS', '20'))
GAP = float(os.environ.get('CULVERT_GAP', '0.8'))
PACE = float(os.environ.get('CULVERT_PACE', '0'))
SEED = int(os.environ.get('CULVERT_SEED', '0')) or random.randrange(1 << 30)


class Modality(threading.Thread):
    """Sends without end over and over; acked: {iuid: sha256} of what was
    acknowledged."""

    def __init__(self, number, port, rng):
        super().__init__(daemon=True)
        self.number, self.port, self.rng = number, port, rng
        self.acked, self.n = {}, 0
        self.ended = threading.Event()
        self.busy = threading.Lock()

    def run(self):
        while not self.ended.is_set():
            try:
                self.association()
            except (OSError, dicom.Gone, dicom.Rejected, dicom.Aborted,
                    AssertionError, KeyError):
                time.sleep(0.02)

    def association(self):
        a = dicom.Association(self.port, [(1, CT, [EVLE])], timeout=20)
        for _ in range(self.rng.randrange(1, 30)):
            if self.ended.is_set():
                break
            self.n += 1
            iuid = '1.2.3.%d.%d' % (self.number, self.n)
            size = self.rng.choice((0, 500, 20000, 300000, 1500000))
            data = dicom.data_set(iuid, size=size)
            if a.store(1, iuid, data) == 0:
                self.acked[iuid] = hashlib.sha256(data).hexdigest()
            time.sleep(PACE)
        a.release()


def test_nothing_acknowledged_is_lost(daemons, scps, tls, edge_config):
    print('seed', SEED)
    rng = random.Random(SEED)
    scp = scps(tls=tls.server())
    port = scp.port
    archives = [scp]
    edge = daemons(edge_config(
        port, spool={'path': 'spool', 'quota': '2GiB', 'segment': '8MiB'}))
    modalities = [Modality(i, edge.port(), random.Random(SEED + i))
                  for i in range(3)]
    for m in modalities:
        m.start()
    kills = 0
    try:
        for n in range(ROUNDS):
            time.sleep(rng.uniform(0.02, GAP))
            if n % 100 == 99:
                print('%d rounds' % (n + 1), flush=True)
            what = rng.randrange(10)
            if what < 6:
                edge.kill()
                kills += 1
                edge.start()
            elif what < 8:
                scp.stop()
                kills += 1
                time.sleep(rng.uniform(0, 0.3))
                scp = scps(tls=tls.server(), port=port)
                archives.append(scp)
            else:
                scp.cut()
                kills += 1
    finally:
        for m in modalities:
            m.ended.set()
        for m in modalities:
            m.join(30)
    acked = {}
    for m in modalities:
        acked.update(m.acked)
    assert len(acked) > ROUNDS  # the load was real

    def missing():
        have = {}
        for archive in archives:
            for iuid, _, digest, _ in list(archive.stored):
                have.setdefault(iuid, set()).add(digest)
        return [u for u, d in acked.items() if have.get(u) != {d}]
    try:
        until('all delivered', lambda: not missing(), 60 + ROUNDS)
    finally:
        print('%d kills and cuts, %d acknowledged, %d missing' % (
            kills, len(acked), len(missing())))
    assert edge.deliveries().get('quarantined', 0) == 0
