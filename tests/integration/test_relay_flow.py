"""How bytes pass: packed and split as peers like it, with a slow end, in both
directions, and messages of services that begin on the other side."""
import hashlib
import os
import socket
import struct
import threading
import time

import pytest

import dicom
import relayed
from culvert import SLOW, until
from dicom import (CT, EVLE, IVLE, PENDING, STUDY_FIND, STUDY_GET,
                   VERIFICATION, WORKLIST, u16)
from responder import ACTION, EVENT, Responder

PRINT = dicom.PREFIX + '5.1.1.9'
FILM_SESSION, FILM_BOX = dicom.PREFIX + '5.1.1.1', dicom.PREFIX + '5.1.1.2'
IMAGE_BOX = dicom.PREFIX + '5.1.1.4'
PRINTER, PRINTER_ONE = dicom.PREFIX + '5.1.1.16', dicom.PREFIX + '5.1.1.17'


@pytest.fixture
def scripted(tls):
    made = []

    def make(**kw):
        made.append(Responder(tls=tls.server(), **kw))
        return made[-1]
    yield make
    for r in made:
        r.stop()


def pdvs(*parts):
    """One P-DATA-TF of [(context, header, payload)]."""
    return dicom.pdu(4, b''.join(
        struct.pack('>IBB', len(p) + 2, c, h) + p for c, h, p in parts))


def query(n, sop=WORKLIST):
    return dicom.command({2: sop.encode(), 0x100: u16(0x20),
                          0x110: u16(n), 0x700: u16(0), 0x800: u16(1)})


IDENTIFIER = dicom.encode([(0x10, 0x10, 'PN', 'A' * 2000)], IVLE)


class Packed(dicom.Link):
    """Sends command and data set of a message in one PDU, in odd pieces."""

    def send_message(self, pcid, fields, data=None, step=None):
        c = dicom.command(fields)
        parts = [(pcid, 1, c[:10]), (pcid, 1, b''), (pcid, 3, c[10:])]
        if data is not None:
            parts += [(pcid, 0, data[:2]), (pcid, 0, data[2:]),
                      (pcid, 2, b'')]
        self.send(pdvs(*parts))


@pytest.mark.tsan
@pytest.mark.parametrize('mixed', [False, True], ids=['one leg', 'two legs'])
def test_packing_is_the_peers_affair(both, scripted, pki, mixed):
    """Several PDVs in a PDU, empty ones, a fragment a byte, a byte a packet:
    whatever is said is heard."""
    ris, pacs = scripted(), scripted()
    for r in (ris, pacs):
        r.matches = [dicom.encode([(0x10, 0x10, 'PN', 'F%d' % i)], IVLE)
                     for i in range(20)]
        r.link = Packed
    b = both(ris.port, relayed.config(pki, ris.port, pacs.port))
    contexts = [(1, WORKLIST, [IVLE])]
    if mixed:
        contexts += [(3, STUDY_FIND, [IVLE]), (5, VERIFICATION, [IVLE])]

    def play(port):
        a = dicom.Association(port, contexts, called='RIS')
        c = query(1)
        # all at once; in three PDUs; byte by byte; empty fragments
        for i, sent in enumerate((
                [pdvs((1, 3, c), (1, 2, IDENTIFIER))],
                [pdvs((1, 1, c[:4])), pdvs((1, 3, c[4:]), (1, 0, b'')),
                 pdvs((1, 2, IDENTIFIER))],
                [bytes([x]) for x in
                 pdvs((1, 3, c)) + pdvs((1, 2, IDENTIFIER))],
                [pdvs((1, 1, b'')), pdvs((1, 3, c)), pdvs((1, 0, IDENTIFIER)),
                 pdvs((1, 2, b''))],
                [pdvs((1, 3, c), *((1, 0, IDENTIFIER[k:k + 2])
                                   for k in range(0, len(IDENTIFIER), 2))),
                 pdvs((1, 2, b''))])):
            for part in sent:
                a.send(part)
            answers = a.answers(1)
            assert len(answers) == 21, (i, answers)
            assert [d for _, d in answers[:-1]] == ris.matches
        a.release()
    b.compare(play)
    assert [d for *_, d in ris.fields()] == [IDENTIFIER] * 10


def test_requests_that_do_not_wait_are_answered_in_turn(both, scripted, pki):
    """A device that sends its next request before the answer to the last."""
    ris = scripted()
    ris.matches = [dicom.encode([(0x10, 0x10, 'PN', 'F')], IVLE)] * 3
    b = both(ris.port, relayed.config(pki, ris.port, ris.port))

    def play(port):
        a = dicom.Association(port, [(1, WORKLIST, [IVLE])], called='RIS')
        for n in range(20):
            a.send(pdvs((1, 3, query(n + 1)), (1, 2, b'')))
        for n in range(20):
            answers = []
            while not answers or answers[-1][0] == PENDING:
                _, c, _ = a.message()
                assert dicom.number(c[0x120]) == n + 1
                answers.append((dicom.number(c[0x900]), 0))
            assert len(answers) == 4
        a.release()
    b.compare(play)


def resident(edge):
    with open('/proc/%d/status' % edge.process.pid) as f:
        return int(f.read().split('VmRSS:')[1].split()[0]) // 1024


QUIET = {'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') +
         ':quarantine_size_mb=4'}


def test_a_device_that_reads_slowly_fills_no_memory(daemons, scripted, pki):
    big = 24 << 20
    pacs = scripted()
    pacs.instances = [(CT, '1.2.3.%d' % i, dicom.data_set(
        '1.2.3.%d' % i, size=big)) for i in range(8)]
    edge = daemons(relayed.config(pki, pacs.port, pacs.port), env=QUIET)
    contexts = [(1, STUDY_GET, [IVLE]), (3, CT, [EVLE]),
                (5, WORKLIST, [IVLE])]
    a = dicom.Association(edge.port(), contexts, extra=dicom.role(CT, 0, 1))
    before = resident(edge)
    a.request(1, 0x10, b'')
    # it does not read; what is sent stands in the sockets, and no more
    last = None

    def stands():
        nonlocal last
        now, last = last, resident(edge)
        time.sleep(0.3)
        return now == last
    until('the stream to stand', stands)
    assert resident(edge) < before + 16, (before, resident(edge))
    # others are served meanwhile
    other = dicom.Association(edge.port(), contexts, called='RIS')
    assert other.find(5, b'') == [(0, None)]
    other.release()
    digest = [hashlib.sha256(d).digest() for _, _, d in pacs.instances]
    assert a.answers(1)[-1][0] == 0
    assert [hashlib.sha256(d).digest() for _, d in a.got] == digest
    a.release()
    assert resident(edge) < before + 24, (before, resident(edge))


def test_a_peer_that_reads_slowly_fills_no_memory(daemons, scripted, pki):
    """Storage relayed live to an archive that stalls."""
    pacs = scripted()
    reading = threading.Event()

    class Slow(dicom.Link):
        def read_pdu(self):
            kind, body = super().read_pdu()
            if len(body) > 60000:
                reading.wait()
            return kind, body
    pacs.link = Slow
    pacs.max_pdu = 65536
    c = relayed.config(pki, pacs.port, pacs.port, routes=[
        {'service': 'storage', 'relay': 'pacs'}])
    edge = daemons(c, env=QUIET)
    a = dicom.Association(edge.port(), [(1, CT, [EVLE])], timeout=120)
    assert a.store(1, '1.2.3.0', dicom.data_set('1.2.3.0')) == 0
    before = resident(edge)
    data = dicom.data_set('1.2.3.4', size=96 << 20)
    done = []

    def send():
        done.append(a.store(1, '1.2.3.4', data))
    t = threading.Thread(target=send)
    t.start()
    try:
        highest = 0
        for _ in range(20):
            time.sleep(0.1)
            highest = max(highest, resident(edge))
        assert not done and highest < before + 16, (before, highest)
    finally:
        reading.set()
        t.join()
    assert done == [0] and pacs.stored[1][2] == data
    a.release()
    assert resident(edge) < before + 24


def test_a_film_is_printed_and_the_printer_speaks_up(both, scripted, pki):
    """All N- services in a context of a meta class; an event report that
    begins on the printer's side between two answers."""
    printer = scripted()

    class Printer(dicom.Link):
        def respond(self, pcid, rq, status, data=None, extra=None):
            if dicom.number(rq[0x100]) == ACTION:
                self.send_message(pcid, {
                    2: PRINTER.encode(), 0x100: u16(EVENT), 0x110: u16(77),
                    0x800: u16(1), 0x1000: PRINTER_ONE.encode(),
                    0x1002: u16(2)}, dicom.encode(
                        [(0x2110, 0x20, 'CS', 'SUPPLY LOW')], IVLE))
                _, c, _ = self.message()
                assert dicom.number(c[0x100]) == EVENT | 0x8000
                assert dicom.number(c[0x120]) == 77
            super().respond(pcid, rq, status, data, extra)
    printer.link = Printer
    c = relayed.config(pki, printer.port, printer.port, routes=[
        {'service': ['print'], 'relay': 'pacs'}],
        device={'services': relayed.ALL + ['print']})
    b = both(printer.port, c)
    image = dicom.encode([(0x28, 0x10, 'US', u16(1000)),
                          (0x7fe0, 0x10, 'OW', bytes(2000000))], IVLE)

    def play(port):
        a = dicom.Association(port, [(1, PRINT, [IVLE])], called='PACS')

        def ask(field, sop, uid, data=None, **more):
            key = 'c1000' if field in (0x140, 0x100) else 'c1001'
            other = {'c0002' if field == 0x140 else 'c0003': sop.encode()}
            a.request(1, field, data, **dict({key: uid.encode()}, **other,
                                             **more))
            events = []
            while True:
                _, c, d = a.message()
                if dicom.number(c[0x100]) == EVENT:
                    a.respond(1, c, 0)
                    events.append(d)
                    continue
                assert dicom.number(c[0x900]) == 0, c
                return events
        assert ask(0x110, PRINTER, PRINTER_ONE) == []
        ask(0x140, FILM_SESSION, '1.2.3.1', dicom.encode(
            [(0x2000, 0x10, 'IS', '1')], IVLE))
        ask(0x140, FILM_BOX, '1.2.3.2', dicom.encode(
            [(0x2010, 0x10, 'ST', 'STANDARD\\1,1')], IVLE))
        ask(0x120, IMAGE_BOX, '1.2.3.3', image)
        events = ask(0x130, FILM_BOX, '1.2.3.2', c1008=u16(1))
        assert len(events) == 1 and b'SUPPLY LOW' in events[0]
        ask(0x150, FILM_SESSION, '1.2.3.1')
        a.release()
    b.compare(play)


def test_nothing_is_sent_before_the_association_is_there(daemons, scripted,
                                                         pki):
    """A device that does not wait for the answer to its A-ASSOCIATE-RQ is
    aborted while legs are being opened, and these go too."""
    slow = scripted()
    slow.accept = lambda abstract, syntaxes, calling: (
        time.sleep(0.5), syntaxes[0])[1]
    edge = daemons(relayed.config(pki, slow.port, slow.port, listener={
        'timeouts': {'artim': '2s'}}))
    contexts = [(1, WORKLIST, [IVLE]), (3, STUDY_FIND, [IVLE])]
    for then in (pdvs((1, 3, query(1)), (1, 2, b'')), dicom.pdu(5, bytes(4)),
                 dicom.pdu(7, bytes(4)), b'\xee' * 10, None):
        s = socket.create_connection(('127.0.0.1', edge.port()), 30)
        s.sendall(dicom.associate_rq(contexts) + (then or b''))
        if then is None:
            s.shutdown(socket.SHUT_WR)
        s.settimeout(20 * SLOW)
        while s.recv(1000):
            pass
        s.close()
    until('no association', lambda: edge.status()['associations'] == 0)
    until('no leg', lambda: len(slow.ended) >= len(slow.callers))
    a = dicom.Association(edge.port(), contexts)
    assert a.find(1, b'') == a.find(3, b'') == [(0, None)]
    a.release()


def test_a_release_waits_for_what_is_still_to_be_said(both, scripted, pki):
    """Release before all answers are read: they come, then the release."""
    ris = scripted()
    ris.matches = [dicom.encode([(0x10, 0x4000, 'LT', 'x' * 9000)], IVLE)
                   for _ in range(300)]
    b = both(ris.port, relayed.config(pki, ris.port, ris.port))

    def play(port):
        a = dicom.Association(port, [(1, WORKLIST, [IVLE])], called='RIS')
        a.send(pdvs((1, 3, query(1)), (1, 2, b'')) + dicom.pdu(5, bytes(4)))
        n = 0
        with pytest.raises(dicom.Control) as e:
            while True:
                a.message()
                n += 1
        assert e.value.args[0] == 6 and n == 301
        a.close()
    b.compare(play)
    until('both releases', lambda: ris.ended.count('released') == 2)
