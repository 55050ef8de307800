from __future__ import annotations

import struct

import pytest

from byoc_cli.emulator.transform import records
from byoc_cli.emulator.transform.errors import DataError

MAGIC = struct.pack("<I", 0xCED7230A)


def recordio(payload: bytes, flag: int = 0) -> bytes:
    return MAGIC + struct.pack("<I", flag << 29 | len(payload)) + payload + b"\0" * (-len(payload) % 4)


def tfrecord(payload: bytes) -> bytes:
    return struct.pack("<Q", len(payload)) + b"CRC1" + payload + b"CRC2"


@pytest.mark.parametrize(
    ("content", "split_type", "framed", "alone"),
    [
        (b"a\nb\n", "None", [b"a\nb\n"], [b"a\nb\n"]),
        (b"", "None", [b""], [b""]),
        (b"a\nb\n", "Line", [b"a\n", b"b\n"], [b"a\n", b"b\n"]),
        (b"a\r\nb", "Line", [b"a\r\n", b"b"], [b"a\r\n", b"b"]),
        (b"a\x0bb\x85c\n", "Line", [b"a\x0bb\x85c\n"], [b"a\x0bb\x85c\n"]),
        (b"", "Line", [], []),
        (recordio(b"one") + recordio(b"four"), "RecordIO", [recordio(b"one"), recordio(b"four")], [b"one", b"four"]),
        (
            recordio(b"x", 1) + recordio(b"y", 2) + recordio(b"z", 3),
            "RecordIO",
            [recordio(b"x", 1) + recordio(b"y", 2) + recordio(b"z", 3)],
            [b"x" + MAGIC + b"y" + MAGIC + b"z"],
        ),
        (tfrecord(b"one") + tfrecord(b""), "TFRecord", [tfrecord(b"one"), tfrecord(b"")], [b"one", b""]),
    ],
)
def test_an_object_is_split(content, split_type, framed, alone):
    found = records.split(content, split_type)
    assert [record.framed for record in found] == framed
    assert [record.alone for record in found] == alone


@pytest.mark.parametrize(
    ("content", "split_type", "message"),
    [
        (b"no magic", "RecordIO", "no RecordIO record at byte 0"),
        (recordio(b"one") + b"\1\2", "RecordIO", "head, at byte 12"),
        (recordio(b"four")[:-1], "RecordIO", "within the record at byte 0"),
        (recordio(b"x", 1), "RecordIO", "several parts"),
        (b"short", "TFRecord", "head, at byte 0"),
        (tfrecord(b"one")[:-1], "TFRecord", "within the record at byte 0"),
    ],
)
def test_what_is_not_in_the_format_is_told(content, split_type, message):
    with pytest.raises(DataError, match=message):
        records.split(content, split_type)


LINES = records.split(b"1\n22\n333\n4444\n", "Line")
LARGE = records.split(b"x" * 600_000 + b"\n" + b"y" * 600_000 + b"\n" + b"z\n", "Line")


@pytest.mark.parametrize(
    ("found", "single", "megabytes", "parts"),
    [
        (LINES, False, 6, [(0, 4)]),
        (LINES, True, 6, [(0, 1), (1, 1), (2, 1), (3, 1)]),
        (LARGE, False, 1, [(0, 1), (1, 2)]),
        (LARGE, False, 2, [(0, 3)]),
        (LARGE, False, 0, [(0, 3)]),
        ([], False, 6, []),
    ],
)
def test_records_are_put_into_requests(found, single, megabytes, parts):
    made = list(records.batches(found, single=single, megabytes=megabytes))
    assert [(batch.first, batch.count) for batch in made] == parts
    assert b"".join(batch.body for batch in made) == b"".join(record.framed for record in found)


def test_a_record_alone_goes_without_its_frame():
    found = records.split(recordio(b"one") + recordio(b"two"), "RecordIO")
    assert [batch.body for batch in records.batches(found, single=True, megabytes=6)] == [b"one", b"two"]
    (together,) = records.batches(found, single=False, megabytes=6)
    assert together.body == recordio(b"one") + recordio(b"two")


def test_a_record_that_is_too_large_is_told():
    with pytest.raises(DataError, match=r"record 2 has 1,048,577 bytes, more than MaxPayloadInMB=1"):
        list(records.batches(records.split(b"a\n" + b"x" * 1_048_577, "Line"), single=False, megabytes=1))
    list(records.batches(records.split(b"x" * 1_048_576, "Line"), single=False, megabytes=1))


@pytest.mark.parametrize(
    ("answers", "assemble_with", "output"),
    [
        ([b"a", b"b"], "None", b"ab"),
        ([b"a\n", b"b\n"], "None", b"a\nb\n"),
        ([b"a", b"b"], "Line", b"a\nb\n"),
        ([b"a\n", b"b"], "Line", b"a\nb\n"),
        ([], "Line", b""),
    ],
)
def test_answers_are_assembled(answers, assemble_with, output):
    assert records.assemble(answers, assemble_with) == output
