"""Calls of a real HTTP server: what it answers, when it does not, and how long it may take."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from byoc_cli.emulator.hosting.calls import Call, CallError, call

if TYPE_CHECKING:
    from collections.abc import Iterator


class Handler(BaseHTTPRequestHandler):
    """Does what the path says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.path == "/early":
            self.answer(413, b"too large")
            self.close_connection = True
            return
        body = self.body()
        if self.path == "/echo":
            self.answer(200, body)
        elif self.path == "/never":
            self.server.stop.wait(20)
        elif self.path == "/broken":
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif self.path == "/drips":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"1\r\na\r\n")
            while not self.server.stop.wait(0.02):
                self.wfile.write(b"1\r\nb\r\n")

        elif self.path == "/floods":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while not self.server.stop.is_set():
                self.wfile.write(b"1000\r\n" + bytes(0x1000) + b"\r\n")

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers["Content-Length"]))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"|".join(pieces)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("X-Seen", self.headers.get("X-Sent", "nothing"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.stop = threading.Event()
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_whole_answer(url: str) -> None:
    answer = call(url, "POST", "/echo", b"body", {"X-Sent": "this"})
    assert (answer.status, answer.body, answer.headers["x-seen"]) == (200, b"body", "this")


def test_a_body_in_pieces_is_sent_in_chunks(url: str) -> None:
    with Call(url, "POST", "/echo", [b"one", b"two"], {}, 10) as made:
        assert made.read() == b"one|two"


def test_an_answer_before_the_body_is_read(url: str) -> None:
    with Call(url, "POST", "/early", bytes(30 << 20), {}, 10) as made:
        assert (made.status, made.read()) == (413, b"too large")


def test_an_answer_that_never_comes(url: str) -> None:
    with pytest.raises(CallError, match=r"no whole answer came within 0\.3 s") as caught:
        call(url, "POST", "/never", seconds=0.3)
    assert caught.value.timed_out


@pytest.mark.parametrize("path", ["/drips", "/floods"])
def test_the_time_is_for_the_whole_answer(url: str, path: str) -> None:
    pieces = []
    with pytest.raises(CallError) as caught, Call(url, "POST", path, b"", {}, 0.5) as made:
        pieces.extend(made.pieces())
    assert caught.value.timed_out


def test_pieces_come_before_the_end(url: str) -> None:
    with Call(url, "POST", "/drips", b"", {}, 10) as made:
        assert next(made.pieces()) == b"a"


def test_what_is_left_of_the_time_is_the_next_pieces(url: str) -> None:
    with Call(url, "POST", "/drips", b"", {}, 10) as made:
        left = [made._socket.gettimeout() for _ in zip(made.pieces(), range(3), strict=False)]
    assert 10 > left[0] > left[1] > left[2]


def test_an_answer_that_breaks_off(url: str) -> None:
    with pytest.raises(CallError) as caught:
        call(url, "POST", "/broken")
    assert not caught.value.timed_out


def test_nobody_listens() -> None:
    with pytest.raises(CallError, match=r"the connection broke: .*refused"):
        call("http://127.0.0.1:1", "GET", "/ping")
