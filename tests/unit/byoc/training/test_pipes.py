"""Pipe mode over real named pipes: epochs, early ends, and the framing of records (CONTRACT 2.4, check 15)."""

import io
import os
import struct
import threading
import time

import pytest

from byoc.errors import DataError
from byoc.training import pipes
from byoc.training.channels import Channel
from byoc.training.pipes import HEADER, MAGIC, records


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


def frame(content, flag=0):
    return HEADER.pack(MAGIC, flag << 29 | len(content)) + content + b"\0" * (-len(content) % 4)


@pytest.mark.parametrize("contents", [[], [b""], [b"a", b"bc", b"def", b"ghij"], [bytes(range(256)) * 999]])
def test_records_are_framed_and_padded(contents):
    assert list(records(io.BytesIO(b"".join(map(frame, contents))))) == contents


def test_the_bytes_of_a_frame_are_those_of_the_format():
    assert frame(b"abcde") == bytes.fromhex("0a23d7ce 05000000") + b"abcde\0\0\0"


def test_a_record_with_the_magic_number_in_it_is_put_together():
    magic = struct.pack("<I", MAGIC)
    cut = frame(b"ab", 1) + frame(b"cd", 2) + frame(b"ef", 3)
    assert list(records(io.BytesIO(cut + frame(b"next")))) == [b"ab" + magic + b"cd" + magic + b"ef", b"next"]


BROKEN = {
    "no RecordIO": (b"setosa,1,2,3\n", "record 1 does not begin"),
    "half a header": (frame(b"abc") + b"\x0a\x23", "record 2 does not begin"),
    "half a record": (frame(b"abc") + frame(b"0123456789")[:-6], "record 2 of the stream is cut short"),
    "the end of nothing": (frame(b"abc", 3), "record 1 of the stream is cut short"),
    "no end": (frame(b"abc", 1), "record 1 of the stream is cut short"),
    "a new one before the end": (frame(b"abc", 1) + frame(b"abc"), "record 1 of the stream is cut short"),
}


@pytest.mark.parametrize(("stream", "told"), BROKEN.values(), ids=BROKEN)
def test_broken_streams_are_told(stream, told):
    with pytest.raises(DataError, match=told):
        list(records(io.BytesIO(stream)))
