"""The health check over its own socket: the truth about the workers, in no time."""

import http.client
import itertools
import json
import socket
import time

import pytest

from byoc.serving import health
from byoc.serving.board import SILENCE, Board, Slot

DEADLINE = 10.0


@pytest.fixture
def short_folder(tmp_path_factory):
    """A folder whose sockets' paths are short enough."""
    folder = tmp_path_factory.mktemp("h")
    assert len(str(folder / "health.sock")) < 108
    return folder


def ask(path, method="GET"):
    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    connection.sock.connect(str(path))
    try:
        connection.request(method, "/ping")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_every_method_and_both_answers(short_folder):
    """CONTRACT checks 45 and 46."""
    why = ["the model is loading"]
    health.answer_in_background(short_folder / "health.sock", lambda: why[0])
    status, body = ask(short_folder / "health.sock")
    assert (status, json.loads(body)["error"]["message"]) == (503, "the model is loading")
    assert ask(short_folder / "health.sock", "HEAD") == (503, b"")
    why[0] = ""
    for method in ("GET", "HEAD", "POST"):
        assert ask(short_folder / "health.sock", method) == (200, b"")


def test_clients_that_say_nothing_or_go_away_do_no_harm(short_folder):
    health.answer_in_background(short_folder / "health.sock", lambda: "")
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(str(short_folder / "health.sock"))
            rude.send(b"GET /ping HT")
    assert ask(short_folder / "health.sock") == (200, b"")


def idle(now):
    return Slot(1, True, now, 0.0, 0)


def busy(now):
    return Slot(2, True, now - 99, now - DEADLINE, 0)


def failing(now):
    return Slot(6, True, now, 0.0, 20)


def stuck(now):
    return Slot(3, True, now, now - DEADLINE - health.LENIENCE - 1, 0)


def loading(now):
    return Slot(4, False, now, 0.0, 0)


def silent(now):
    return Slot(5, True, now - SILENCE - 1, 0.0, 0)


CASES = [
    ((), "the model is loading"),
    ((loading, loading), "the model is loading"),
    ((idle, loading), ""),
    ((busy, busy), ""),
    ((stuck, busy), ""),
    ((stuck, stuck), "every worker is stuck"),
    ((silent,), "every worker is stuck"),
    ((stuck, idle), ""),
]


@pytest.mark.parametrize(("slots", "reason"), CASES)
def test_one_able_worker_is_enough(tmp_path, slots, reason):
    """CONTRACT checks 46, 48 and 49."""
    board = Board.create(tmp_path / "board", workers=4)
    for number, slot in zip(itertools.count(), slots, strict=False):
        board.write(number, slot(time.monotonic()))
    assert health.explain(board, DEADLINE) == reason


@pytest.mark.parametrize(
    ("slots", "most", "ready"),
    [((failing, failing), 20, False), ((failing, idle), 20, True), ((failing,), 21, True), ((failing,), 0, True)],
)
def test_predictions_that_fail_one_after_the_other(tmp_path, slots, most, ready):
    """CONTRACT check 49."""
    board = Board.create(tmp_path / "board", workers=4)
    for number, slot in enumerate(slots):
        board.write(number, slot(time.monotonic()))
    told = health.explain(board, DEADLINE, most)
    assert told == ("" if ready else f"the last {most} predictions of every worker failed; the log has the causes")


def test_workers_that_were_ready_once_are_being_replaced(tmp_path):
    board = Board.create(tmp_path / "board", workers=1)
    board.write(0, idle(time.monotonic()))
    board.free_slot(0)
    assert health.explain(board, DEADLINE) == "the workers are being replaced"
