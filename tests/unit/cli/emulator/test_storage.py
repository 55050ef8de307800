from __future__ import annotations

import json
import tarfile

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.storage import StorageError, below, pack, shards, split


def test_an_uri_has_a_bucket_and_a_key():
    assert split("s3://b/a/c.csv") == ("b", "a/c.csv")
    assert split("s3://b") == ("b", "")
    for uri in ("https://b/a", "b/a", "s3://", "s3:///a"):
        with pytest.raises(ApiError, match="is no S3 URI"):
            split(uri)


def test_files_go_up_and_down(s3, bucket, tmp_path):
    (tmp_path / "up/deep").mkdir(parents=True)
    (tmp_path / "up/a").write_text("1")
    (tmp_path / "up/deep/b").write_text("2")
    s3.upload_folder(tmp_path / "up", f"{bucket}/x/")
    assert s3.keys(f"{bucket}/x") == ["x/a", "x/deep/b"]
    s3.download(f"{bucket}/x/deep/b", tmp_path / "down/b")
    assert (tmp_path / "down/b").read_text() == "2"
    s3.write(f"{bucket}/x/c", b"3", "text/csv")
    assert s3.read(f"{bucket}/x/c") == b"3"
    s3.delete(f"{bucket}/x/c")
    assert s3.keys(f"{bucket}/x/c") == []


def test_what_is_not_there_is_an_error_that_names_it(s3, bucket, tmp_path):
    (tmp_path / "file").write_text("")
    assert s3.has(bucket.removeprefix("s3://"))
    assert not s3.has("no-such-bucket")
    for call in (
        lambda: s3.read(f"{bucket}/none"),
        lambda: s3.download(f"{bucket}/none", tmp_path / "none"),
        lambda: s3.keys("s3://no-such-bucket/none"),
        lambda: s3.write("s3://no-such-bucket/none", b""),
        lambda: s3.upload(tmp_path / "file", "s3://no-such-bucket/none"),
        lambda: s3.delete("s3://no-such-bucket/none"),
        lambda: s3.listed({"S3Uri": f"{bucket}/none"}),
    ):
        with pytest.raises(StorageError, match="none"):
            call()


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("data", ["a.csv", "deep/b.csv"]),
        ("data/", ["a.csv", "deep/b.csv"]),
        ("data/deep/b.csv", ["b.csv"]),
        ("data/a", ["a.csv"]),
        ("", ["data/a.csv", "data/deep/b.csv", "data/empty/", "list.manifest"]),
    ],
)
def test_a_prefix_gives_paths_within_it(s3, bucket, prefix, expected):
    for key in ("data/a.csv", "data/deep/b.csv", "data/empty/", "list.manifest"):
        s3.write(f"{bucket}/{key}", b"")
    found = s3.listed({"S3Uri": f"{bucket}/{prefix}", "S3DataType": "S3Prefix"})
    assert [name for _, name in found] == [name for name in expected if name[-1] != "/"]
    assert {uri.removeprefix(f"{bucket}/") for uri, _ in found} <= {"data/a.csv", "data/deep/b.csv", "list.manifest"}


def test_a_manifest_names_objects(s3, bucket):
    s3.write(f"{bucket}/m", json.dumps([{"prefix": f"{bucket}/data/"}, "a.csv", "deep/b.csv"]).encode())
    source = {"S3Uri": f"{bucket}/m", "S3DataType": "ManifestFile"}
    assert s3.listed(source) == [(f"{bucket}/data/a.csv", "a.csv"), (f"{bucket}/data/deep/b.csv", "deep/b.csv")]
    for text in (b"no json", b"[]", b'["a"]', b"{}"):
        s3.write(f"{bucket}/m", text)
        with pytest.raises(StorageError, match="is no manifest"):
            s3.listed(source)


def test_shards_are_dealt_out():
    objects = [(f"s3://b/{name}", name) for name in "abcde"]
    assert [[name for _, name in shard] for shard in shards(objects, 2)] == [["a", "c", "e"], ["b", "d"]]
    assert list(shards(objects[:1], 2))[1] == []


def test_a_key_cannot_lead_out_of_its_folder(tmp_path):
    assert below(tmp_path, "../../etc/passwd") == tmp_path / "etc/passwd"
    assert below(tmp_path, "/a//b") == tmp_path / "a/b"
    with pytest.raises(StorageError, match="names no file"):
        below(tmp_path, "../")


def test_an_archive_holds_what_is_in_the_folder_and_follows_no_links(tmp_path):
    (tmp_path / "model/code").mkdir(parents=True)
    (tmp_path / "model/code/a.py").write_text("1")
    (tmp_path / "model/link").symlink_to("/etc/passwd")
    pack(tmp_path / "model", tmp_path / "model.tar.gz")
    with tarfile.open(tmp_path / "model.tar.gz") as archive:
        assert archive.getnames() == ["code", "code/a.py", "link"]
        assert archive.getmember("link").issym()
