#!/usr/bin/python3
#
# A terminal for a test: runs a command in a pty, keeps the screen that it would
# draw (pyte), and answers orders on standard input, a line of JSON each, by a
# line of JSON. See ImxTerminal.pm.
#
import base64
import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios

import pyte

columns, rows, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]


def set_size(fd):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))


pid, terminal = pty.fork()
if pid == 0:
    set_size(0)
    os.execvp(command[0], command)
screen = pyte.Screen(columns, rows)
stream = pyte.ByteStream(screen)
raw, status, orders = b'', None, b''


def styles(y):
    """Of each column: colour, bold, underlined, reversed."""
    return [[c.fg, c.bold, c.underscore, c.reverse]
            for c in (screen.buffer[y][x] for x in range(screen.columns))]


def obey(order):
    global rows, columns
    if 'keys' in order:
        os.write(terminal, base64.b64decode(order['keys']))
    if 'size' in order:
        columns, rows = order['size']
        screen.resize(rows, columns)
        set_size(terminal)
    if 'signal' in order and status is None:
        os.kill(pid, order['signal'])
    answer = {'lines': screen.display, 'status': status, 'title': screen.title}
    if 'raw' in order:
        answer['raw'] = base64.b64encode(raw).decode()
    if 'styles' in order:
        answer['styles'] = [styles(y) for y in range(screen.lines)]
    print(json.dumps(answer), flush=True)


while True:
    ready = select.select([0] + ([terminal] if status is None else []), [], [])[0]
    if terminal in ready:
        try:
            got = os.read(terminal, 65536)
        except OSError:
            got = b''
        if got:
            raw += got
            stream.feed(got)
        else:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if 0 in ready:
        got = os.read(0, 65536)
        if not got:
            break
        orders += got
        while b'\n' in orders:
            order, orders = orders.split(b'\n', 1)
            obey(json.loads(order))
if status is None:
    os.kill(pid, 9)
