# What the workshop's steps share: timing a WSGI request from its call to the
# close of its response, and the client of the `influxdb` package. Each step
# differs only in what it does with a finished request (see v2, v4, v5).
#
# BENCH_INFLUX=host:port/database comes in the environment of httpd.

import collections
import functools
import os
import socket
import threading
import time

import influxdb

HOSTNAME = socket.gethostname()
PROCESS = '%s:%d' % (HOSTNAME, os.getpid())
INTERVAL = 1.0

_address, _database = os.environ['BENCH_INFLUX'].split('/')
_host, _port = _address.split(':')
client = influxdb.InfluxDBClient(_host, int(_port), database=_database)


class TimedIterable:
    def __init__(self, iterable, start, status, finished):
        self.iterable = iterable
        self.start = start
        self.status = status
        self.finished = finished

    def __iter__(self):
        return iter(self.iterable)

    def close(self):
        try:
            if hasattr(self.iterable, 'close'):
                self.iterable.close()
        finally:
            self.finished(time.time_ns(), time.time() - self.start,
                          self.status[0])


def timed(finished):
    """Wraps an application: finished(end_ns, seconds, status) per request."""
    def decorate(application):
        @functools.wraps(application)
        def wrapper(environ, start_response):
            start = time.time()
            status = ['500']

            def start_timed(line, headers, *args):
                status[0] = line.split(' ', 1)[0]
                return start_response(line, headers, *args)

            return TimedIterable(application(environ, start_timed), start,
                                 status, finished)
        return wrapper
    return decorate


def point(end, seconds, status):
    return {
        'measurement': 'raw-requests',
        'time': end,
        'tags': {'hostname': HOSTNAME, 'process': PROCESS, 'status': status},
        'fields': {'application_time': seconds},
    }


class Batch:
    """Collects what requests append, and gives it to write() every second."""

    def __init__(self, write):
        self.items = collections.deque()
        self.write = write
        threading.Thread(target=self.run, daemon=True).start()

    def append(self, item):
        self.items.append(item)

    def run(self):
        while True:
            time.sleep(INTERVAL)
            batch = [self.items.popleft() for _ in range(len(self.items))]
            if batch:
                self.write(batch)
