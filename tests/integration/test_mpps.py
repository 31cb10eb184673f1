"""Procedure steps are stored and forwarded: what a device was told to be done
reaches the RIS, in order and once, whatever ends in between."""
import os
import random
import threading
import time

import dicom
import pytest
import relayed
from culvert import until
from dicom import CT, EVLE, IVLE, MPPS
from responder import CREATE, N_SET, STORE, Responder

ROUNDS = int(os.environ.get('CULVERT_KILLS', '20'))
SEED = int(os.environ.get('CULVERT_SEED', '0')) or random.randrange(1 << 30)
STEP = '1.2.826.0.1.3680043.10.1599.61.%d.%d'
FINAL = 0xA710  # error ID: may no longer be updated


class Ris(Responder):
    """A RIS that keeps steps, over its own restarts: steps is {iuid: [status,
    ...]} as they were set, repetitions left out. early and beside list what
    may never come: a change before its creation, two requests of one step at
    one time. lose(): is the answer to be lost?"""

    keeping = threading.Lock()

    def __init__(self, steps=None, lose=lambda: False, **kw):
        self.steps = {} if steps is None else steps
        self.lose = lose
        self.early, self.beside, self.busy = [], [], set()
        super().__init__(**kw)

    def answer(self, k, contexts, pcid, rq, data):
        field = dicom.number(rq[0x100])
        if field not in (CREATE, N_SET):
            super().answer(k, contexts, pcid, rq, data)
            return
        iuid = dicom.uid_of(rq.get(0x1000, rq.get(0x1001, b'')))
        with self.lock:
            if iuid in self.busy:
                self.beside.append(iuid)
            self.busy.add(iuid)
        try:
            if self.delay:
                self.stopping.wait(self.delay)
            with self.keeping:
                status, error = self.perform(field, iuid, data)
            if self.lose():
                raise dicom.Gone
        finally:
            with self.lock:
                self.busy.discard(iuid)
        k.respond(pcid, rq, status,
                  extra={0x903: dicom.u16(error)} if error else None)

    def perform(self, field, iuid, data):
        self.seen.append((field, iuid))
        status = self.n_status(field, iuid)
        if status:
            return status, 0
        if field == CREATE:
            if iuid in self.steps:
                return 0x111, 0
            self.steps[iuid] = []
        elif iuid not in self.steps:
            self.early.append(iuid)
            return 0x112, 0
        elif self.steps[iuid][-1] in ('COMPLETED', 'DISCONTINUED'):
            return 0x110, FINAL
        text = data[8:].rstrip(b' \0').decode()
        if self.steps[iuid][-1:] != [text]:
            self.steps[iuid].append(text)
        return 0, 0


def status(text):
    return dicom.encode([(0x40, 0x252, 'CS', text)], IVLE)


def config(pki, port, **more):
    # with storage beside it, to the same port
    return relayed.config(pki, port, port, routes=[
        {'service': 'mpps', 'forward': ['ris']},
        {'service': 'storage', 'forward': ['ris']}], **more)


@pytest.fixture
def ris(tls):
    made = []

    def make(**kw):
        made.append(Ris(tls=tls.server(), **kw))
        return made[-1]
    yield make
    for r in made:
        r.stop()


class Device(threading.Thread):
    """Performs steps without end. told: {iuid: [status, ...]} of what was
    answered with success, in order."""

    def __init__(self, number, port, rng):
        super().__init__(daemon=True)
        self.number, self.port, self.rng = number, port, rng
        self.told, self.n = {}, 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.is_set():
            try:
                self.association()
            except (OSError, dicom.Gone, dicom.Rejected, dicom.Aborted,
                    dicom.Control, AssertionError, KeyError):
                time.sleep(0.02)

    def association(self):
        a = dicom.Association(self.port, [(1, MPPS, [IVLE]), (3, CT, [EVLE])],
                              timeout=20, calling='CT', called='RIS')
        for _ in range(self.rng.randrange(1, 12)):
            if self.ended.is_set():
                break
            self.n += 1
            iuid = STEP % (self.number, self.n)
            if a.n_create(1, iuid, status('IN PROGRESS')) != 0:
                continue
            self.told[iuid] = ['IN PROGRESS']
            if self.rng.random() < 0.3:
                data = dicom.data_set(iuid, size=20000)
                a.store(3, iuid, data)
            for text in ('DOUBTFUL', self.rng.choice(
                    ('COMPLETED', 'DISCONTINUED'))):
                if a.n_set(1, iuid, status(text)) == 0:
                    self.told[iuid].append(text)
            time.sleep(0.005)
        a.release()


def reached(told, steps):
    """What of a step was told to be done, and is not at the RIS. The last
    request may have been taken without an answer."""
    return [u for u, done in told.items()
            if steps.get(u, [])[:len(done)] != done]


def test_no_step_is_lost_or_out_of_order(daemons, ris, pki):
    """The edge is killed, the RIS stops, connections are cut, answers are
    lost, at random moments."""
    print('seed', SEED)
    rng = random.Random(SEED)
    steps = {}
    lost = random.Random(SEED + 1)
    all_ris = [ris(steps=steps, lose=lambda: lost.random() < 0.01)]
    port = all_ris[0].port
    edge = daemons(config(pki, port))
    devices = [Device(i, edge.port(), random.Random(SEED + 10 + i))
               for i in range(3)]
    for d in devices:
        d.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(rng.uniform(0.02, 0.8))
            what = rng.randrange(10)
            if what < 5:
                edge.kill()
                edge.start()
            elif what < 8:
                all_ris[-1].stop()
                time.sleep(rng.uniform(0, 0.5))
                all_ris.append(ris(steps=steps, port=port,
                                   lose=lambda: lost.random() < 0.01))
            else:
                all_ris[-1].cut()
    finally:
        for d in devices:
            d.ended.set()
        for d in devices:
            d.join(30)
    told = {u: s for d in devices for u, s in d.told.items()}
    assert len(told) > ROUNDS  # the load was real
    try:
        until('every step', lambda: not reached(told, steps), 60 + ROUNDS)
    finally:
        print('%d steps, %d missing' % (len(told),
                                        len(reached(told, steps))))
    for r in all_ris:
        assert not r.early and not r.beside
    until('an empty queue', lambda: set(edge.deliveries()) == {'delivered'})


def test_a_change_waits_for_its_creation(daemons, ris, pki):
    """The RIS is short of resources for one step only."""
    r = ris()
    first, second = STEP % (9, 1), STEP % (9, 2)
    r.n_status = lambda field, iuid: 0xA700 if iuid == first else 0
    edge = daemons(config(pki, r.port))
    a = dicom.Association(edge.port(), [(1, MPPS, [IVLE])], calling='CT',
                          called='RIS')
    for iuid in (first, second):
        assert a.n_create(1, iuid, status('IN PROGRESS')) == 0
        assert a.n_set(1, iuid, status('COMPLETED')) == 0
    a.release()
    edge.wait_deliveries('delivered', 2)
    until('a repetition', lambda: r.seen.count((CREATE, first)) > 2)
    assert (N_SET, first) not in r.seen
    edge.kill()
    edge.start()
    until('another', lambda: r.seen.count((CREATE, first)) > 4)
    assert (N_SET, first) not in r.seen
    r.n_status = lambda field, iuid: 0
    edge.wait_deliveries('delivered', 4)
    assert r.steps == {u: ['IN PROGRESS', 'COMPLETED']
                       for u in (first, second)}


def test_a_step_the_ris_closed_is_shown_to_the_operator(daemons, ris, pki):
    """A change that the RIS takes no more is kept, with cause and remedy; one
    that it may have taken already is not."""
    r = ris()
    iuid = STEP % (8, 1)
    edge = daemons(config(pki, r.port))
    a = dicom.Association(edge.port(), [(1, MPPS, [IVLE])], calling='CT',
                          called='RIS')
    assert a.n_create(1, iuid, status('IN PROGRESS')) == 0
    assert a.n_set(1, iuid, status('COMPLETED')) == 0
    edge.wait_deliveries('delivered', 2)
    assert a.n_set(1, iuid, status('DISCONTINUED')) == 0
    a.release()
    edge.wait_deliveries('quarantined', 1)
    assert r.steps[iuid] == ['IN PROGRESS', 'COMPLETED']
    out = edge.cli('queue', 'list', check=True).stdout
    assert 'N-SET' in out and 'quarantined' in out, out
    assert 'final' in edge.log()


def test_messages_go_before_images_of_the_same_device(daemons, ris, pki):
    r = ris()
    port = r.port
    r.stop()
    edge = daemons(config(pki, port))
    a = dicom.Association(edge.port(), [(1, MPPS, [IVLE]), (3, CT, [EVLE])],
                          calling='CT', called='RIS')
    for n in range(60):
        assert a.store(3, '1.2.3.4.%d' % n,
                       dicom.data_set('1.2.3.4.%d' % n, size=200000)) == 0
    iuid = STEP % (7, 1)
    assert a.n_create(1, iuid, status('IN PROGRESS')) == 0
    assert a.n_set(1, iuid, status('COMPLETED')) == 0
    a.release()
    until('it is known', lambda: edge.deliveries().get('queued', 0) == 62)
    r = ris(port=port)
    edge.wait_deliveries('delivered', 62)
    fields = [s[0] for s in r.seen]
    # what had been given to a line already may be before it
    assert fields.index(N_SET) < 30 and fields.count(STORE) == 60, fields


def test_what_is_no_message_of_the_service_is_refused(daemons, ris, pki):
    r = ris()
    edge = daemons(config(pki, r.port))
    a = dicom.Association(edge.port(), [(1, MPPS, [IVLE])], calling='CT',
                          called='RIS')
    iuid = (STEP % (6, 1)).encode()
    answers = [
        (0x130, 0x124, {'c1001': iuid, 'c1008': dicom.u16(1)}),  # N-ACTION
        (0x150, 0x124, {'c1001': iuid}),                         # N-DELETE
        (0x20, 0x124, {}),                                       # C-FIND
        (CREATE, 0x117, {'c1000': b''}),
        (CREATE, 0x122, {'c0002': CT.encode(), 'c1000': iuid}),
        (N_SET, 0x122, {'c0003': CT.encode(), 'c1001': iuid}),
    ]
    for field, want, more in answers:
        a.request(1, field, status('IN PROGRESS'), **more)
        assert a.answers(1)[0][0] == want, hex(field)
    a.request(1, N_SET, None, c1001=iuid)
    assert a.answers(1)[0][0] == 0x212
    a.request(1, N_SET, b'\0' * (5 << 20), c1001=iuid)
    assert a.answers(1)[0][0] == 0x213
    a.release()
    assert not edge.deliveries() and not r.seen
