"""Views of the records: how long the page's and the exports' questions take on
a ledger with years of transfers in it (fill.c makes it, views.c asks)."""

import json
import shutil
import subprocess
import time

import peers
from harness import ROOT, Failed, say

TOOLS = ROOT / 'build' / 'release' / 'bench'


def empty_ledger(bench):
    """The schema as the daemon makes it."""
    p = peers.Culvert(bench.work, bench.pki, 1)
    p.start()
    p.stop()
    return p.dir / 'records'


def measure(bench, directory):
    r = subprocess.run([TOOLS / 'views', '--dir', directory],
                       stdout=subprocess.PIPE, text=True)
    if r.returncode != 0:
        raise Failed('views ended with %d' % r.returncode)
    return [json.loads(line) for line in r.stdout.splitlines()]


def views(bench, _):
    """Every view of the records. On generated transfers."""
    directory = empty_ledger(bench)
    began = time.monotonic()
    if subprocess.run([TOOLS / 'fill', '--dir', directory, '--instances',
                       str(bench.transfers)]).returncode != 0:
        raise Failed('the ledger could not be filled')
    say('  %d transfers made in %.0f s' % (bench.transfers,
                                           time.monotonic() - began))
    try:
        for v in measure(bench, directory):
            name = v['view']
            bench.value('views', 'culvert', name + ', p50 ms', v['p50_ms'])
            bench.value('views', 'culvert', name + ', p95 ms', v['p95_ms'])
            bench.claim('views', name + ', p95 ms', v['p95_ms'],
                        v['limit_ms'], '<=', 1)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


ALL = {'views': views}
