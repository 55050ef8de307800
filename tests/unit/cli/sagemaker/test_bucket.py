"""Data and models up, results down; by moto's S3."""

import io
import tarfile

import click
import pytest

from byoc_cli.sagemaker.bucket import Bucket, download
from byoc_cli.sagemaker.cloud import Cloud

NAME = "sagemaker-eu-west-1-123456789012"


def keys(cloud, bucket=NAME):
    return [each["Key"] for each in cloud.read("s3", "ListObjectsV2", Bucket=bucket).get("Contents", [])]


def content(cloud, uri):
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return cloud.read("s3", "GetObject", Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1"])
def test_the_default_bucket_is_made_where_it_is_missing(aws, region):
    cloud = Cloud(region)
    for _ in range(2):
        assert Bucket(cloud).name == f"sagemaker-{region}-123456789012"
    assert [each["Name"] for each in cloud.read("s3", "ListBuckets")["Buckets"]] == [f"sagemaker-{region}-123456789012"]


def test_a_bucket_that_was_named_is_not_made(aws):
    assert Bucket(aws, "s3://mine/").uri("x", "y") == "s3://mine/byoc/x/y"
    assert aws.read("s3", "ListBuckets")["Buckets"] == []


def test_data_goes_up_without_what_is_hidden(aws, tmp_path):
    for name in ("a.csv", "deep/b.csv", ".gitkeep", ".git/c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    store = Bucket(aws)
    assert store.data("s3://elsewhere/rows", "data", "j", "training") == "s3://elsewhere/rows"
    assert store.data(str(tmp_path), "data", "j", "training") == f"s3://{NAME}/byoc/data/j/training/"
    assert store.data(str(tmp_path / "a.csv"), "data", "k", "training") == f"s3://{NAME}/byoc/data/k/training/a.csv"
    assert keys(aws) == [
        f"byoc/data/{key}" for key in ("j/training/a.csv", "j/training/deep/b.csv", "k/training/a.csv")
    ]
    assert content(aws, f"s3://{NAME}/byoc/data/j/training/deep/b.csv") == b"deep/b.csv"


def test_there_must_be_data(aws, tmp_path):
    (tmp_path / ".gitkeep").touch()
    with pytest.raises(click.ClickException, match="has no files in it to upload"):
        Bucket(aws).data(str(tmp_path), "data")
    with pytest.raises(click.ClickException, match="nowhere is neither a file or folder here nor an s3:// URI"):
        Bucket(aws).data("nowhere", "data")


def test_a_folder_is_packed_as_sagemaker_unpacks_it(aws, tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code/handler.py").write_text("pass")
    (tmp_path / "model.onnx").symlink_to(tmp_path / "code/handler.py")
    uri = Bucket(aws).model(str(tmp_path), "models", "m")
    assert uri == f"s3://{NAME}/byoc/models/m/model.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(content(aws, uri)), mode="r:gz") as tar:
        members = {member.name: member.isfile() for member in tar.getmembers()}
    assert members == {"code": False, "code/handler.py": True, "model.onnx": True}


def archive(file):
    with tarfile.open(file, "w:gz") as tar:
        tar.add(__file__, "model.onnx")
    return file


def test_an_archive_goes_up_as_it_is(aws, tmp_path):
    file = archive(tmp_path / "any.tar.gz")
    assert content(aws, Bucket(aws).model(str(file), "models", "m")) == file.read_bytes()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda file: file.write_text("text"), "is no gzip-compressed tar, which is what SageMaker takes"),
        (lambda file: tarfile.open(file, "w").close(), "is no gzip-compressed tar"),
        (lambda file: tarfile.open(file, "w:gz").close(), "has nothing in it: it is no model"),
        (lambda file: file.mkdir(), "has no files in it: it is no model"),
        (lambda file: None, "is neither a file or folder here nor an s3:// URI"),
    ],
)
def test_what_is_no_model_is_not_uploaded(aws, tmp_path, make, problem):
    file = tmp_path / "model.tar.gz"
    make(file)
    with pytest.raises(click.ClickException, match=problem):
        Bucket(aws).model(str(file), "models", "m")
    assert keys(aws, Bucket(aws).name) == []


def test_one_model_is_an_archive_and_many_are_a_prefix(aws, tmp_path):
    store = Bucket(aws)
    assert store.model("s3://b/model.tar.gz") == "s3://b/model.tar.gz"
    assert (store.models("s3://b/all"), store.models("s3://b/all/")) == ("s3://b/all/", "s3://b/all/")
    with pytest.raises(click.ClickException, match=r"for a prefix with many of them: --multi-model"):
        store.model("s3://b/all/")
    with pytest.raises(click.ClickException, match="is one model; --multi-model takes the prefix of many"):
        store.models("s3://b/model.tar.gz")
    with pytest.raises(click.ClickException, match=r"neither \.tar\.gz files nor folders"):
        store.models(str(tmp_path))
    archive(tmp_path / "berlin.tar.gz")
    (tmp_path / "paris").mkdir()
    (tmp_path / "paris/model.onnx").touch()
    assert store.models(str(tmp_path), "models", "m") == f"s3://{NAME}/byoc/models/m/"
    assert keys(aws) == ["byoc/models/m/berlin.tar.gz", "byoc/models/m/paris.tar.gz"]


def test_results_come_down_into_their_folder_and_nowhere_else(aws, tmp_path):
    aws.call("s3", "CreateBucket", Bucket="bbb", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for key in ("out/a.csv.out", "out/deep/b.csv.out", "out/../../evil", "out/folder/", "outside"):
        aws.call("s3", "PutObject", Bucket="bbb", Key=key, Body=key.encode())
    files = download(aws, "s3://bbb/out", tmp_path / "into")
    assert sorted(file.relative_to(tmp_path / "into").as_posix() for file in files) == [
        "a.csv.out",
        "deep/b.csv.out",
        "evil",
    ]
    assert (tmp_path / "into/deep/b.csv.out").read_text() == "out/deep/b.csv.out"
    assert [each.name for each in tmp_path.iterdir()] == ["into"]
    with pytest.raises(click.ClickException, match="'b/out/' is no place on S3"):
        download(aws, "b/out", tmp_path)
