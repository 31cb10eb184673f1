"""A DICOM peer that answers any service as it is told: RIS and archive in
tests where each message must be known beforehand. Also a program, so that it
can be frozen and killed: prints its port, then serves.

usage: responder.py PKI NAME [PORT]
"""
import pathlib
import ssl
import sys
import threading

import dicom
from dicom import CANCELLED, PENDING, number, uid_of

STORE, GET, FIND, MOVE, ECHO = 0x01, 0x10, 0x20, 0x21, 0x30
EVENT, N_SET, ACTION, CREATE, CANCEL = 0x100, 0x120, 0x130, 0x140, 0xfff


class Responder(dicom.Scp):
    """matches: the data sets that a C-FIND finds, or a function of its
    identifier. hold: after so many of them a query waits for C-CANCEL.
    instances: [(class, iuid, data)] that a C-GET sends. n_status(field, iuid)
    answers N- services. seen: [(command field, context, command, data)]."""

    def __init__(self, **kw):
        self.matches, self.hold, self.instances = [], None, []
        self.n_status = lambda field, iuid: 0
        self.seen = []
        self.ended = []      # how associations ended
        self.step = None     # size of fragments
        self.link = dicom.Link
        super().__init__(**kw)
        # the roles that are asked for are granted
        self.user = lambda proposed: b''.join(
            dicom.item(k, v) for k, v in proposed if k == 0x54)

    def fields(self, kind=None):
        with self.lock:
            return [s for s in self.seen if kind in (None, s[0])]

    def _association(self, link):
        k = self.link(link.sock)
        end = 'lost'
        try:
            kind, body = k.read_pdu()
            if kind != 1:
                return
            if self.reject:
                k.send(dicom.pdu(3, bytes((0,) + self.reject)))
                k.read(1)
                return
            contexts = self._negotiate(k, body)
            while True:
                self.answer(k, contexts, *k.message())
        except dicom.Control as e:
            if e.args[0] == 5:
                end = 'released'
                k.send(dicom.pdu(6, bytes(4)))
                try:
                    k.read(1)
                except dicom.Gone:
                    pass
        except dicom.Aborted:
            end = 'aborted'
        finally:
            with self.lock:
                self.ended.append(end)

    def answer(self, k, contexts, pcid, rq, data):
        field = number(rq[0x100])
        with self.lock:
            self.seen.append((field, pcid, rq, data))
        if field == ECHO:
            k.respond(pcid, rq, 0)
        elif field == STORE:
            iuid = uid_of(rq[0x1000])
            status = self.status(iuid)
            with self.lock:
                self.stored.append((iuid, contexts[pcid][1], data, len(data)))
            k.respond(pcid, rq, status)
        elif field == FIND:
            self.found(k, pcid, rq, data)
        elif field == GET:
            self.got(k, contexts, pcid, rq)
        elif field == MOVE:
            self.moved(k, pcid, rq)
        elif field != CANCEL and not field & 0x8000:
            iuid = uid_of(rq.get(0x1000, rq.get(0x1001, b'')))
            k.respond(pcid, rq, self.n_status(field, iuid))

    def cancelled(self, k, rq):
        _, c, _ = k.message()
        assert number(c[0x100]) == CANCEL, c
        assert c[0x120] == rq[0x110], c
        with self.lock:
            self.seen.append((CANCEL, 0, c, None))

    def found(self, k, pcid, rq, identifier):
        matches = self.matches
        if callable(matches):
            matches = matches(identifier)
        for i, match in enumerate(matches):
            if i == self.hold:
                self.cancelled(k, rq)
                k.respond(pcid, rq, CANCELLED)
                return
            k.respond(pcid, rq, PENDING, match)
        k.respond(pcid, rq, 0)

    @staticmethod
    def counts(done, of):
        u = dicom.u16
        return {0x1020: u(of - done), 0x1021: u(done), 0x1022: u(0),
                0x1023: u(0)}

    def got(self, k, contexts, pcid, rq):
        by_class = {c[0]: i for i, c in contexts.items()}
        n = len(self.instances)
        for i, (sop, iuid, data) in enumerate(self.instances):
            if i == self.hold:
                self.cancelled(k, rq)
                k.respond(pcid, rq, CANCELLED, extra=self.counts(i, n))
                return
            k.send_message(by_class[sop], {
                2: sop.encode(), 0x100: dicom.u16(1),
                0x110: dicom.u16(i + 1), 0x700: dicom.u16(0),
                0x800: dicom.u16(1), 0x1000: iuid.encode()}, data)
            _, answer, _ = k.message()
            assert number(answer[0x100]) == 0x8001, answer
            with self.lock:
                self.seen.append((0x8001, 0, answer, None))
            if i + 1 < n:
                k.respond(pcid, rq, PENDING, extra=self.counts(i + 1, n))
        k.respond(pcid, rq, 0, extra=self.counts(n, n))

    def moved(self, k, pcid, rq):
        n = 3
        for i in range(n):
            if i == self.hold:
                self.cancelled(k, rq)
                k.respond(pcid, rq, CANCELLED, extra=self.counts(i, n))
                return
            k.respond(pcid, rq, PENDING, extra=self.counts(i, n))
        k.respond(pcid, rq, 0, extra=self.counts(n, n))


def main(pki, name, port='0'):
    pki = pathlib.Path(pki)
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pki / (name + '.pem'), pki / (name + '.key'))
    c.load_verify_locations(pki / 'ca.pem')
    c.verify_mode = ssl.CERT_REQUIRED
    threading.stack_size(256 * 1024)
    scp = Responder(tls=c, port=int(port))
    scp.listening.listen(1024)
    scp.matches = [dicom.encode([(0x10, 0x10, 'PN', 'Found^%03d' % i),
                                 (0x10, 0x20, 'LO', 'ID%d' % i)])
                   for i in range(25)]
    scp.instances = [(dicom.CT, '1.2.3.77.%d' % i,
                      dicom.data_set('1.2.3.77.%d' % i, size=30000))
                     for i in range(3)]
    print(scp.port, flush=True)
    scp.stopping.wait()


if __name__ == '__main__':
    main(*sys.argv[1:])
