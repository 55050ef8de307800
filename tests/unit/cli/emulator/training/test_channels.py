from __future__ import annotations

import gzip
import io
import json
import os

import pytest

from byoc import recordio
from byoc_cli.emulator.storage import StorageError
from byoc_cli.emulator.training.channels import Channel
from byoc_cli.emulator.training.hosts import Host
from byoc_cli.emulator.training.pipes import Feeder, framed
from tests.program import wait_until

HOSTS = [
    Host("algo-1", "ml.m5.large", "one"),
    Host("algo-2", "ml.m5.large", "two"),
    Host("algo-3", "ml.m5.large", "two"),
]
OBJECTS = [(f"s3://b/{name}", name) for name in "abcdefgh"]


def channel(mode="File", uri="s3://b/a", more=None, **source) -> Channel:
    entry = {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri, **source}}}
    return Channel.read({**entry, **(more or {})}, mode)


def names(objects) -> str:
    return "".join(name for _, name in objects)


def test_is_told_as_the_cloud_tells_it():
    assert channel("FastFile").config == {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    more = {"InputMode": "Pipe", "ContentType": "text/csv", "RecordWrapperType": "RecordIO"}
    assert channel(more=more, S3DataDistributionType="ShardedByS3Key").config == {
        "ContentType": "text/csv",
        "TrainingInputMode": "Pipe",
        "S3DistributionType": "ShardedByS3Key",
        "RecordWrapperType": "RecordIO",
    }


def test_every_host_has_all_or_its_share():
    whole = channel()
    assert [names(whole.share(OBJECTS, HOSTS, host)) for host in HOSTS] == ["abcdefgh"] * 3
    sharded = channel(S3DataDistributionType="ShardedByS3Key")
    assert [names(sharded.share(OBJECTS, HOSTS, host)) for host in HOSTS] == ["adg", "beh", "cf"]


def test_groups_of_hosts_share_what_is_theirs():
    mine = channel(S3DataDistributionType="ShardedByS3Key", InstanceGroupNames=["two"])
    assert [mine.goes_to(host) for host in HOSTS] == [False, True, True]
    assert [names(mine.share(OBJECTS, HOSTS, host)) for host in HOSTS[1:]] == ["aceg", "bdfh"]


def test_shuffling_follows_its_seed_and_the_epoch():
    plain, seeded = channel(), channel(more={"ShuffleConfig": {"Seed": 3}})
    assert plain.shuffled(OBJECTS, 1) == OBJECTS
    epochs = [names(seeded.shuffled(OBJECTS, epoch)) for epoch in range(3)]
    assert len(set(epochs)) == 3
    assert [sorted(each) for each in epochs] == [list("abcdefgh")] * 3
    assert names(seeded.shuffled(OBJECTS, 1)) == epochs[1]
    sharded = channel(more={"ShuffleConfig": {"Seed": 3}}, S3DataDistributionType="ShardedByS3Key")
    shares = [names(sharded.share(OBJECTS, HOSTS, host)) for host in HOSTS]
    assert sorted("".join(shares)) == list("abcdefgh")
    assert shares[0] != "adg"


def test_files_keep_their_paths(s3, bucket, tmp_path):
    s3.write(f"{bucket}/data/a.csv", b"1")
    s3.write(f"{bucket}/data/deep/b.csv", b"2")
    mine = channel(uri=f"{bucket}/data")
    mine.download(s3, mine.listed(s3), tmp_path / "train")
    assert (tmp_path / "train/deep/b.csv").read_bytes() == b"2"
    mine.download(s3, [], tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir()) == []


@pytest.fixture
def feed(s3, tmp_path):
    """Returns a function that begins to feed a channel; each feeder is ended."""
    feeders = []

    def begin(mine: Channel) -> Feeder:
        feeders.append(Feeder(mine, mine.listed(s3), tmp_path, s3))
        feeders[-1].start()
        return feeders[-1]

    yield begin
    for feeder in feeders:
        feeder.stop()


def read(tmp_path, epoch: int) -> bytes:
    pipe = tmp_path / f"train_{epoch}"
    wait_until(pipe.exists, 10)
    with pipe.open("rb") as stream:
        return stream.read()


def test_a_pipe_gives_an_epoch_after_the_other(s3, bucket, tmp_path, feed):
    for name in "abcdef":
        s3.write(f"{bucket}/{name}", name.encode() * 100_000)
    feeder = feed(channel("Pipe", f"{bucket}/", {"ShuffleConfig": {"Seed": 1}}))
    assert (tmp_path / "train_0").is_fifo()
    assert not (tmp_path / "train_1").exists()
    epochs = [read(tmp_path, epoch) for epoch in range(3)]
    assert {len(each) for each in epochs} == {600_000}
    assert len(set(epochs)) == 3
    assert feeder.error is None


def test_a_reader_may_leave_early(s3, bucket, tmp_path, feed):
    s3.write(f"{bucket}/a", b"x" * 1_000_000)
    feeder = feed(channel("Pipe", f"{bucket}/"))
    wait_until((tmp_path / "train_0").exists, 10)
    descriptor = os.open(tmp_path / "train_0", os.O_RDONLY)
    os.read(descriptor, 10)
    os.close(descriptor)
    assert len(read(tmp_path, 1)) == 1_000_000
    assert feeder.error is None


def test_a_pipe_unpacks_and_wraps(s3, bucket, tmp_path, feed):
    s3.write(f"{bucket}/a", gzip.compress(b"first"))
    s3.write(f"{bucket}/b", gzip.compress(b"second one"))
    feed(channel("Pipe", f"{bucket}/", {"CompressionType": "Gzip", "RecordWrapperType": "RecordIO"}))
    assert list(recordio.records(io.BytesIO(read(tmp_path, 0)))) == [b"first", b"second one"]


def test_an_augmented_manifest_gives_its_attributes(s3, bucket, tmp_path, feed):
    s3.write(f"{bucket}/1.jpg", b"image 1")
    s3.write(f"{bucket}/2.jpg", b"image 2")
    lines = [{"source-ref": f"{bucket}/{number}.jpg", "label": number, "more": 0} for number in (1, 2)]
    s3.write(f"{bucket}/m", "\n".join(map(json.dumps, lines)).encode())
    more = {"RecordWrapperType": "RecordIO"}
    feed(
        channel("Pipe", f"{bucket}/m", more, S3DataType="AugmentedManifestFile", AttributeNames=["source-ref", "label"])
    )
    assert list(recordio.records(io.BytesIO(read(tmp_path, 0)))) == [b"image 1", b"1", b"image 2", b"2"]


@pytest.mark.parametrize(
    ("objects", "source", "more"),
    [
        ({"m": b"no json"}, {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a"]}, {}),
        ({"m": b'{"b": 1}'}, {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a"]}, {}),
        (
            {"m": b'{"a-ref": "s3://none-such/x"}'},
            {"S3DataType": "AugmentedManifestFile", "AttributeNames": ["a-ref"]},
            {},
        ),
        ({"m": b"no gzip"}, {}, {"CompressionType": "Gzip"}),
    ],
)
def test_what_cannot_be_fed_is_told(s3, bucket, tmp_path, feed, objects, source, more):
    for key, body in objects.items():
        s3.write(f"{bucket}/{key}", body)
    feeder = feed(channel("Pipe", f"{bucket}/m", more, **source))
    read(tmp_path, 0)
    wait_until(lambda: feeder.error is not None, 10)


def test_a_frame_is_padded_and_has_its_limit(monkeypatch):
    assert framed(b"12345")[8:] == b"12345\0\0\0"
    assert list(recordio.records(io.BytesIO(framed(b"") + framed(b"abcd")))) == [b"", b"abcd"]
    monkeypatch.setattr("byoc_cli.emulator.training.pipes.LONGEST", 3)
    with pytest.raises(StorageError, match="does not go into a RecordIO frame"):
        framed(b"abcd")
