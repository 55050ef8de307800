"""`byoc docker invoke-local`, against a real server on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner

from byoc_cli.docker import docker


class Endpoint(BaseHTTPRequestHandler):
    """Answers what the test says and keeps what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked = (self.path, self.headers["Content-Type"], self.headers["Accept"], body)
        status, mime, answer = self.server.answer
        self.send_response(status)
        self.send_header("Content-Type", mime)
        if isinstance(answer, list):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in answer:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Endpoint) as server:
        server.answer = (200, "application/json", b'{"predictions": [1]}')
        server.asked = None
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def invoke(server):
    def run(*arguments, **keywords):
        words = ["invoke-local", "--port", str(server.server_port), *map(str, arguments)]
        return CliRunner().invoke(docker, words, **keywords)

    return run


@pytest.mark.parametrize(
    ("arguments", "content_type", "accept", "body"),
    [
        (["-b", '{"a":  "ü"}'], "application/json", None, '{"a":  "ü"}'.encode()),
        (["-b", '"text"'], "application/json", None, b'"text"'),
        (["-mm", "text/csv", "-b", "1,2\n"], "text/csv", None, b"1,2\n"),
        (["-mm", "text/csv", "-b", "rows.csv"], "text/csv", None, b"3,4\n"),
        (["--mime", "text/csv; charset=utf-8", "--body", "@rows.csv"], "text/csv; charset=utf-8", None, b"3,4\n"),
        (["-b", "@one.json", "--accept", "text/csv"], "application/json", "text/csv", b"[1]"),
        (["-mm", "image/png", "-b", "-"], "image/png", None, b"\x89PNG"),
        (["-mm", "text/csv", "-b", "1," * 3000], "text/csv", None, b"1," * 3000),
        (["-mm", "text/csv", "-b", ""], "text/csv", None, b""),
    ],
)
def test_a_body_is_sent_as_it_is(server, invoke, tmp_path, monkeypatch, arguments, content_type, accept, body):
    (tmp_path / "rows.csv").write_bytes(b"3,4\n")
    (tmp_path / "one.json").write_bytes(b"[1]")
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments, input=b"\x89PNG")
    assert done.exit_code == 0, done.output
    assert server.asked == ("/invocations", content_type, accept, body)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-b", '{"a":\n 1'], "the body is not JSON (line 2, column 3: Expecting ',' delimiter), and was not sent"),
        (["-b", "one.json"], "to send the file: -b @one.json"),
        (["-mm", "application/vnd.x+json; charset=utf-8", "-b", "1,2"], "the body is not JSON"),
        (["-b", "[" * 100_000], "the body is not JSON"),
        (["-mm", "text/csv", "-b", "@nosuch.csv"], "nosuch.csv cannot be read: No such file"),
        (["-mm", "text/csv\r\nX-Owned: 1", "-b", "1"], "is no media type"),
        (["-b", "[1]", "--accept", ""], "is no media type"),
    ],
)
def test_what_is_wrong_is_not_sent(server, invoke, tmp_path, monkeypatch, arguments, problem):
    (tmp_path / "one.json").write_bytes(b"[1]")
    monkeypatch.chdir(tmp_path)
    done = invoke(*arguments)
    assert done.exit_code != 0
    assert problem in done.output.splitlines()[-1]
    assert server.asked is None


@pytest.mark.parametrize(
    ("mime", "answer", "shown"),
    [
        ("application/json", '{"a": ["ü", 1]}'.encode(), '{\n  "a": [\n    "ü",\n    1\n  ]\n}\n'.encode()),
        ("application/json", b"{broken", b"{broken\n"),
        ("text/csv", b"setosa\nvirginica\n", b"setosa\nvirginica\n"),
        ("application/x-npy", b"\x93NUMPY\0", b"\x93NUMPY\0"),
        ("text/csv", [b"a\n", b"b\n"], b"a\nb\n"),
        ("text/csv", b"", b""),
    ],
)
def test_a_good_answer(server, invoke, mime, answer, shown):
    server.answer = (200, mime, answer)
    done = invoke("-b", "[1]")
    assert done.exit_code == 0
    assert done.stdout_bytes == shown
    size = sum(map(len, answer)) if isinstance(answer, list) else len(answer)
    status, _, rest = done.stderr.partition(" in ")
    assert status == "200 OK"
    assert float(rest.split(" ms")[0]) > 0
    assert rest.rstrip().endswith(f" ms: {size} bytes, {mime}")


def test_bytes_are_not_thrown_at_a_terminal(monkeypatch, capsys):
    from byoc_cli.docker import invoke_local

    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    invoke_local.write(b"\x93NUMPY\0", "application/x-npy")
    assert capsys.readouterr().out == "7 bytes of application/x-npy, not shown; to keep them: … > FILE\n"


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (
            400,
            json.dumps({"error": {"code": "bad_request", "message": "row 2: no", "request_id": "abc"}}).encode(),
            "Error: bad_request: row 2: no (request abc)",
        ),
        (500, b"it broke\n", "Error: it broke"),
        (500, b'{"error": "flat"}', 'Error: {"error": "flat"}'),
        (503, b"", "Error: the server answered 503 without a word; its log says why"),
    ],
)
def test_a_bad_answer(server, invoke, status, answer, message):
    server.answer = (status, "application/json", answer)
    done = invoke("-b", "[1]")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[0].startswith(f"{status} ")
    assert done.stderr.splitlines()[1] == message


def test_no_server_at_all(server, invoke):
    server.shutdown()
    server.server_close()
    done = invoke("-b", "[1]")
    assert done.exit_code == 1
    assert "nothing listens on port" in done.output
    assert "byoc docker run-local -i NAME" in done.output
