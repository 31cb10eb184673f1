"""A ledger of years: every question of the page is answered from an index, and
what is found is what is there. (tests/bench/views.py measures how quickly.)"""
import os
import pathlib
import sqlite3
import subprocess

TOOLS = pathlib.Path(os.environ.get('STORED', 'build/release/bench'))
N = 100000


def test_no_view_reads_a_whole_table(daemons, edge_config):
    edge = daemons(edge_config(1))
    edge.stop()
    records = edge.root / 'records'
    subprocess.run([TOOLS / 'fill', '--dir', records, '--instances', str(N)],
                   check=True)
    r = subprocess.run([TOOLS / 'views', '--dir', records, '--check'],
                       stdout=subprocess.PIPE, text=True)
    assert r.returncode == 0, r.stdout

    # the planner does not know better once there are statistics
    db = sqlite3.connect(records / 'ledger.db')
    db.execute('ANALYZE')
    db.commit()
    db.close()
    r = subprocess.run([TOOLS / 'views', '--dir', records, '--check'],
                       stdout=subprocess.PIPE, text=True)
    assert r.returncode == 0, r.stdout

    # and the daemon goes on with such a ledger
    edge.start()
    assert edge.sql('SELECT count(*) FROM instances')[0][0] == N
    edge.stop()
