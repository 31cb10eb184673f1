"""Devices in numbers: each opens an association with several services, uses
them in any order, ends it in some way, and begins anew, until told to stop.

usage: soaker.py PORT DEVICES SEED

Prints "open" when each has its first association, goes when a line comes on
stdin, and ends with a line of JSON when the next one comes.
"""
import collections
import json
import random
import socket
import struct
import sys
import threading
import time

import dicom
from dicom import (CT, EVLE, IVLE, MPPS, STUDY_FIND, STUDY_GET, VERIFICATION,
                   WORKLIST)

CONTEXTS = [(1, VERIFICATION, [IVLE]), (3, CT, [EVLE, IVLE]),
            (5, WORKLIST, [IVLE]), (7, STUDY_FIND, [IVLE]),
            (9, STUDY_GET, [IVLE]), (11, MPPS, [IVLE])]


class Device:
    def __init__(self, port, name, seed):
        self.port, self.name = port, name
        self.random = random.Random('%s %s' % (name, seed))
        self.done = collections.Counter()
        self.ended = collections.Counter()
        self.stored = []
        self.failed = None
        self.n = 0

    def open(self):
        self.n += 1
        contexts = [c for c in CONTEXTS if self.random.random() < 0.8] or \
            CONTEXTS
        self.a = dicom.Association(
            self.port, contexts, extra=dicom.role(CT, 1, 1), timeout=300,
            max_pdu=self.random.choice((16384, 32768, 131072)))
        assert all(r == 0 for r in self.a.results.values()), self.a.results

    def use(self):
        a = self.a
        pcid = self.random.choice(list(a.results))
        if pcid == 1:
            assert a.echo(1) == 0
        elif pcid == 3:
            iuid = '1.2.%s.%d.%d' % (self.name, self.n, len(self.stored))
            size = self.random.choice((100, 3000, 60000))
            assert a.store(3, iuid, dicom.data_set(iuid, size=size)) == 0
            self.stored.append(iuid)
        elif pcid == 5:
            stop = self.random.choice((None, None, 5))
            answers = a.find(5, b'', cancel_after=stop)
            # a cancel that comes after the last answer changes nothing
            assert answers[-1][0] == 0 and len(answers) == 26, answers[-1]
        elif pcid == 7:
            answers = a.find(7, b'')
            assert answers[-1][0] == 0 and len(answers) == 26, answers[-1]
        elif pcid == 9:
            if 3 in a.results:
                answers = a.get(9, b'')
                assert answers[-1][0] == 0 and len(a.got) == 3, answers
        else:
            iuid = '1.3.%s.%d' % (self.name, self.n)
            assert a.n_create(11, iuid, b'') == 0
            assert a.n_set(11, iuid, b'') == 0
        self.done[pcid] += 1

    def end(self):
        how = self.random.choices(
            ('release', 'abort', 'close', 'reset', 'in mid-message',
             'unanswered'), (70, 10, 5, 5, 5, 5))[0]
        a = self.a
        pcid = self.random.choice(list(a.results))
        find = dicom.command({2: dict((c[0], c[1]) for c in CONTEXTS)[
            pcid].encode(), 0x100: dicom.u16(0x20), 0x110: dicom.u16(999),
            0x700: dicom.u16(0), 0x800: dicom.u16(1)})
        if how == 'release':
            a.release()
        elif how == 'abort':
            a.abort()
        elif how == 'in mid-message':
            a.send(dicom.pdata(pcid, 1, find[:20]))
        elif how == 'unanswered' and pcid in (5, 7):
            a.send(dicom.pdata(pcid, 3, find) + dicom.pdata(pcid, 2, b''))
        elif how == 'reset':
            a.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                              struct.pack('ii', 1, 0))
        a.close()
        self.ended[how] += 1

    def live(self, going, stop):
        try:
            self.open()
            going()
            while not stop.is_set():
                for _ in range(self.random.randrange(1, 12)):
                    self.use()
                    if stop.wait(self.random.uniform(0, 2)):
                        break
                self.end()
                if not stop.is_set():
                    self.open()
                else:
                    return
        except Exception as e:
            self.failed = '%s %s: %r' % (self.name, type(e).__name__, e)


def main(port, count, seed):
    threading.stack_size(512 * 1024)
    go, stop = threading.Event(), threading.Event()
    opened = threading.Semaphore(0)

    def going():
        opened.release()
        go.wait()
    devices = [Device(int(port), '%s%d' % (seed, i + 1), seed)
               for i in range(int(count))]
    threads = [threading.Thread(target=d.live, args=(going, stop),
                                daemon=True) for d in devices]
    for t in threads:
        t.start()
        time.sleep(0.005)
    for _ in threads:
        while not opened.acquire(timeout=1):
            if any(d.failed for d in devices):
                break
    print('open', flush=True)
    sys.stdin.readline()
    go.set()
    sys.stdin.readline()
    stop.set()
    end = time.monotonic() + 120
    for t in threads:
        t.join(max(0, end - time.monotonic()))
    total, ended = collections.Counter(), collections.Counter()
    for d in devices:
        total.update(d.done)
        ended.update(d.ended)
    print(json.dumps({
        'operations': total, 'ended': ended,
        'associations': sum(d.n for d in devices),
        'stored': [i for d in devices for i in d.stored],
        'failed': [d.failed for d in devices if d.failed],
        'hanging': sum(t.is_alive() for t in threads)}), flush=True)


if __name__ == '__main__':
    main(*sys.argv[1:])
