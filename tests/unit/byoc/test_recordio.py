"""RecordIO's frames, in and out: the bytes of the format, records in parts, and what is no RecordIO."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc import recordio
from byoc.errors import RowError
from byoc.recordio import HEADER, MAGIC


def frame(content, part=0):
    return HEADER.pack(MAGIC, part << 29 | len(content)) + content + b"\0" * (-len(content) % 4)


def read(stream):
    return list(recordio.records(io.BytesIO(stream)))


@pytest.mark.parametrize("contents", [[], [b""], [b"a", b"bc", b"def", b"ghij"], [bytes(range(256)) * 999]])
def test_records_are_framed_and_padded(contents):
    stream = b"".join(map(frame, contents))
    assert read(stream) == contents
    assert b"".join(map(recordio.frame, contents)) == stream


def test_the_bytes_of_a_frame_are_those_of_the_format():
    assert recordio.frame(b"abcde") == bytes.fromhex("0a23d7ce 05000000") + b"abcde\0\0\0"


def test_the_last_padding_may_be_missing():
    assert read(frame(b"a") + frame(b"bcdef")[:-3]) == [b"a", b"bcdef"]


def test_a_record_with_the_magic_number_in_it_is_put_together():
    magic = struct.pack("<I", MAGIC)
    cut = frame(b"ab", 1) + frame(b"cd", 2) + frame(b"ef", 3)
    assert read(cut + frame(b"next")) == [b"ab" + magic + b"cd" + magic + b"ef", b"next"]


BROKEN = {
    "no RecordIO": (b"setosa,1,2,3\n", 1, "does not begin as RecordIO does"),
    "half a header": (frame(b"abc") + b"\x0a\x23", 2, "ends within its RecordIO header"),
    "half a record": (frame(b"abc") + frame(b"0123456789")[:-6], 2, "is cut short"),
    "a forged length": (struct.pack("<II", MAGIC, (1 << 29) - 1), 1, "is cut short"),
    "the end of nothing": (frame(b"abc", 3), 1, "does not begin as RecordIO does"),
    "the middle of nothing": (frame(b"abc") + frame(b"abc", 2), 2, "does not begin as RecordIO does"),
    "an unknown part": (frame(b"abc", 5), 1, "does not begin as RecordIO does"),
    "no end": (frame(b"abc", 1), 1, "is cut short"),
    "a new one before the end": (frame(b"abc", 1) + frame(b"abc"), 1, "does not begin as RecordIO does"),
}


@pytest.mark.parametrize(("stream", "record", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_streams_are_told_by_record(stream, record, message):
    with pytest.raises(RowError, match=message) as refused:
        read(stream)
    assert refused.value.row == record


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 60))
def test_any_bytes_are_records_or_an_error_of_ours(noise, position):
    sound = frame(b"0123456789") + frame(b"ab", 1) + frame(b"cd", 3)
    for stream in (noise, sound[:position] + noise, sound[:position] + noise + sound[position:]):
        try:
            read(stream)
        except RowError:
            continue
