"""A connection of nginx's: what is read in the lean way, what is left to gunicorn, and how it is answered."""

from __future__ import annotations

import gevent
import gevent.event
import pytest
from gevent import socket

from byoc.serving.connection import Replayed, serve

pytestmark = pytest.mark.timeout(60)
HEADERS = [("Content-Type", "text/csv"), ("Content-Length", "2")]


class Talk:
    """A connection that is served until it ends; notes what was asked."""

    def __init__(self, answer=("200 OK", HEADERS, b"ok"), read=True, may_go_on=lambda: True):
        self.client, self.server = socket.socketpair()
        self.asked = []
        self.answer, self.read = answer, read
        self.served = gevent.spawn(serve, self.server, self.respond, may_go_on)

    def respond(self, environ):
        body = b""
        while self.read and (block := environ["wsgi.input"].read(5)):
            body += block
        environ["body"] = body
        self.asked.append(environ)
        return self.answer

    def tell(self, *parts):
        """Send parts, each by itself."""
        for part in parts:
            self.client.sendall(part)
            gevent.sleep(0.001)

    def hang_up(self):
        """End the connection; return all that came back and what was left unread."""
        self.client.shutdown(socket.SHUT_WR)
        left = self.served.get()
        self.server.close()
        received = b""
        while block := self.client.recv(65536):
            received += block
        return received, left


@pytest.fixture
def connect():
    """Returns a function that opens a connection; it is closed in the end."""
    opened = []

    def make(*arguments, **keywords):
        opened.append(Talk(*arguments, **keywords))
        return opened[-1]

    yield make
    for talk in opened:
        talk.client.close()
        talk.server.close()


def post(body, *headers, path="/invocations", protocol="HTTP/1.1"):
    lines = [f"POST {path} {protocol}", "Host: model", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 2\r\n\r\nok"


def test_a_request_becomes_an_environment_and_its_answer_one_write(connect):
    talk = connect()
    talk.tell(post(b"1,2,3\n", "Content-Type: text/csv", "Accept:  a/b ", "Accept: c/d", path="/invocations?x=1"))
    assert talk.hang_up() == (OK, b"")
    (environ,) = talk.asked
    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/invocations",
        "QUERY_STRING": "x=1",
        "CONTENT_TYPE": "text/csv",
        "CONTENT_LENGTH": "6",
        "HTTP_ACCEPT": "a/b,c/d",
        "HTTP_HOST": "model",
        "body": b"1,2,3\n",
    }
    assert expected.items() <= environ.items()


def test_requests_however_they_are_cut(connect):
    whole = post(b"first,body\n") + post(b"") + post(b"third")
    for size in (1, 7, 64, len(whole)):
        talk = connect()
        talk.tell(*(whole[start : start + size] for start in range(0, len(whole), size)))
        assert talk.hang_up() == (OK * 3, b"")
        assert [environ["body"] for environ in talk.asked] == [b"first,body\n", b"", b"third"]


def test_a_body_that_was_not_read_is_passed_over(connect):
    talk = connect(read=False)
    talk.tell(post(b"x" * 100_000), post(b"y"))
    assert talk.hang_up() == (OK * 2, b"")


OTHERS = {
    "another route": b"GET /execution-parameters HTTP/1.1\r\n\r\n",
    "a longer path": post(b"1", path="/invocations-bidirectional-stream"),
    "another method": b"GET /invocations HTTP/1.1\r\nHost: model\r\n\r\n",
    "an older protocol": post(b"1", protocol="HTTP/1.0"),
    "chunks": b"POST /invocations HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
    "no length": b"POST /invocations HTTP/1.1\r\nHost: model\r\n\r\n",
    "a length that is none": b"POST /invocations HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_looks_different_is_left_unread(connect, other):
    talk = connect()
    talk.tell(post(b"1") + other)
    received, left = talk.hang_up()
    assert (received, left) == (OK, other)
    assert len(talk.asked) == 1
    connected, sender = socket.socketpair()
    with connected, sender:
        sender.sendall(b"rest")
        replayed = Replayed(connected, left)
        assert replayed.recv(3) + replayed.recv(65536) == other
        assert replayed.recv(65536) == b"rest"
        assert replayed.fileno() == connected.fileno()


def test_a_body_that_breaks_off_is_none(connect):
    talk = connect()
    talk.tell(post(b"1,2,3")[:-1])
    talk.client.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionError):
        talk.served.get()
    assert talk.asked == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (HEADERS[:1], b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1e\r\n" + b"b" * 30 + b"\r\n0\r\n\r\n"),
        ([("Content-Length", "31")], b"\r\n\r\na" + b"b" * 30),
    ],
    ids=["of unknown length", "of known length"],
)
def test_an_answer_in_pieces_is_sent_and_closed(connect, headers, expected):
    closed = []

    def pieces():
        try:
            yield from (b"a", b"", b"b" * 30)
        finally:
            closed.append(True)

    talk = connect(("200 OK", headers, pieces()))
    talk.tell(post(b"1"))
    received, _ = talk.hang_up()
    assert received.endswith(expected)
    assert closed == [True]


def test_pieces_are_closed_when_the_client_is_gone(connect):
    closed = gevent.event.Event()

    def pieces():
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.set()

    talk = connect(("200 OK", HEADERS[:1], pieces()))
    talk.tell(post(b"1"))
    talk.client.close()
    with pytest.raises(OSError, match=r"Broken pipe|reset"):
        talk.served.get()
    assert closed.is_set()


def test_a_worker_that_is_to_end_answers_and_ends(connect):
    talk = connect(may_go_on=lambda: False)
    talk.tell(post(b"1") + post(b"2"))
    assert talk.served.get() == b""
    assert len(talk.asked) == 1
