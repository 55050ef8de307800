"""Channels: what lies in a folder, and what of it is data."""

import pytest

from byoc.errors import DataError
from byoc.training import channels
from byoc.training.channels import Channel

SUFFIXES = (".csv", ".csv.gz")


def write(folder, *names, content="1,2\n"):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


def names(channel):
    return [str(path.relative_to(channel.folder)) for path in channel.files(*SUFFIXES)]


def test_only_data_files_are_read_recursively_in_sorted_order(tmp_path):
    """CONTRACT check 13."""
    write(tmp_path, "part-2.csv", "part-10.csv", "b/x/part.csv", "a/part.CSV", "a.csv.gz")
    write(
        tmp_path, ".ipynb_checkpoints/part-1.csv", "_SUCCESS", "_temporary/0/part.csv", ".part-1.csv.crc", ".hidden.csv"
    )
    write(tmp_path, "part.csv.manifest", "training-manifest", "README.md", "part.parquet")
    write(tmp_path, "empty.csv", content="")
    assert names(Channel("training", tmp_path)) == [
        "a/part.CSV",
        "a.csv.gz",
        "b/x/part.csv",
        "part-10.csv",
        "part-2.csv",
    ]


def test_a_hidden_folder_above_the_channel_does_not_matter(tmp_path):
    write(tmp_path, ".home/training/part.csv")
    assert names(Channel("training", tmp_path / ".home/training")) == ["part.csv"]


EMPTY = {
    "nothing": ((), "channel 'training' is empty: no file in", "ShardedByS3Key"),
    "junk": (
        ("_SUCCESS", ".x.csv"),
        "channel 'training' has no *.csv or *.csv.gz with content",
        "it holds .x.csv, _SUCCESS",
    ),
    "another format": (("a/data.parquet",), "has no *.csv or *.csv.gz", "it holds a/data.parquet"),
    "many": ([f"{n}.txt" for n in range(9)], "has no *.csv", "4.txt and 4 more"),
}


@pytest.mark.parametrize(("files", "what", "hint"), EMPTY.values(), ids=EMPTY)
def test_a_channel_without_data_says_what_is_there(tmp_path, files, what, hint):
    """CONTRACT check 32."""
    write(tmp_path, *files)
    with pytest.raises(DataError) as refused:
        Channel("training", tmp_path).files(*SUFFIXES)
    assert what in str(refused.value)
    assert hint in str(refused.value)


def test_empty_files_alone_are_no_data(tmp_path):
    write(tmp_path, "a.csv", content="")
    with pytest.raises(DataError, match=r"with content.*a\.csv"):
        Channel("training", tmp_path).files(*SUFFIXES)


CONTENT_TYPES = {
    "text/csv": {},
    "text/csv;label_size=0": {"label_size": "0"},
    "TEXT/CSV; charset=utf-8": {"charset": "utf-8"},
    'text/csv; header="present"; Charset=utf-8': {"header": "present", "charset": "utf-8"},
    "": {},
    ";": {},
}


@pytest.mark.parametrize(("content_type", "parameters"), CONTENT_TYPES.items())
def test_the_parameters_of_a_content_type(tmp_path, content_type, parameters):
    """CONTRACT check 10."""
    told = {name: value for name, value in Channel("t", tmp_path, content_type).parameters.items() if name}
    assert told == parameters


def test_the_first_of_the_names_that_is_there(tmp_path):
    """CONTRACT checks 12 and 14: what lies beside the channels' folders is none, and a channel may be absent."""
    (tmp_path / "train").mkdir()
    write(tmp_path, "train-manifest", "validation-manifest")
    found = channels.find(tmp_path, {}, ("training", "train"))
    assert found == Channel("train", tmp_path / "train", "text/csv")
    assert channels.find(tmp_path, {}, ("validation",)) is None


@pytest.mark.parametrize(
    ("entry", "content_type"),
    [
        ({}, "text/csv"),
        ({"ContentType": None, "TrainingInputMode": "FastFile"}, "text/csv"),
        ({"ContentType": "text/csv; header=absent", "TrainingInputMode": "File"}, "text/csv; header=absent"),
    ],
)
def test_the_content_type_is_csv_unless_told_otherwise(tmp_path, entry, content_type):
    """CONTRACT checks 9 and 11."""
    (tmp_path / "train").mkdir()
    found = channels.find(tmp_path, {"train": entry}, ("train",))
    assert found is not None
    assert found.content_type == content_type


@pytest.mark.parametrize("mode", ["Pipe", "pipe"])
@pytest.mark.parametrize(("wrapper", "has_records"), [("RecordIO", True), ("None", False), (None, False)])
def test_a_channel_in_pipe_mode_has_epochs_and_no_files(tmp_path, mode, wrapper, has_records):
    """CONTRACT check 15; no folder is there."""
    entry = {"TrainingInputMode": mode, "RecordWrapperType": wrapper}
    found = channels.find(tmp_path, {"train": entry}, ("training", "train"))
    assert (found.is_pipe, found.has_records) == (True, has_records)
    with pytest.raises(DataError, match=r"channel 'train' is in Pipe mode.*epochs"):
        found.files(*SUFFIXES)


def test_a_channel_of_files_has_no_epochs(tmp_path):
    with pytest.raises(DataError, match=r"not in Pipe mode.*files"):
        next(Channel("train", tmp_path).epochs())
