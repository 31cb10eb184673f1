"""kill -9 at random moments: no device is told of more than is committed, and
every request is answered.

Seconds: CULVERT_COMMITMENT_SECONDS; 20 for every change. Culvert is killed,
its ledger taken away, archive and device go and come; the archive loses one
report in three and repeats another."""
import io
import os
import random
import threading
import time

import dicom
from culvert import free_port, until
from dicom import CT, EVLE
from test_commitment import COMMITMENT, INSTANCE, Device, names

SECONDS = float(os.environ.get('CULVERT_COMMITMENT_SECONDS', '20'))
SEED = int(os.environ.get('CULVERT_SEED', '0')) or random.randrange(1 << 30)
UID = '1.2.826.0.1.3680043.10.1599.82.%d'
TRANSACTION = '1.2.826.0.1.3680043.10.1599.83.%d'
GONE = (OSError, dicom.Gone, dicom.Rejected, dicom.Aborted, AssertionError,
        KeyError, IndexError)


class Archive(dicom.Scp):
    """Takes all but every seventh instance; commits to what it has."""

    def __init__(self, port, back, rng, have):
        self.back, self.rng = back, rng
        self.have = have  # outlives this process of the archive
        super().__init__(port, keep=True)
        self.status = lambda iuid: \
            0xc000 if int(iuid.rsplit('.', 1)[1]) % 7 == 0 else 0

    def _stored(self, k, context, pcid, rq, data):
        if dicom.number(rq[0x100]) != 0x130:
            super()._stored(k, context, pcid, rq, data)
            self.have.update(self.uids())
            return
        k.respond(pcid, rq, 0)
        threading.Thread(target=self.report, args=(bytes(data[2]),),
                         daemon=True).start()

    def report(self, data):
        from pydicom.filereader import read_dataset
        d = read_dataset(io.BytesIO(data), True, True)
        refs = [i.ReferencedSOPInstanceUID
                for i in d.get('ReferencedSOPSequence', [])]
        time.sleep(self.rng.uniform(0, 0.5))
        times = self.rng.choice((0, 1, 1, 1, 2, 2))
        safe = [u for u in refs if u in self.have]
        failed = [u for u in refs if u not in self.have]
        items = [(8, 0x1195, 'UI', d.TransactionUID)]
        if failed:
            items.append((8, 0x1198, 'SQ', [
                [(8, 0x1150, 'UI', CT), (8, 0x1155, 'UI', u),
                 (8, 0x1197, 'US', dicom.u16(0x112))]
                for u in failed]))
        if safe:
            items.append((8, 0x1199, 'SQ', [
                [(8, 0x1150, 'UI', CT), (8, 0x1155, 'UI', u)] for u in safe]))
        for _ in range(times):
            try:
                a = dicom.Association(
                    self.back, [(1, COMMITMENT, [EVLE])], calling='PACS',
                    called='CT', extra=dicom.role(COMMITMENT, 0, 1))
                a.request(1, 0x100, dicom.encode(items),
                          c1000=INSTANCE.encode(),
                          c1002=dicom.u16(2 if failed else 1))
                a.response()
                a.release()
            except GONE:
                pass
            time.sleep(self.rng.uniform(0, 0.2))


class Modality(threading.Thread):
    """Stores, and asks; asked: {transaction: set of UIDs} of what was taken. Some
    requests are made twice, and all again until they are answered."""

    def __init__(self, port, rng):
        super().__init__(daemon=True)
        self.port, self.rng = port, rng
        self.asked, self.stored = {}, set()
        self.n = self.t = 0
        self.ended = threading.Event()

    def until_taken(self, work):
        while not self.ended.is_set():
            try:
                return work()
            except GONE:
                time.sleep(0.05)

    def store(self, uids):
        a = dicom.Association(self.port, [(1, CT, [EVLE])], calling='CT',
                              called='PACS')
        for uid in uids:
            assert a.store(1, uid, dicom.data_set(
                uid, size=self.rng.choice((500, 20000, 300000)))) == 0
            self.stored.add(uid)
        a.release()

    def ask(self, transaction, uids):
        a = dicom.Association(self.port, [(1, COMMITMENT, [EVLE])],
                              calling='CT', called='PACS')
        a.request(1, 0x130, names(transaction, [(CT, u) for u in uids]),
                  c1001=INSTANCE.encode(), c1008=dicom.u16(1))
        assert dicom.number(a.response()[0x900]) == 0
        self.asked[transaction] = set(uids)
        a.release()

    def run(self):
        while not self.ended.is_set():
            self.t += 1
            uids = []
            for _ in range(self.rng.randrange(1, 12)):
                self.n += 1
                uids.append(UID % self.n)
            kept = [u for u in uids if self.rng.randrange(20)]
            self.until_taken(lambda: self.store(kept))
            for _ in range(self.rng.choice((1, 1, 2))):
                self.until_taken(lambda: self.ask(TRANSACTION % self.t, uids))
            time.sleep(self.rng.uniform(0, 0.3))


def config(archive, device):
    return {
        'listeners': {'in': {'ae_titles': ['PACS']},
                      'back': {'ae_titles': ['CT']}},
        'devices': {
            'ct': {'ae_title': 'CT', 'address': '127.0.0.1', 'port': device,
                   'listeners': ['in'], 'services': ['storage', 'commitment']},
            'back': {'ae_title': 'PACS', 'address': '127.0.0.1',
                     'listeners': ['back'], 'services': ['commitment']}},
        'destinations': {'archive': {
            'protocol': 'dicom', 'endpoints': ['127.0.0.1:%d' % archive],
            'plaintext': {'allowed': 'test'}, 'quarantine_after': 2,
            'retry': {'first': '100ms', 'max': '1s', 'probe': '1s'},
            'health': {'interval': 0},
            'breaker': {'failures': 3, 'pause': '1s'}}},
        'routes': [{'service': 'storage', 'device': ['ct'],
                    'forward': ['archive']},
                   {'service': 'commitment', 'device': ['ct'],
                    'hold': 'archive'}],
        'commitment': {'unknown': '1s', 'deadline': '40s'}}


def wrong(report, asked, have):
    """What is not true of a report."""
    if report.safe & set(report.failed) or \
            report.safe | set(report.failed) != asked:
        return 'not what was asked'
    if (report.type == 1) != (not report.failed):
        return 'the wrong type'
    return report.safe - have


def test_no_device_is_told_what_is_not_so(daemons):
    print('seed', SEED)
    rng = random.Random(SEED)
    have = set()
    archive_port, device_port = free_port(), free_port()
    edge = daemons(config(archive_port, device_port))
    archive = Archive(archive_port, edge.port('back'), rng, have)
    device = Device(device_port)
    gone = []  # earlier ones of the device
    modality = Modality(edge.port('in'), random.Random(SEED + 1))
    modality.start()
    end, kills = time.monotonic() + SECONDS, 0
    try:
        while time.monotonic() < end:
            time.sleep(rng.uniform(0.05, 1.5))
            what = rng.randrange(10)
            if what < 7:
                edge.kill()
                kills += 1
                if what == 0:
                    for f in (edge.root / 'records').glob('ledger.db*'):
                        f.unlink()
                edge.start()
            elif what < 9:
                archive.stop()
                time.sleep(rng.uniform(0, 1))
                archive = Archive(archive_port, edge.port('back'), rng, have)
            else:
                device.stop()
                gone.append(device)
                time.sleep(rng.uniform(0, 1))
                device = Device(device_port)
    finally:
        modality.ended.set()
        modality.join(30)

    def reports():
        return [r for d in gone + [device] for r in list(d.reports)]

    def unanswered():
        return set(modality.asked) - {r.transaction for r in reports()}
    try:
        until('all answered', lambda: not unanswered(), 100)
        until('the end of all', lambda: not edge.sql(
            'SELECT 1 FROM deliveries WHERE state<2'), 60)
        for r in reports():
            if r.transaction not in modality.asked:
                continue  # taken, but the device did not hear that
            asked = modality.asked[r.transaction]
            assert not wrong(r, asked, have), (r, wrong(r, asked, have))
        full = sum(r.type == 1 for r in reports())
    finally:
        print('%d kills, %d requests, %d reports, %d unanswered' % (
            kills, len(modality.asked), len(reports()), len(unanswered())))
        archive.stop()
        device.stop()
    assert len(modality.asked) > 2 and full > 0
