"""RecordIO of protobuf records, in and out, against bytes that Google's own protobuf library wrote."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.errors import RowError
from byoc.predictions import Predictions
from byoc.serving.errors import RequestError
from byoc.serving.formats import recordio

# Serialized by the package protobuf from the schema in SageMaker's developer guide (package aialgs.data).
WRITTEN = {
    "float32, with a label, uid and metadata": (
        (
            "0a1e0a0676616c756573121412120a100000b040000060400000c03f0000803e"
            "12120a0676616c756573120812060a040000803f1a02753122027b7d"
        ),
        [5.5, 3.5, 1.5, 0.25],
    ),
    "float64": (
        "0a2e0a0676616c75657312241a220a2066666666666614400000000000000c40666666666666f63f9a9999999999c93f",
        [5.1, 3.5, 1.4, 0.2],
    ),
    "int32": ("0a1c0a0676616c75657312123a100a0e05fdffffffffffffffff01ac0200", [5, -3, 300, 0]),
    "sparse": ("0a1d0a0676616c756573121312110a08000060400000803e120201031a0104", [0, 3.5, 0, 0.25]),
    "sparse, all zeros": ("0a0f0a0676616c756573120512031a0104", [0, 0, 0, 0]),
    "float32, not packed": (
        "0a200a0676616c756573121612140d0000b0400d000060400d0000c03f0d0000803e",
        [5.5, 3.5, 1.5, 0.25],
    ),
    "sparse float64, not packed": (
        "0a240a0676616c756573121a1a18090000000000000c4009000000000000d03f100110031804",
        [0, 3.5, 0, 0.25],
    ),
    "int32, not packed": ("0a1e0a0676616c75657312143a12080508fdffffffffffffffff0108ac020800", [5, -3, 300, 0]),
}
DENSE = bytes.fromhex(WRITTEN["float64"][0])


def frame(record, part=0):
    return struct.pack("<II", 0xCED7230A, part << 29 | len(record)) + record + bytes(-len(record) % 4)


@pytest.mark.parametrize(("record", "values"), WRITTEN.values(), ids=WRITTEN)
def test_what_the_protobuf_library_writes(iris, record, values):
    body = frame(bytes.fromhex(record)) + frame(DENSE)
    for schema in (iris[0], None):
        np.testing.assert_array_equal(recordio.decode(body, {}, schema).matrix, [values, [5.1, 3.5, 1.4, 0.2]])


def test_every_record_may_be_written_in_its_own_way(iris):
    body = b"".join(frame(bytes.fromhex(record)) for record, _ in WRITTEN.values())
    np.testing.assert_array_equal(recordio.decode(body, {}, iris[0]).matrix, [values for _, values in WRITTEN.values()])


def test_the_last_padding_may_be_missing(iris):
    record = bytes.fromhex(WRITTEN["sparse"][0])
    assert len(record) % 4
    body = frame(record) + frame(record).rstrip(b"\0")
    assert len(recordio.decode(body, {}, iris[0])) == 2


def test_a_record_that_holds_the_magic_number_comes_in_parts(iris):
    """dmlc's writer cuts such a record there and leaves the number out."""
    uid = b"\x1a\x04" + struct.pack("<I", 0xCED7230A)
    padding = b"\x22" + bytes([(-len(DENSE) - 4) % 4]) + b"x" * ((-len(DENSE) - 4) % 4)
    record = DENSE + padding + uid
    start, end = record.split(uid[2:])
    assert len(start) % 4 == 0
    body = frame(start, 1) + frame(end, 3) + frame(DENSE)
    np.testing.assert_array_equal(recordio.decode(body, {}, iris[0]).matrix, [[5.1, 3.5, 1.4, 0.2]] * 2)


def tensor(number, content):
    """Return a record whose features are these bytes, as the field of a value."""
    value = bytes([number << 3 | 2, len(content)]) + content
    entry = b"\x0a\x06values\x12" + bytes([len(value)]) + value
    return frame(b"\x0a" + bytes([len(entry)]) + entry)


BAD = {
    "nothing": (b"", 400, None, "holds no rows"),
    "CSV": (b"5.1,3.5,1.4,0.2\n", 400, 1, "does not begin as RecordIO does"),
    "a record without a frame": (DENSE, 400, 1, "does not begin as RecordIO does"),
    "a cut header": (frame(DENSE) + frame(DENSE)[:7], 400, 2, "ends within its RecordIO header"),
    "a cut record": (frame(DENSE) + frame(DENSE)[:-9], 400, 2, "is cut short"),
    "a forged length": (struct.pack("<II", 0xCED7230A, (1 << 29) - 1), 400, 1, "is cut short"),
    "a middle without a start": (frame(DENSE, 2), 400, 1, "does not begin as RecordIO does"),
    "a start without an end": (frame(DENSE, 1), 400, 1, "is cut short"),
    "an unknown part": (frame(DENSE, 5), 400, 1, "does not begin as RecordIO does"),
    "an empty record": (frame(DENSE) + frame(b""), 400, 2, 'no features under the key "values"'),
    "no protobuf": (frame(b"\xff" * 12), 400, 1, "is not a protobuf record: a number does not end"),
    "a group": (frame(b"\x0b\x0c"), 400, 1, "wire type 3 is not known"),
    "a field that is cut": (frame(DENSE[:-1]), 400, 1, "a field is longer than its message"),
    "features that are a number": (frame(b"\x08\x01"), 400, 1, "a message is a number"),
    "another key": (frame(bytes.fromhex("0a110a05696d616765120812060a040000803f")), 400, 1, 'under the key "values"'),
    "bytes": (
        frame(bytes.fromhex("0a0f0a0676616c75657312054a030a0178")),
        400,
        1,
        "must hold its features as float32",
    ),
    "half a float": (tensor(2, b"\x0a\x02\x00\x00"), 400, 1, "a list of numbers is of another type"),
    "a double among floats": (tensor(2, b"\x09" + bytes(8)), 400, 1, "a list of numbers is of another type"),
    "narrow": (frame(DENSE) + tensor(2, b"\x0a\x04" + bytes(4)), 400, 2, "has 1 values, not the 4 expected"),
    "keys without a shape": (tensor(2, b"\x0a\x04" + bytes(4) + b"\x10\x01"), 400, 1, "is sparse and needs a shape"),
    "a key too far": (tensor(2, b"\x0a\x04" + bytes(4) + b"\x10\x04\x18\x04"), 400, 1, "position 4"),
    "a key twice": (tensor(2, b"\x0a\x08" + bytes(8) + b"\x10\x01\x10\x01\x18\x04"), 400, 1, "position twice"),
    "a key without a value": (tensor(2, b"\x10\x01\x18\x04"), 400, 1, "has 1 positions for 0 values"),
    "infinite": (tensor(2, b"\x0a\x10" + struct.pack("<4f", 1, 2, 3, np.inf)), 400, 1, "must be a finite number"),
    "missing": (tensor(2, b"\x0a\x10" + struct.pack("<4f", 1, 2, 3, np.nan)), 400, 1, "is missing"),
}


@pytest.mark.parametrize(("body", "status", "row", "message"), BAD.values(), ids=BAD)
def test_a_bad_body_is_told_by_row(iris, body, status, row, message):
    with pytest.raises((RowError, RequestError), match=message) as refused:
        recordio.decode(body, {}, iris[0])
    assert (getattr(refused.value, "status", 400), refused.value.row) == (status, row)


def test_a_forged_shape_takes_no_memory():
    with pytest.raises(RequestError, match="send fewer") as refused:
        recordio.decode(tensor(2, b"\x18" + b"\xff" * 8 + b"\x7f"), {}, None)
    assert refused.value.status == 413


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.binary(max_size=20), st.integers(0, 40), st.sampled_from([bytes.fromhex(each) for each, _ in WRITTEN.values()])
)
def test_any_bytes_are_rows_or_an_error_of_ours(iris, noise, position, record):
    changed = record[:position] + noise + record[position + len(noise) :]
    for body in (noise, frame(changed), frame(record)[:position] + noise):
        for schema in (iris[0], None):
            try:
                assert len(recordio.decode(body, {}, schema)) > 0
            except (RowError, RequestError):
                continue


# The answers as the package protobuf writes them.
ANSWERS = {
    "a label and its score": (
        Predictions(np.array(["setosa"]), np.array([[0.25, 0.75]]), ("a", "setosa")),
        (),
        (
            "0a23d7ce32000000121d0a0f7072656469637465645f6c6162656c120a4a080a067365746f7361"
            "12110a0573636f7265120812060a040000403f0000"
        ),
    ),
    "several numbers": (
        [{"predicted_label": 3.0, "probabilities": [0.5, 0.25, 0.25]}],
        (),
        (
            "0a23d7ce40000000121b0a0f7072656469637465645f6c6162656c120812060a0400004040"
            "12210a0d70726f626162696c69746965731210120e0a0c0000003f0000803e0000803e"
        ),
    ),
    "a whole number too large for a float32": (
        np.array([16777217]),
        ("predicted_label",),
        "0a23d7ce21000000121f0a0f7072656469637465645f6c6162656c120c1a0a0a080000001000007041000000",
    ),
}


@pytest.mark.parametrize(("predictions", "outputs", "body"), ANSWERS.values(), ids=ANSWERS)
def test_a_record_a_prediction(predictions, outputs, body):
    assert recordio.encode(predictions, outputs).hex() == body


def test_answers_follow_each_other():
    one = recordio.encode(["a"], ())
    assert recordio.encode(["a", "a"], ()) == one * 2
    assert len(one) % 4 == 0
