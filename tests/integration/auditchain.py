"""The audit's chain once more, written from the description in audit_row.h
alone: what it says must be enough for somebody else to check the chain."""
import base64
import hashlib
import sqlite3
import struct
import subprocess

NUMBERS = ('seq', 'wall_ms', 'mono_ns')
TEXTS = ('listener', 'device', 'destination', 'peer', 'local', 'calling_ae',
         'called_ae', 'fingerprint', 'study', 'user', 'detail')
ZERO = b'\0' * 32


def number(v):
    return struct.pack('>Iq', 8, v)


def text(v):
    v = (v or '').encode()
    return struct.pack('>I', len(v)) + v


def canonical(row):
    out = b''.join(number(row[n]) for n in NUMBERS) + text(row['boot'])
    out += number(row['kind']) + number(row['outcome'])
    out += number(row['association']) if row['association'] else text('')
    out += b''.join(text(row[t]) for t in TEXTS)
    return out + (row['commitment'] or ZERO) + (row['sealed_hash'] or ZERO)


def row_hash(row, prev):
    return hashlib.sha256(b'\x02' + prev + canonical(row)).digest()


def genesis(log, first):
    return hashlib.sha256(b'\x04' + log + struct.pack('>q', first)).digest()


def commitment(salt, plain):
    return hashlib.sha256(b'\x03' + salt + plain).digest()


def open_db(path):
    c = sqlite3.connect(path, timeout=10)
    c.row_factory = sqlite3.Row
    return c


def drop_triggers(c):
    """Take them away; returns what puts them back."""
    rows = c.execute("SELECT name, sql FROM sqlite_schema WHERE "
                     "type='trigger'").fetchall()
    for name, _ in rows:
        c.execute('DROP TRIGGER ' + name)
    return [sql for _, sql in rows]


def months(directory):
    return sorted(directory.glob('audit-2*.db'))


def all_rows(directory):
    """[(path, row)] of all months in order of seq."""
    out = []
    for path in months(directory):
        c = open_db(path)
        out += [(path, dict(r)) for r in c.execute('SELECT * FROM audit')]
        c.close()
    return sorted(out, key=lambda r: r[1]['seq'])


def heads(directory):
    out = []
    for path in months(directory):
        c = open_db(path)
        out += [dict(r) for r in c.execute('SELECT * FROM heads')]
        c.close()
    return sorted(out, key=lambda h: h['number'])


def statement(head, when):
    return ('culvert audit head 1\nnode: %s\nlog: %s\nnumber: %d\nseq: %d\n'
            'chain: %s\ntime: %s\nkey: %s\n' % (
                head['node'], head['log'].hex(), head['number'], head['seq'],
                head['chain'].hex(), when, head['key_id'].hex())).encode()


def head_file(head):
    import datetime
    t = datetime.datetime.fromtimestamp(head['wall_ms'] // 1000,
                                        datetime.timezone.utc)
    when = t.strftime('%Y-%m-%dT%H:%M:%S') + '.%03dZ' % (head['wall_ms'] % 1000)
    text_ = statement(head, when)
    return text_ + b'signature: ' + base64.b64encode(head['sig']) + b'\n'


def openssl_sign(key, data):
    return subprocess.run(['openssl', 'dgst', '-sha256', '-sign', key],
                          input=data, capture_output=True, check=True).stdout


def openssl_verify(pub, data, sig, tmp):
    f = tmp / 'sig'
    f.write_bytes(sig)
    return subprocess.run(['openssl', 'dgst', '-sha256', '-verify', pub,
                           '-signature', f], input=data,
                          capture_output=True).returncode == 0


def forge_forward(directory, seq):
    """Make the chain anew from row seq on, as one without the key can."""
    prev = None
    for path, row in all_rows(directory):
        if row['seq'] == seq:
            prev = row['prev_chain']
        if prev is None:
            continue
        chain = row_hash(row, prev)
        c = open_db(path)
        triggers = drop_triggers(c)
        c.execute('UPDATE audit SET prev_chain=?, chain=? WHERE seq=?',
                  (prev, chain, row['seq']))
        for sql in triggers:
            c.execute(sql)
        c.commit()
        c.close()
        prev = chain
