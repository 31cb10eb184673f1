#!/usr/bin/env python3
"""Warnings and errors in the sources against the catalogue of conditions.

Every event that is logged as a warning or an error has a condition of its name
or a row in condition_events.h; every row there and every condition is used.
Prints what is not so; exit status 1 then."""
import glob
import re
import sys

STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
EVENT = re.compile(r'^[a-z0-9]+(-[a-z0-9]+)*$')


def sources():
    for folder in ('proxy', 'proxy/*', 'policy', 'store', 'web-status'):
        for name in sorted(glob.glob(folder + '/*.c')):
            yield name, open(name, encoding='utf-8').read()


def arguments(text, at):
    """The arguments of the call whose '(' ends at text[at]."""
    out, depth, begin, i, quoted = [], 1, at, at, False
    while depth:
        c = text[i]
        if quoted:
            if c == '\\':
                i += 1
            quoted = c != '"' if c != '\\' else True
        elif c == '"':
            quoted = True
        elif c in '([{':
            depth += 1
        elif c in ')]}':
            depth -= 1
        if (c == ',' and depth == 1 and not quoted) or depth == 0:
            out.append(' '.join(text[begin:i].split()))
            begin = i + 1
        i += 1
    return out


def branches(expression):
    """The values that "a ? b : c" may have."""
    if '?' not in expression:
        return [expression]
    return [part.strip() for part in
            re.split(r'[?:]', STRING.sub(lambda m: m.group(0), expression))[1:]]


def events_of(level, event):
    """The names that a call may log as a warning or an error."""
    levels, names = branches(level), branches(event)
    loud = [not re.fullmatch(r'LOG_(INFO|DEBUG)', v) for v in levels]
    if len(levels) == len(names) > 1:
        names = [n for n, is_loud in zip(names, loud) if is_loud]
    elif not any(loud):
        names = []
    return [m.group(1) for n in names for m in STRING.finditer(n)]


def main():
    headers = ''.join(open(f, encoding='utf-8').read()
                      for f in sorted(glob.glob('proxy/lib/condition_*.h')))
    headers = re.sub(r'/\*.*?\*/|\\\n', '', headers, flags=re.S)
    rows = re.findall(r'X\((\w+),\s*(\d+),\s*\w+,\s*"([a-z0-9-]+)"', headers)
    names = {name: ident for ident, _, name in rows}
    aliases = dict(re.findall(r'X\("([a-z0-9-]+)",\s*(\w+)\)', headers))
    varying = set(re.findall(r'V\("([a-z0-9-]+)"\)', headers))
    bad, logged, everything = [], set(), ''
    for name, text in sources():
        if name.startswith('proxy/lib/condition') or name == 'proxy/lib/log.c':
            continue
        everything += text
        for call in re.finditer(r'\blog_event\(', text):
            args = arguments(text, call.end())
            logged.update(events_of(args[0], args[1]))
        logged.update(re.findall(r'LOG_(?:WARN|ERROR),\s*"([a-z0-9-]+)"', text))
    for event in sorted(logged):
        if EVENT.match(event) and not (event in names or event in aliases or
                                       event in varying):
            bad.append('no condition for the event ' + event)
    for event in sorted(varying | set(aliases)):
        if '"%s"' % event not in everything:
            bad.append('nobody logs %s of condition_events.h' % event)
        if event in names:
            bad.append('%s of condition_events.h is a name itself' % event)
    for event, ident in sorted(aliases.items()):
        if ident not in names.values():
            bad.append('%s: there is no condition %s' % (event, ident))
    for name, ident in sorted(names.items()):
        if '"%s"' % name not in everything and ident not in aliases.values() and \
                not re.search(r'\bCONDITION_%s\b' % ident, everything):
            bad.append('nobody uses the condition ' + name)
    print('%d conditions, %d loud events' % (len(rows), len(logged)))
    print('\n'.join(bad))
    return 1 if bad or not rows or not logged else 0


if __name__ == '__main__':
    sys.exit(main())
