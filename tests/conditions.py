#!/usr/bin/env python3
"""Which conditions of the catalogue the tests have provoked (tests/run.sh).

A condition counts as provoked when a line that a test has caused names its code
and has its cause or its remedy word for word: a line of a daemon's log, a
command's answer, or what a unit test prints after it has looked at the text
(tests/unit/condition_seen.h). One that no test provokes fails: there are no
exceptions.

usage: conditions.py CULVERT DIRECTORY-OF-LOGS"""
import glob
import json
import os
import re
import subprocess
import sys

CODE = re.compile(r'\bCV\d{4}\b')


def provoked(conditions, text, seen):
    """Adds to seen the codes of text, line by line."""
    for line in text.splitlines():
        for code in set(CODE.findall(line)) - seen:
            c = conditions.get(code)
            if c and (c['cause'] in line or c['remedy'] in line):
                seen.add(code)


def main(binary, logs):
    answer = subprocess.run([binary, 'explain', '--list', '--json',
                             '--language', 'en'], check=True,
                            capture_output=True, text=True).stdout
    conditions = {c['code']: c for c in json.loads(answer)}
    seen = set()
    for name in glob.glob(os.path.join(logs, '**', '*'), recursive=True):
        if name.endswith(('.log', '.first', '.seen')):
            with open(name, encoding='utf-8', errors='replace') as f:
                provoked(conditions, f.read(), seen)
    bad = ['no test provokes %s %s' % (code, conditions[code]['name'])
           for code in sorted(conditions.keys() - seen)]
    print('conditions: %d, provoked %d' % (
        len(conditions), len(seen & conditions.keys())))
    print('\n'.join(bad), end='\n' if bad else '')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
