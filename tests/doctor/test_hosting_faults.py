"""Bad endpoints: each check of hosting, errors, batch, pipelines and security sees what it is there for.

One server, offering all that an endpoint may be asked for, and faults of it that do not hide one another, many to an
image.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.docker

FOLDERS = "program/ endpoint/"
LABEL = "LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true\n"
# What is wrong, the check that must see it, and the words by which it does.
REQUESTS = {
    "one shape of JSON": (52, r"is answered 400: .*no instances"),
    "one line for all": (53, r"4 records, 1 lines"),
    "no q-values": (54, r"Accept: application/json;q=0\.5, text/csv is answered with application/json"),
    "reads JSON backwards": (55, r"is not \{"),
    "fails on unknown headers": (56, r"answered 500"),
    "refuses a crowd": (64, r"answered 500: .*so many"),
    "fails on sessions": (65, r"NEW_SESSION is answered 500"),
    "reads any type": (66, r"application/x-doctor is answered 200"),
    "answers in any type": (67, r"answered 200"),
    "fails on nothing": (69, r"answered 500"),
    "forgets who asked": (71, r"the log does not name X-Amzn-SageMaker-Inference-Id"),
    "500 for 413": (73, r"answered 500: .*more than 1 MB"),
    "reads true only": (75, r"SAGEMAKER_BATCH=True: the container ended; its last line: SAGEMAKER_BATCH is True"),
    "Python for JSON": (76, r"the body isn't JSON"),
    "reads CRLF twice": (77, r"4 rows in .*: answered 200"),
    "single rows differ": (78, r"alone the rows are answered differently"),
    "no newline at the end": (79, r"8 rows, 7 lines"),
    "skips bad rows": (80, r"6 rows, 5 lines"),
    "no chunks": (82, r"answered 411"),
    "mixes answers up": (83, r"answers were mixed up"),
    "a key in the history": (106, r"the history holds AKIAIOSFODNN"),
    "says its version": (107, r"the header says Server: BaseHTTP"),
    "follows Target-Model": (108, r"the header is answered 500"),
}
LIMITS = {
    "ping waits its turn": (48, r"the slowest took \d|got no answer: TimeoutError"),
    "reads the model each time": (49, r"/ping answers 200, and /invocations 500"),
    "cuts off at 20 MB": (57, r"got no answer"),
    "one worker": (58, r"(\d+) processes, then \1$"),
    "five workers": (59, r"5 workers on one CPU"),
    "writes beside itself": (60, r"PermissionError|Read-only file system"),
    "a hundred requests": (63, r"closed after 100 requests"),
    "no Retry-After": (74, r"503 without Retry-After"),
    "25 MB at most": (81, r"answered 413"),
    "answers at length": (84, r"the answers differ"),
    "ten seconds at most": (85, r"got no answer: RemoteDisconnected"),
    "a port of its own": (100, r"listens on \d+, \d+, outside its range"),
    "reads no parameters": (101, r"text/csv; charset=utf-8 from the first: the second answered 415"),
    "calls home": (104, r"attempts to connect: 0 at the start, 3 at 3 requests"),
    "a variable for a secret": (106, r"a variable for a secret: API_TOKEN"),
    "logs bodies": (107, r"a request's value is in the log"),
}
# Dies with the server that other checks are asking at the same time.
DEADLY = {"dies of bad rows": (70, r"got no answer|the container ended")}
LEFTOVERS = {
    "calls CSV plain": (51, r"Content-Type is text/plain"),
    "waits for a network": (61, r"ready after \d+\.\d s, and with a network after"),
    "hangs up at the deadline": (62, r"got no answer: RemoteDisconnected"),
    "closes idle connections": (63, r"closed after \d+ idle seconds"),
    "repeats values": (71, r'the answer holds "doctored-value"'),
    "8080 too": (99, r"it listens on 8080 too"),
    "a file": (102, r"1 files, such as /opt/ml/left"),
    "a driver": (103, r"found /usr/lib/libcuda\.so\.1"),
    "gives files away": (105, r"PermissionError|Operation not permitted"),
    "a repository": (106, r"a git repository in a layer: /opt/\.git"),
    "logs plain text": (107, r"a line of the log is no JSON"),
    "pickles": (108, r"a pickle: means\.pkl"),
}
# Faults of the image, not of its program; the repository is there no more, but in a layer.
REMAINS = """
RUN touch /opt/ml/left /usr/lib/libcuda.so.1 && mkdir /opt/.git && touch /opt/.git/HEAD
RUN rm -r /opt/.git
"""
# Nothing can be asked of these: each is an image of its own.
STARTS = {
    "listens inside only": (44, r"no 200 from /ping within 10 s: GET /ping got no answer"),
    "sleeps at the start": (47, r"no 200 from /ping within 10 s"),
    "writes to the model folder": (50, r"the container ended; its last line: OSError: .*Read-only file system"),
}


def test_requests(catches):
    # One at a time: what this server does wrong under a crowd would hide the rest.
    catches(REQUESTS, "--jobs", "1", folders=FOLDERS, ending="RUN : AKIAIOSFODNN7EXAMPLE")


def test_limits(catches):
    catches(LIMITS, folders=FOLDERS, ending=LABEL + "ENV API_TOKEN=abc")


def test_a_server_that_dies(catches):
    catches(DEADLY, folders=FOLDERS)


def test_leftovers(catches):
    catches(LEFTOVERS, folders=FOLDERS, ending=LABEL + REMAINS)


@pytest.mark.parametrize("fault", STARTS)
def test_one_at_a_time(catches, fault):
    catches({fault: STARTS[fault]}, "--start-timeout", "10", folders=FOLDERS)


def test_the_same_server_without_a_fault_passes_them(bad_image, examine):
    numbers = {number for table in (REQUESTS, LIMITS, DEADLY, LEFTOVERS, STARTS) for number, _ in table.values()}
    # Those that take long are passed by our image.
    numbers -= {48, 49, 57, 58, 62, 63, 81, 85, 107}
    image = bad_image(folders=FOLDERS, ending=LABEL)
    examined = examine(image, "--only", ",".join(str(number) for number in sorted(numbers)))
    assert [result for result in examined.results.values() if result["status"] != "passed"] == []
