"""Answers in pieces through real nginx and gunicorn: generators, event streams, bodies of any size, sessions."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests import datasets, program
from tests.process.conftest import HANDLERS
from tests.process.test_limits import MEBIBYTE, peak
from tests.program import Server, serving, wait_until
from tests.readme import README

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW = {"X-Amzn-SageMaker-Session-Id": "NEW_SESSION"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = program.write_job(tmp_path_factory.mktemp("ml"))
    folder = program.write_program(base / "program", HANDLERS / "streaming" / "predictor.py")
    variables = {"SAGEMAKER_ENABLE_STATEFUL_SESSIONS": "true", "SAGEMAKER_SESSIONS_EXPIRATION": "10"}
    with serving(base, folder, MODEL_SERVER_WORKERS="2", MODEL_SERVER_TIMEOUT="5", **variables) as server:
        yield server


@pytest.fixture
def closed(server: Server):
    """Returns a function that tells whether a request's generator was closed."""
    return lambda inference_id: (server.log.parent / "model" / f"closed-{inference_id}").exists()


def stream(server: Server, body: str, accept: str = "", **headers: str) -> requests.Response:
    headers = {"Content-Type": "text/csv", "Accept": accept, **headers}
    return requests.post(f"{server.url}/invocations", data=body, headers=headers, stream=True, timeout=30)


def until_cut(answer: requests.Response) -> bytes:
    """Return what comes of an answer before its connection is cut; fail where it ends in order."""
    received = b""
    try:
        for piece in answer.iter_content(None):
            received += piece
    except requests.exceptions.ChunkedEncodingError:
        return received
    raise AssertionError(f"the answer ended in order: {received[-100:]!r}")


ANSWERS = {
    "": ("application/jsonlines", b'{"number":0}\n{"number":1}\n'),
    "application/jsonlines": ("application/jsonlines", b'{"number":0}\n{"number":1}\n'),
    "text/csv": ("text/csv", b"0\n1\n"),
    "text/event-stream": ("text/event-stream", b'data: {"number":0}\n\ndata: {"number":1}\n\n'),
}


@pytest.mark.parametrize("accept", [*ANSWERS, "application/json"])
def test_values_are_sent_in_the_type_asked_for(server, accept):
    answer = stream(server, "count,2", accept or "application/jsonlines")
    media_type, body = ANSWERS.get(accept, ANSWERS[""])
    assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, media_type, body)


def test_pieces_arrive_as_they_are_made(server):
    """Check 95: chunked, the first at once, none held back by nginx."""
    began = time.monotonic()
    answer = stream(server, "tick,10", "*/*")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    pieces = [(time.monotonic() - began, piece) for piece in answer.iter_content(None)]
    assert b"".join(piece for _, piece in pieces) == b"".join(b"%d\n" % number for number in range(10))
    # One that comes late may bring the next one along.
    assert len(pieces) >= 5
    assert pieces[0][0] < pieces[-1][0] - 0.5


def test_a_stream_outlasts_the_time_out_of_one_request(server):
    """Check 96: each piece has the time-out for itself."""
    assert len(stream(server, "tick,70", "text/plain").content.split()) == 70


def test_other_requests_take_turns_with_a_stream(server):
    """While as many streams run as there are workers, a small request is answered."""
    with ThreadPoolExecutor(4) as clients:
        streams = [clients.submit(lambda: stream(server, "tick,20", "*/*").content) for _ in range(4)]
        wait_until(server.busy, what="the first stream")
        assert stream(server, "count,1", "text/csv").content == b"0\n"
        assert not any(each.done() for each in streams)
        assert {each.result() for each in streams} == {b"".join(b"%d\n" % number for number in range(20))}


def test_a_client_that_goes_away_closes_the_generator(server, closed):
    """Check 97."""
    answer = stream(server, "tick,1000", "*/*", **{"X-Amzn-SageMaker-Inference-Id": "gone"})
    assert next(answer.iter_content(None))
    assert not closed("gone")
    answer.close()
    wait_until(lambda: closed("gone"), what="the generator's end")
    wait_until(lambda: not server.busy(), what="a free worker")


@pytest.mark.parametrize(("accept", "frame"), [("*/*", "{}\n"), ("text/event-stream", "event: error\ndata: {}\n\n")])
def test_an_error_in_mid_stream_is_the_last_line(server, accept, frame):
    """Check 97: told in band, and the connection is cut."""
    answer = stream(server, "raise,later", accept)
    received = until_cut(answer)
    told = re.search(re.escape(frame).replace(r"\{\}", r"(\{.*\})") + "$", received.decode())[1]
    assert json.loads(told)["error"]["code"] == "prediction_failed"
    assert "canary" not in told
    assert stream(server, "count,1", "text/csv").content == b"0\n"


def test_an_error_before_the_first_piece_has_a_status(server):
    answer = stream(server, "raise,at once")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "prediction_failed")


def test_the_context_speaks_both_ways(server):
    """Check 56."""
    answer = stream(server, "attributes,back", "*/*", **{"X-Amzn-SageMaker-Custom-Attributes": "there"})
    assert answer.status_code == 202
    assert answer.headers["X-Amzn-SageMaker-Custom-Attributes"] == "back"
    assert (answer.headers["X-Own"], answer.headers["Content-Type"]) == ("own", "text/own")
    assert answer.content == b"therethere"


def test_a_session_is_shared_by_the_workers(server):
    """CONTRACT 4.3: opened, used, closed; the pattern of the header is the service's own."""
    opened = stream(server, "remember,a", "application/jsonlines", **NEW)
    told = opened.headers["X-Amzn-SageMaker-New-Session-Id"]
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*;\sExpires=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told)
    assert opened.content == b'["a"]\n'
    mine = {"X-Amzn-SageMaker-Session-Id": told.partition(";")[0]}
    words = [stream(server, f"remember,{word}", "application/jsonlines", **mine).json() for word in "bcdef"]
    assert words[-1] == ["a", "b", "c", "d", "e", "f"]
    closed = stream(server, '{"requestType": "CLOSE"}', **mine)
    assert (closed.status_code, closed.headers["X-Amzn-SageMaker-Closed-Session-Id"]) == (200, mine[next(iter(mine))])
    gone = stream(server, "remember,g", **mine)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_not_found")


def test_sessions_without_a_request_in_use_and_expired(server):
    opened = stream(server, '{"requestType": "NEW_SESSION"}', **NEW)
    assert (opened.status_code, opened.content) == (200, b"")
    mine = {"X-Amzn-SageMaker-Session-Id": opened.headers["X-Amzn-SageMaker-New-Session-Id"].partition(";")[0]}
    running = stream(server, "tick,10", "*/*", **mine).iter_content(None)
    assert next(running) == b"0\n"
    busy = stream(server, "count,1", **mine)
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "session_busy")
    assert b"".join(running).split()[-1] == b"9"
    wait_until(lambda: stream(server, "count,1", "*/*", **mine).status_code == 404, what="the session's end")


def test_sessions_that_are_off(trained):
    """Check 65."""
    with serving(trained, MODEL_SERVER_WORKERS="1") as server:
        answer = stream(server, "1,2,3,4", **NEW)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "sessions_off")
        assert "SAGEMAKER_ENABLE_STATEFUL_SESSIONS" in answer.json()["error"]["message"]


def test_the_readmes_generator_streams(tmp_path):
    base = program.write_job(tmp_path / "ml")
    predictor = tmp_path / "predictor.py"
    predictor.write_text("def model_fn(model_dir): pass\n\n" + README.block("def predict_fn(data, model, context)"))
    with serving(base, program.write_program(tmp_path / "program", predictor), MODEL_SERVER_WORKERS="1") as server:
        assert stream(server, "1,2\n3,4\n", "application/jsonlines").content == b'{"sum":3}\n{"sum":7}\n'


# --- the sample algorithm, with bodies of any size


@pytest.fixture(scope="module")
def digits(trained_on) -> Iterator[Server]:
    variables = {"MODEL_SERVER_WORKERS": "1", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0", "MODEL_SERVER_TIMEOUT": "600"}
    with serving(trained_on("digits").base, **variables) as server:
        yield server


ROWS = datasets.digits().features(slice(None))
TEXT = "".join(",".join(row) + "\n" for row in ROWS)


@pytest.mark.parametrize("times", [4, 60])
def test_events_arrive_while_the_rest_is_predicted(digits, times):
    """Check 95, by the sample algorithm, for bodies of 1 MB and more than are held whole."""
    answer = stream(digits, TEXT * times, "text/event-stream")
    pieces = list(answer.iter_content(None))
    assert (answer.status_code, answer.headers["Transfer-Encoding"]) == (200, "chunked")
    assert len(pieces) > 2
    events = b"".join(pieces).decode().split("\n\n")[:-1]
    labels = [str(json.loads(event.removeprefix("data: "))["predicted_label"]) for event in events]
    assert labels == digits.post(TEXT).text.split() * times


def test_events_outlast_the_time_out_of_one_request(trained_on):
    """Check 96, by the sample algorithm: a client that reads slowly makes them last."""
    # More than the sockets between server and client hold, so that the server has to wait for the client.
    variables = {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0", "MODEL_SERVER_TIMEOUT": "4"}
    with serving(trained_on("digits").base, MODEL_SERVER_WORKERS="1", **variables) as server:
        answer, began = stream(server, TEXT * 120, "text/event-stream"), time.monotonic()
        received = b""
        for piece in answer.iter_content(1 << 14):
            received += piece
            time.sleep(0.05 if time.monotonic() - began < 7 else 0)
        assert time.monotonic() - began > 7, received[-300:]
        assert received.count(b"data: ") == 120 * len(ROWS)


def test_a_bad_row_late_in_a_stream(digits):
    """Check 97: the rows before it are answered."""
    received = until_cut(stream(digits, TEXT * 4 + "x,2\n", "text/event-stream"))
    error = json.loads(received.decode().rpartition("data: ")[2])["error"]
    assert (error["code"], error["row"]) == ("bad_request", 4 * len(ROWS) + 1)


NAMES = ",".join(f"column_{number}" for number in range(1, 65)) + "\n"
# media type · header · records · a bad one
KINDS = {
    "text/csv": ("", TEXT, "x,2\n"),
    "text/csv; header=present": (NAMES, TEXT, "x,2\n"),
    "application/jsonlines": ("", "".join(f"[{','.join(row)}]\n" for row in ROWS), "[1,\n"),
    "text/libsvm": (
        "",
        "".join(" ".join(f"{n}:{v}" for n, v in enumerate(row)) + "\n" for row in ROWS),
        "0:x\n",
    ),
}


@pytest.mark.parametrize("content_type", KINDS)
def test_a_body_in_pieces_is_answered_like_a_whole_one(digits, content_type):
    """The same labels, and JSON is still one value; an error names the row of the whole body and has its status."""
    header, text, bad = KINDS[content_type]
    times = 8 * MEBIBYTE // len(text) + 1
    labels = [int(label) for label in digits.post(TEXT).text.split()]
    answer = digits.post(header + text * times, content_type, Accept="application/json")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Length"] == str(len(answer.content))
    assert [each["predicted_label"] for each in answer.json()["predictions"]] == labels * times
    refused = digits.post(header + text * times + bad, content_type)
    assert (refused.status_code, refused.json()["error"]["row"]) == (400, times * len(ROWS) + 1)


def test_a_body_of_any_size_takes_bounded_memory(digits):
    """Issue: a CSV body is decoded, predicted and answered in pieces: 200 MB here, 1 GB in benchmarks/large_body.py."""
    (worker,) = digits.children()["worker"]
    block = (TEXT * (MEBIBYTE // len(TEXT))).encode()
    digits.post(block)
    before = peak(worker)
    answer = requests.post(
        f"{digits.url}/invocations",
        data=(block for _ in range(200)),
        headers={"Content-Type": "text/csv"},
        stream=True,
        timeout=200,
    )
    lines = sum(piece.count(b"\n") for piece in answer.iter_content(MEBIBYTE))
    assert (answer.status_code, lines) == (200, 200 * block.count(b"\n"))
    assert peak(worker) - before < 150 * MEBIBYTE


def test_a_large_body_that_cannot_be_cut_is_refused(digits):
    answer = digits.post(b" " * (101 * MEBIBYTE), "application/json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "payload_too_large")
    assert "application/jsonlines" in answer.json()["error"]["message"]
