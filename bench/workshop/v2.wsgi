# v2: every request writes its own point, and waits for the answer.
import hello
import reporter


def finished(*request):
    reporter.client.write_points([reporter.point(*request)])


application = reporter.timed(finished)(hello.application)
