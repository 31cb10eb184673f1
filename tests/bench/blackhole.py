#!/usr/bin/python3
"""A real black hole: a network namespace with the far end, and a bridge in
another between it and us. With the bridge set down every packet is dropped,
both ways, and neither end sees its own link go. Needs root.

usage: blackhole.py COMMAND...   run COMMAND in the far namespace; lines
'hole SECONDS' on stdin cut it off for so long

From here it is 10.231.7.2, and we are 10.231.7.1 from there."""

import os
import shutil
import subprocess
import sys
import time

NEAR, FAR = '10.231.7.1', '10.231.7.2'


def ip(*args):
    subprocess.run(['ip', *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


def missing():
    """Why there can be none here, or None."""
    if os.geteuid() != 0:
        return 'network namespaces need root'
    if not shutil.which('ip'):
        return 'iproute2 is not installed'
    try:
        with Net():
            return None
    except (OSError, subprocess.CalledProcessError) as e:
        return 'this kernel gives no namespace with a bridge: %s' % (
            getattr(e, 'stderr', b'') or e)


class Net:
    """near - bridge - far; removed at the end of the with."""
    host = FAR

    def __enter__(self):
        tag = os.getpid() % 100000
        self.mid, self.far = 'culvert-mid-%d' % tag, 'culvert-far-%d' % tag
        self.near = 'cvt%d' % tag
        self.wrapper = ('ip', 'netns', 'exec', self.far)
        try:
            self.build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def build(self):
        for name in (self.mid, self.far):
            ip('netns', 'add', name)
        ip('link', 'add', self.near, 'type', 'veth', 'peer', 'name', 'side0',
           'netns', self.mid)
        ip('-n', self.far, 'link', 'add', 'eth0', 'type', 'veth', 'peer',
           'name', 'side1', 'netns', self.mid)
        ip('-n', self.mid, 'link', 'add', 'br0', 'type', 'bridge',
           'stp_state', '0', 'forward_delay', '0')
        for port in ('side0', 'side1'):
            ip('-n', self.mid, 'link', 'set', 'dev', port, 'master', 'br0',
               'up')
        ip('-n', self.mid, 'link', 'set', 'br0', 'up')
        ip('-n', self.far, 'link', 'set', 'lo', 'up')
        ip('-n', self.far, 'addr', 'add', FAR + '/24', 'dev', 'eth0')
        ip('-n', self.far, 'link', 'set', 'eth0', 'up')
        ip('addr', 'add', NEAR + '/24', 'dev', self.near)
        ip('link', 'set', self.near, 'up')

    def __exit__(self, *_):
        for command in (['link', 'del', self.near],
                        ['netns', 'del', self.far],
                        ['netns', 'del', self.mid]):
            subprocess.run(['ip', *command], stderr=subprocess.DEVNULL)

    def down(self):
        ip('-n', self.mid, 'link', 'set', 'br0', 'down')

    def up(self):
        ip('-n', self.mid, 'link', 'set', 'br0', 'up')

    def hole(self, seconds):
        self.down()
        try:
            time.sleep(seconds)
        finally:
            self.up()


def main(argv):
    why = missing()
    if why:
        print('blackhole: NOT POSSIBLE HERE: ' + why, file=sys.stderr)
        return 77
    if not argv:
        print(__doc__, file=sys.stderr)
        return 2
    with Net() as net:
        child = subprocess.Popen([*net.wrapper, *argv],
                                 stdin=subprocess.DEVNULL)
        try:
            for line in sys.stdin:
                words = line.split()
                if len(words) == 2 and words[0] == 'hole':
                    net.hole(float(words[1]))
                    print('over', flush=True)
            return child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
