# v4: requests append dicts; a thread converts and writes them every second.
import hello
import reporter

batch = reporter.Batch(reporter.client.write_points)


def finished(*request):
    batch.append(reporter.point(*request))


application = reporter.timed(finished)(hello.application)
