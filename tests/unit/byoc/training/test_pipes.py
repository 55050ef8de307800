"""Pipe mode over real named pipes: epochs, early ends, and what is no record (CONTRACT 2.4, check 15)."""

import io
import os
import threading
import time

import pytest

from byoc import recordio
from byoc.errors import DataError
from byoc.training import pipes
from byoc.training.channels import Channel


def feed(pipe, content, after=0.0):
    """Make a pipe and write into it, as the platform does: later, and until the reader has enough."""

    def write():
        time.sleep(after)
        os.mkfifo(pipe)
        try:
            with pipe.open("wb") as out:
                out.write(content)
        except BrokenPipeError:
            left.set()

    left = threading.Event()
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread, left


def test_epochs_are_waited_for_and_read_one_after_the_other(tmp_path):
    writers = [feed(tmp_path / f"train_{n}", f"epoch {n}".encode(), after=0.3 * n + 0.2)[0] for n in range(3)]
    epochs = Channel("train", tmp_path / "train", is_pipe=True).epochs()
    assert [next(epochs).read() for _ in range(3)] == [b"epoch 0", b"epoch 1", b"epoch 2"]
    epochs.close()
    for writer in writers:
        writer.join(5)
        assert not writer.is_alive()


def test_a_stream_may_be_left_before_its_end(tmp_path):
    writer, left = feed(tmp_path / "train_0", b"x" * (1 << 22))
    feed(tmp_path / "train_1", b"next")
    epochs = Channel("train", tmp_path / "train", is_pipe=True).epochs()
    assert next(epochs).read(3) == b"xxx"
    assert next(epochs).read() == b"next"
    writer.join(5)
    assert left.is_set()
    epochs.close()


def test_a_pipe_that_does_not_come_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(pipes, "PATIENCE", 0.2)
    with pytest.raises(DataError, match=r"there is no .*train_0 after 0 s"):
        next(Channel("train", tmp_path / "train", is_pipe=True).epochs())


def test_streams_that_are_no_recordio_are_told():
    """CONTRACT check 30; the framing itself is tested in tests/unit/byoc/test_recordio.py."""
    assert list(pipes.records(io.BytesIO(recordio.frame(b"abc")))) == [b"abc"]
    with pytest.raises(DataError, match=r"record 1 of the stream does not begin as RecordIO does; is its Record"):
        list(pipes.records(io.BytesIO(b"setosa,1,2,3\n")))
