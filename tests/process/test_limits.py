"""What a server bears: large bodies, long connections, many clients, slow and broken predictions."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from tests.program import Server, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

MEBIBYTE = 1 << 20
WORKERS = 2


@pytest.fixture(scope="module")
def server(scripted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("ml")
    (base / "model").mkdir()
    with serving(base, scripted, MODEL_SERVER_WORKERS=str(WORKERS), GUNICORN_CMD_ARGS="--log-level info") as server:
        yield server


@pytest.mark.parametrize("word", ["sleep", "burn", "hold"])
def test_ping_while_every_worker_is_busy(server: Server, word: str) -> None:
    """Checks 44, 48: 20 pings, each on a connection of its own, whatever the predictions do to Python's lock."""

    def ping() -> tuple[int, float, float]:
        began = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.connect()
        connected = time.monotonic() - began
        connection.request("GET", "/ping")
        status = connection.getresponse().status
        connection.close()
        return status, connected, time.monotonic() - began

    with ThreadPoolExecutor(3 * WORKERS) as clients:
        answers = [clients.submit(server.post, f"{word},2") for _ in range(3 * WORKERS)]
        wait_until(lambda: any(answer.done() for answer in answers), what="the first answer")
        pings = [ping() for _ in range(20)]
        assert not all(answer.done() for answer in answers), "the workers were not busy"
        assert [status for status, *_ in pings] == [200] * 20
        # One of them may meet a moment in which this machine does nothing.
        assert sorted(connected for _, connected, _ in pings)[-2] < 0.25
        assert sorted(seconds for *_, seconds in pings)[-2] < 2
        assert [answer.result().status_code for answer in answers] == [200] * len(answers)


def test_four_times_as_many_clients_as_workers(server: Server) -> None:
    """Check 64: none is refused, and each gets its own answer."""
    with ThreadPoolExecutor(4 * WORKERS) as clients:
        bodies = [f"echo,{number}\n" for number in range(400)]
        answers = list(clients.map(server.post, bodies))
    assert [answer.text for answer in answers] == [f"{number}\n" for number in range(400)]


def test_a_thousand_requests_on_one_connection(server: Server) -> None:
    """Check 63."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.connect()
    local = connection.sock.getsockname()
    for number in range(1000):
        connection.request("POST", "/invocations", f"echo,{number}\n", {"Content-Type": "text/csv"})
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, f"{number}\n".encode())
    assert connection.sock.getsockname() == local
    connection.close()


def test_a_body_as_large_as_the_limit(server: Server) -> None:
    """Checks 57, 82: 25 MiB with Content-Length, and in chunks without."""
    body = b"echo,".ljust(25 * MEBIBYTE, b"x")
    whole = server.post(body)
    assert (whole.status_code, len(whole.content)) == (200, len(body) - len(b"echo,") + 1)
    chunks = (body[start : start + MEBIBYTE] for start in range(0, len(body), MEBIBYTE))
    in_chunks = requests.post(f"{server.url}/invocations", data=chunks, timeout=50)
    assert in_chunks.content == whole.content


def test_a_larger_body_is_refused_before_it_is_read(server: Server) -> None:
    """Check 73: the answer to the headers alone; nothing of it reaches a worker's memory."""
    before = resident(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: {25 * MEBIBYTE + 1}\r\n\r\n"
        client.sendall(head.encode())
        answer = client.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert '"code": "payload_too_large"' in answer
    assert "25 MB, set by SAGEMAKER_MAX_PAYLOAD_IN_MB" in answer

    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + bytes(MEBIBYTE) + b"\r\n"
        for _ in range(25):
            client.sendall(chunk)
        client.sendall(b"1\r\nx\r\n")
        answer = client.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413 ")
    assert resident(server) - before < 5 * MEBIBYTE


def test_a_gzip_bomb_is_refused_in_bounded_memory(server: Server) -> None:
    """Fault test 20: 1 GiB in 1 MiB is unpacked no further than the limit; an honest body is used."""
    assert server.post(gzip.compress(b"echo,1\n"), **{"Content-Encoding": "gzip"}).text == "1\n"
    bomb = gzip.compress(bytes(64 * MEBIBYTE)) * 16
    peaks = [peak(pid) for pid in server.children()["worker"]]
    answer = server.post(bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    grown = [after - before for before, after in zip(peaks, map(peak, server.children()["worker"]), strict=True)]
    assert max(grown) < 80 * MEBIBYTE


def peak(pid: int) -> int:
    """Return the most memory that a process has ever had resident, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def resident(server: Server) -> int:
    """Return the workers' resident memory in bytes."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.children()["worker"]]
    return sum(pages) * 4096


@pytest.mark.parametrize(
    ("body", "logged"),
    [
        ("raise,4711canary", "4711canary"),
        ("exit,4711canary", "4711canary"),
        ("forget,4711canary", "predict_fn returned 0 predictions for 1 rows"),
        ("object,4711canary", "not JSON serializable"),
        ("fly,4711canary", "KeyError"),
    ],
)
def test_a_prediction_that_fails(server: Server, body: str, logged: str) -> None:
    """Checks 70, 71: 500 in JSON without traceback, path or data; the log has it all; the worker lives on."""
    workers = server.children()["worker"]
    inference_id = f"test-{body}"
    headers = {"Accept": "application/json", "X-Amzn-SageMaker-Inference-Id": inference_id}
    answer = server.post(body, **headers)
    assert (answer.status_code, answer.headers["Content-Type"]) == (500, "application/json")
    error = answer.json()["error"]
    assert (error["code"], error["request_id"]) == ("prediction_failed", inference_id)
    for secret in ("4711canary", "Traceback", "/", "Error"):
        assert secret not in error["message"]
    (line,) = [line for line in server.records() if line.get("request_id") == inference_id and "traceback" in line]
    assert logged in line["traceback"]
    assert [server.post(f"echo,{number}").status_code for number in range(2 * WORKERS)] == [200] * 2 * WORKERS
    assert server.children()["worker"] == workers


def test_platform_headers(server: Server) -> None:
    """Checks 56, 107: headers that mean nothing here are passed over; a line of log a request, without the body."""
    headers = {f"X-Amzn-Unknown-{number}": "x" * 50 for number in range(20)}
    headers |= {"X-Amzn-SageMaker-Custom-Attributes": "trace=4711", "X-Amzn-SageMaker-Inference-Id": "inference-0815"}
    answer = server.post("echo,canary4712", **headers)
    assert (answer.status_code, answer.text) == (200, "canary4712\n")
    assert answer.headers["X-Request-Id"] == "inference-0815"
    assert answer.headers["Server"] == "nginx"
    (line,) = wait_until(lambda: [line for line in server.records() if line.get("request_id") == "inference-0815"])
    assert (line["status"], line["rows"], line["bytes"]) == (200, 1, len("echo,canary4712"))
    assert "canary4712" not in server.log.read_text()


def test_a_full_queue_refuses_at_once(scripted: Path, base: Path) -> None:
    """Check 74: one runs, one waits, the third is told to come again."""
    with (
        serving(base, scripted, MODEL_SERVER_WORKERS="1", SAGEMAKER_MODEL_JOB_QUEUE_SIZE="1") as server,
        ThreadPoolExecutor(20) as clients,
    ):
        slow = clients.submit(server.post, "sleep,8")
        wait_until(server.busy, what="the slow request")
        began = time.monotonic()
        others = [clients.submit(server.post, "echo,1") for _ in range(10)]
        refused = [answer for answer in (each.result() for each in others) if answer.status_code != 200]
        assert {answer.status_code for answer in refused} == {503}
        assert len(refused) >= 8
        assert all(answer.elapsed.total_seconds() < 4 for answer in refused)
        assert refused[0].headers["Retry-After"] == "1"
        assert refused[0].json()["error"]["code"] == "overloaded"
        assert slow.result().status_code == 200
        assert time.monotonic() - began < 30
        assert server.post("echo,1").status_code == 200


@pytest.mark.parametrize("word", ["sleep", "burn", "hold"])
def test_a_prediction_past_its_deadline(scripted: Path, base: Path, word: str) -> None:
    """Checks 58, 62: answered 5xx at the limit, the worker is replaced, and the next requests work.

    Whoever holds Python's lock keeps its worker from answering too: gunicorn ends that one 5 s after the limit.
    """
    with serving(base, scripted, MODEL_SERVER_WORKERS="1", MODEL_SERVER_TIMEOUT="5") as server:
        stuck = server.children()["worker"]
        answer = server.post(f"{word},300")
        # 10 s after the limit it is nginx that answers, by 504: what is 503, or came before, is none of its answers.
        status, code, slack = (503, "not_ready", 25) if word == "hold" else (504, "prediction_timeout", 7)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert 4 < answer.elapsed.total_seconds() < 5 + slack
        wait_until(lambda: server.children()["worker"] not in (stuck, []), what="another worker")
        wait_until(lambda: requests.get(f"{server.url}/ping", timeout=2).status_code == 200)
        assert [server.post(f"echo,{number}").status_code for number in range(20)] == [200] * 20


def test_predictions_that_fail_again_and_again(scripted: Path, base: Path) -> None:
    """Check 49: /ping tells of it, and that it is over once a prediction succeeds."""
    with serving(base, scripted, MODEL_SERVER_WORKERS="1", SAGEMAKER_MAX_FAILURES_IN_A_ROW="5") as server:

        def ping() -> requests.Response:
            return requests.get(f"{server.url}/ping", timeout=2)

        assert [server.post("raise,x").status_code for _ in range(4)] == [500] * 4
        assert ping().status_code == 200
        server.post("raise,x")
        wait_until(lambda: ping().status_code == 503, what="a bad /ping")
        assert "the last 5 predictions of every worker failed" in ping().text
        assert server.post("echo,1").status_code == 200
        wait_until(lambda: ping().status_code == 200, what="a good /ping")
