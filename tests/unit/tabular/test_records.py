"""Training data as SageMaker's records: real tables, dense and sparse, and mistakes told by file and record."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from byoc import aialgs, machine, protobuf, recordio
from byoc.errors import DataError
from byoc.training.channels import Channel
from tabular import data, records
from tests.aialgs import dense, entry

DIGITS = load_digits()


def sparse(field, numbers):
    """Write only what is not 0, its positions and how wide the record is; both are below 128."""
    keys = np.flatnonzero(numbers)
    packed = np.array(numbers, dtype="<f4")[keys].tobytes()
    parts = ((aialgs.VALUES, packed), (aialgs.KEYS, bytes(keys.tolist())), (aialgs.SHAPE, bytes([len(numbers)])))
    return entry(field, protobuf.field(aialgs.FLOAT32, b"".join(protobuf.field(*part) for part in parts)))


def write(folder, **files):
    for name, contents in files.items():
        (folder / name).write_bytes(b"".join(map(recordio.frame, contents)))
    return Channel("training", folder, "application/X-Recordio-Protobuf; label_size=1")


WAYS = {
    "dense float32": lambda row, label: dense(aialgs.FEATURES, row) + dense(aialgs.LABEL, [label]),
    "dense float64": lambda row, label: dense(aialgs.FEATURES, row, aialgs.FLOAT64) + dense(aialgs.LABEL, [label]),
    "sparse": lambda row, label: sparse(aialgs.FEATURES, row) + dense(aialgs.LABEL, [label]),
    "sparse label": lambda row, label: dense(aialgs.FEATURES, row) + sparse(aialgs.LABEL, [label]),
    "the label first": lambda row, label: dense(aialgs.LABEL, [label]) + dense(aialgs.FEATURES, row),
    "more than these": lambda row, label: (
        dense(aialgs.FEATURES, row)
        + dense(aialgs.LABEL, [label])
        + protobuf.field(3, b"uid")
        + protobuf.field(4, b"{}")
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_real_table_number_by_number(way, tmp_path, monkeypatch):
    """CONTRACT 2.4: all files of the channel, whatever their names, as one table."""
    monkeypatch.setattr(records, "BLOCK", 64)
    rows, labels = DIGITS.data[:300], DIGITS.target[:300]
    written = [way(row, label) for row, label in zip(rows, labels, strict=True)]
    channel = write(tmp_path, **{"a.pbr": written[:100], "b.rec": written[100:200], "c": written[200:]})
    (tmp_path / "_SUCCESS").write_text("junk")
    frame = data.read(channel)
    np.testing.assert_array_equal(frame.to_numpy(), np.column_stack([labels, rows]))
    assert [*frame.columns] == [f"column_{number}" for number in range(65)]


GOOD = dense(aialgs.FEATURES, [1, 2]) + dense(aialgs.LABEL, [1])
TEXT = protobuf.field(aialgs.TEXTS, protobuf.field(1, b"setosa"))
FAR = protobuf.field(
    aialgs.FLOAT32, protobuf.field(1, bytes(4)) + protobuf.field(2, b"\x09") + protobuf.field(3, b"\x02")
)
BAD = {
    "no label": (dense(aialgs.FEATURES, [1, 2]), 'has no label under the key "values"'),
    "no features": (dense(aialgs.LABEL, [1]), 'has no features under the key "values"'),
    "another key": (entry(aialgs.FEATURES, b"", "image") + dense(aialgs.LABEL, [1]), "has no features under"),
    "text for features": (
        entry(aialgs.FEATURES, TEXT) + dense(aialgs.LABEL, [1]),
        "must hold its features as float32",
    ),
    "text for a label": (
        dense(aialgs.FEATURES, [1, 2]) + entry(aialgs.LABEL, TEXT),
        "must hold its label as float32",
    ),
    "two labels": (dense(aialgs.FEATURES, [1, 2]) + dense(aialgs.LABEL, [1, 2]), "has 2 values in its label, not one"),
    "another width": (dense(aialgs.FEATURES, [1]) + dense(aialgs.LABEL, [1]), "has 1 values, not the 2 of the first"),
    "a key too far": (entry(aialgs.FEATURES, FAR) + dense(aialgs.LABEL, [1]), "has a value at position 9"),
    "no protobuf": (b"\xff" * 12, "is not a protobuf record"),
}


@pytest.mark.parametrize(("record", "message"), BAD.values(), ids=BAD)
def test_a_bad_record_is_told_by_file_and_number(record, message, tmp_path):
    """CONTRACT check 30."""
    channel = write(tmp_path, a=[GOOD], b=[GOOD, record])
    with pytest.raises(DataError) as refused:
        data.read(channel)
    assert str(refused.value).startswith(f"{tmp_path}/b, record 2 {message}")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda content: content[:-9], "record 2 is cut short"),
        (lambda content: content + b"\x0a", "record 3 ends within its RecordIO header"),
        (lambda content: b"1,2,3\n4,5,6\n" + content, "record 1 does not begin as RecordIO does"),
    ],
)
def test_a_damaged_file_is_told(spoil, message, tmp_path):
    channel = write(tmp_path, a=[GOOD, GOOD])
    (tmp_path / "a").write_bytes(spoil((tmp_path / "a").read_bytes()))
    with pytest.raises(DataError, match=f"a, {message}"):
        data.read(channel)


def test_a_few_bytes_cannot_take_all_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 1 << 30)
    wide = protobuf.field(aialgs.FLOAT32, protobuf.field(aialgs.SHAPE, b"\x80\x80\x80\x80\x02"))
    channel = write(tmp_path, a=[entry(aialgs.FEATURES, wide) + dense(aialgs.LABEL, [1])])
    with pytest.raises(DataError, match="record 1 does not fit into this machine's memory"):
        data.read(channel)
