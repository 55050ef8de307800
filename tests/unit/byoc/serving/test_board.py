"""The notice board: slots, deaths, and which worker is able to take requests."""

import math
import os

import pytest

from byoc.serving.board import SILENCE, Board, Slot

NOW, DEADLINE = 1000.0, 60.0
SLOTS = {
    "idle": (Slot(1, True, NOW - 1, 0.0, 0), True),
    "loading": (Slot(1, False, NOW, 0.0, 0), False),
    "silent": (Slot(1, True, NOW - SILENCE - 1, 0.0, 0), False),
    "busy and so silent": (Slot(1, True, NOW - SILENCE - 1, NOW - 50, 0), True),
    "stuck": (Slot(1, True, NOW, NOW - 61, 0), False),
    "left": (Slot(1, True, math.inf, 0.0, 0), False),
    "left while busy": (Slot(1, True, math.inf, NOW - 1, 0), False),
}


@pytest.mark.parametrize(("slot", "able"), SLOTS.values(), ids=SLOTS)
def test_who_is_able(slot, able):
    assert slot.is_able(DEADLINE, NOW) is able


def test_what_one_process_writes_another_reads(tmp_path):
    supervisor = Board.create(tmp_path / "board", workers=2)
    assert supervisor.workers() == []
    worker = os.fork()
    if not worker:
        board = Board(tmp_path / "board")
        board.write(board.take_slot(), Slot(os.getpid(), True, 5.0, 4.5, 3))
        os._exit(0)
    assert os.waitpid(worker, 0)[1] == 0
    assert supervisor.workers() == [Slot(worker, True, 5.0, 4.5, 3)]
    assert supervisor.counts() == (0, 0, True)


def test_slots_are_taken_freed_and_never_run_out(tmp_path):
    board = Board.create(tmp_path / "board", workers=1)
    taken = [board.take_slot() for _ in range(4)]
    assert taken == [0, 1, 2, 3]
    assert board.take_slot() == 3
    board.write(1, Slot(7, True, 1.0, 0.0, 0))
    board.leave(1)
    assert board.free_slot(1).left
    assert board.take_slot() == 1
    assert not board.free_slot(1).left


def test_deaths_are_counted_by_whether_the_worker_was_ready(tmp_path):
    board = Board.create(tmp_path / "board", workers=1)
    assert board.counts() == (0, 0, False)
    board.count_death(was_ready=False)
    board.count_death(was_ready=False)
    board.count_death(was_ready=True)
    assert board.counts() == (2, 1, False)
