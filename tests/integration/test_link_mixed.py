"""Three edges, one cloud, Orthanc: mixed load while limits change, lines are
cut and stand still, and everything is killed in turn.

Two minutes in every run, CULVERT_LINK_MINUTES=10 for longer; CULVERT_SEED as
it was printed repeats the order of events. The rates are sampled into
link-mixed.csv of the build's directory, and plotted where gnuplot is."""
import collections
import csv
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

import pytest

import dicom
import linked
import peers
from conftest import needs
from culvert import SLOW, until
from linked import LINE, states
from test_kill import Modality

MINUTES = float(os.environ.get('CULVERT_LINK_MINUTES', '2'))
SEED = int(os.environ.get('CULVERT_SEED', '0')) or random.randrange(1 << 30)
LIMITS = (8, 12, 16, 24)    # Mbit/s that each edge has in turn
STEP = 0.25                 # seconds between two samples
WINDOW = 20                 # samples over which a rate is an average
BURST = 0.02                # seconds of the limit, the default
IN_SOCKETS = 300000         # what left the edge before a limit fell

Sample = collections.namedtuple('Sample', 'at edge bytes limit steady')


class Paced(Modality):
    """Sends at about a rate; its instances are those of one edge."""

    def __init__(self, number, port, rng, rate):
        super().__init__(number, port, rng)
        self.rate = rate

    def association(self):
        a = dicom.Association(self.port, [(1, dicom.CT, [dicom.EVLE])],
                              timeout=30)
        for _ in range(self.rng.randrange(1, 30)):
            if self.ended.is_set():
                break
            self.n += 1
            iuid = '1.2.3.%d.%d' % (self.number, self.n)
            size = self.rng.choices((0, 500, 20000, 300000, 1500000, 8000000),
                                    (2, 4, 8, 8, 2, 0.3))[0]
            data = dicom.data_set(iuid, size=size, study='1.2.3.%d' %
                                  self.number)
            begun = time.monotonic()
            if a.store(1, iuid, data) == 0:
                self.acked[iuid] = linked.digest_of(data)
            self.ended.wait(max(0.005, len(data) / self.rate -
                                (time.monotonic() - begun)))
        a.release()


class Trouble:
    """What is done to the setting, one thing each few seconds."""

    def __init__(self, s, orthanc, rng):
        self.s, self.orthanc, self.rng = s, orthanc, rng
        self.limits = [LIMITS[0]] * len(s.edges)
        self.unsteady = [0.0] * len(s.edges)  # until when
        self.count = collections.Counter()

    def disturb(self, n, seconds):
        self.unsteady[n] = time.monotonic() + seconds

    def limit(self, n):
        edge = self.s.edges[n]
        self.limits[n] = self.rng.choice(
            [x for x in LIMITS if x != self.limits[n]])
        edge.config['destinations']['cloud']['rate'] = rate_of(self.limits[n])
        edge.write()
        since = len(edge.lines)
        edge.process.send_signal(signal.SIGHUP)
        edge.wait_log(r'rate-limit at=\S*cloud bits_per_second=%d000000 '
                      % self.limits[n],
                      since=since)
        self.disturb(n, 1)

    def edge(self, n):
        self.disturb(n, 3600)
        self.s.edges[n].kill()
        self.s.edges[n].start()
        self.disturb(n, 2)

    def cloud(self, n):
        self.s.cloud.kill()
        time.sleep(self.rng.uniform(0, 2))
        self.s.cloud.start()
        for i in range(len(self.unsteady)):
            self.disturb(i, 2)

    def cut(self, n):
        self.s.lines[n].cut()
        self.disturb(n, 2)

    def hole(self, n):
        self.s.lines[n].say('hole 1.5')
        self.disturb(n, 4)

    def archive(self, n):
        self.orthanc.program.kill()
        time.sleep(self.rng.uniform(0, 2))
        self.orthanc.program.start()

    def one(self):
        what = self.rng.choices(
            (self.limit, self.edge, self.cloud, self.cut, self.hole,
             self.archive), (6, 2, 1.5, 4, 2, 1))[0]
        self.count[what.__name__] += 1
        what(self.rng.randrange(len(self.s.edges)))


def rate_of(mbit):
    """A limit as a timetable, which is in force at all times."""
    return {'limit': '1Mbit', 'timetable': [
        {'days': 'mon-sun', 'hours': '00:00-24:00',
         'limit': '%dMbit' % mbit}]}


def sampling(s, trouble, samples, ended):
    begun = time.monotonic()
    while not ended.wait(STEP):
        for n, line in enumerate(s.lines):
            now = time.monotonic()
            samples.append(Sample(now - begun, n, line.up(),
                                  trouble.limits[n],
                                  now > trouble.unsteady[n]))


def write_samples(samples, name='link-mixed'):
    path = linked.BUILD / (name + '.csv')
    with open(path, 'w', newline='') as f:
        out = csv.writer(f)
        out.writerow(Sample._fields)
        out.writerows(samples)
    if not shutil.which('gnuplot'):
        return
    text = ["set terminal svg size 1200,800",
            "set output '%s.svg'" % (linked.BUILD / name),
            "set multiplot layout 3,1", "set yrange [0:%d]" % (max(LIMITS) + 4)]
    for n, edge in enumerate(linked.EDGES):
        mine = [x for x in samples if x.edge == n]
        data = linked.BUILD / ('%s-%d.dat' % (name, n))
        data.write_text(''.join('%.2f %.3f %d\n' % (
            b.at, (b.bytes - a.bytes) * 8e-6 / (b.at - a.at), b.limit)
            for a, b in zip(mine, mine[4:])))
        text.append("set ylabel '%s, Mbit/s'" % edge)
        text.append("plot '%s' u 1:2 w l t 'over the line, mean of a second',"
                    " '' u 1:3 w steps lw 2 t 'limit'" % data)
    subprocess.run(['gnuplot'], input='\n'.join(text) + '\n', text=True,
                   check=False)


def check_rates(samples):
    """Average over each window in which nothing changed: within 3 % and a
    burst. Returns how many windows there were, and the highest share."""
    windows, most = 0, 0
    for n in range(3):
        mine = [x for x in samples if x.edge == n]
        for i in range(len(mine) - WINDOW):
            part = mine[i:i + WINDOW + 1]
            if any(not x.steady or x.limit != part[0].limit for x in part):
                continue
            rate = part[0].limit * 125000
            seconds = part[-1].at - part[0].at
            sent = part[-1].bytes - part[0].bytes
            windows += 1
            most = max(most, sent / (rate * seconds))
            # the sample itself is late by some ms on a busy machine
            assert sent <= rate * (1.03 * seconds + BURST + 0.05) + 20000, \
                (n, part[0], part[-1], sent / rate / seconds)
    return windows, most


def kept_by(orthanc):
    """{iuid: SHA-256 of the data set} of all that Orthanc has."""
    out = {}
    for one in orthanc.instances():
        with urllib.request.urlopen('http://127.0.0.1:%d/instances/%s/file' % (
                orthanc.http, one), timeout=60) as answer:
            meta, data = dicom.split_part10(answer.read())
        assert meta[3] not in out
        out[meta[3]] = linked.digest_of(data)
    return out


LUA = """function OnStoredInstance(id, tags, metadata, origin)
  local f = io.open('%s', 'a')
  f:write(tags['SOPInstanceUID'] .. '\\n')
  f:close()
end
"""


def counting_orthanc(root, pki):
    """Orthanc that notes each C-STORE in root/stored, repeats included."""
    root.mkdir()
    (root / 'count.lua').write_text(LUA % (root / 'stored'))
    return peers.Orthanc(root, pki, LuaScripts=[str(root / 'count.lua')])


def stores_of(orthanc):
    return len((orthanc.root / 'stored').read_text().split())


@needs('Orthanc')
@pytest.mark.slow
@pytest.mark.timeout(60 * MINUTES * 2 + 400)
def test_three_edges_in_trouble(links, pki, tmp_path):
    print('seed', SEED)
    rng = random.Random(SEED)
    assert LINE.exists()
    orthanc = counting_orthanc(tmp_path / 'orthanc', pki)
    modalities, ended, samples = [], threading.Event(), []
    try:
        s = links(edges=3, line=('--mbit', 100, '--delay', 0.01),
                  far=linked.archive_at(pki, orthanc.port, associations=4),
                  destination={'rate': rate_of(LIMITS[0]),
                               'link': {'connections': 2}},
                  cloud={'spool': {'path': 'spool', 'quota': '4GiB',
                                   'segment': '16MiB'}})
        trouble = Trouble(s, orthanc, rng)
        sampler = threading.Thread(target=sampling, daemon=True,
                                   args=(s, trouble, samples, ended))
        sampler.start()
        for n, edge in enumerate(s.edges):
            for k in range(2):
                modalities.append(Paced(
                    910 + 10 * n + k, edge.port(),
                    random.Random(SEED + 10 * n + k), 700000))
                modalities[-1].start()
        end = time.monotonic() + 60 * MINUTES
        while time.monotonic() < end:
            time.sleep(rng.uniform(1, 8))
            trouble.one()
        for m in modalities:
            m.ended.set()
        for m in modalities:
            m.join(60)
        acked = {}
        for m in modalities:
            acked.update(m.acked)

        def drained():
            return all(set(states(e)) == {'delivered'} for e in s.edges)
        try:
            until('all delivered', drained, 60 + 30 * MINUTES)
        finally:
            ended.set()
            sampler.join(10)
            write_samples(samples)
            print('%d acknowledged; %s; %s' % (len(acked), dict(
                trouble.count), [states(e) for e in s.edges + [s.cloud]]))
        windows, most = check_rates(samples)
        print('%d steady windows, the fullest %.3f of its limit' % (
            windows, most))
        assert windows > 20 * MINUTES and most > 0.5

        kept = kept_by(orthanc)
        assert {u: kept.get(u) for u in acked} == acked
        # each came from its own edge
        for device, iuid in s.cloud.sql(
                'SELECT device, sop_instance FROM v_links'):
            n = (int(iuid.split('.')[3]) - 910) // 10
            assert device == linked.EDGES[n], (device, iuid)
        # once over the link, and at Orthanc again only where an answer of
        # it was lost
        assert not s.cloud.sql('SELECT link_owner, link_id FROM instances'
                               ' GROUP BY 1, 2 HAVING count(*) > 1')
        often = stores_of(orthanc)
        lost = 4 * (trouble.count['cloud'] + trouble.count['archive'])
        print('%d instances at Orthanc, stored %d times' % (len(kept), often))
        assert often <= len(kept) + lost
        assert len(acked) > 100 * MINUTES / SLOW
    finally:
        ended.set()
        for m in modalities:
            m.ended.set()
        orthanc.stop()
