# v5: requests append finished lines; a thread only joins and writes them.
import functools

import hello
import reporter

batch = reporter.Batch(functools.partial(reporter.client.write_points,
                                         protocol='line'))
prefix = 'raw-requests,hostname=%s,process=%s,status=' % (
    reporter.HOSTNAME, reporter.PROCESS)


def finished(end, seconds, status):
    batch.append('%s%s application_time=%r %d' % (prefix, status, seconds, end))


application = reporter.timed(finished)(hello.application)
