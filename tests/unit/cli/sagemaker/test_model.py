"""A model like another, but for what was asked."""

import click
import pytest

from byoc_cli.sagemaker.bucket import Bucket
from byoc_cli.sagemaker.model import ModelOptions
from byoc_cli.sagemaker.options import Image

ROLE = "arn:aws:iam::123456789012:role/ml"
URL = "s3://b/old.tar.gz"
PACKED = {"S3DataSource": {"S3Uri": URL, "S3DataType": "S3Object", "CompressionType": "Gzip"}}
FLAT = {"S3DataSource": {"S3Uri": "s3://b/flat/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
CURRENT = {
    "ModelName": "old",
    "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {
        "Image": "x.com/churn:1",
        "Mode": "SingleModel",
        "ModelDataUrl": URL,
        "Environment": {"A": "1"},
    },
    "VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]},
    "EnableNetworkIsolation": True,
    "ModelArn": "arn",
}


def changed(cloud, current=CURRENT, image=None, url=None, **environment):
    asked = ModelOptions(Image(None, None, image), url, None, multi_model=False, environment=environment, role=None)
    return asked.changed(cloud, Bucket(cloud, "mine"), "new", current)


def test_what_is_not_asked_for_stays(cloud):
    assert changed(cloud, B="2") == {
        "ModelName": "new",
        "PrimaryContainer": {**CURRENT["PrimaryContainer"], "Environment": {"A": "1", "B": "2"}},
        "ExecutionRoleArn": ROLE,
        "VpcConfig": CURRENT["VpcConfig"],
        "EnableNetworkIsolation": True,
    }
    new = changed(cloud, image="x.com/churn:2", url="s3://b/new.tar.gz")["PrimaryContainer"]
    assert (new["Image"], new["ModelDataUrl"]) == ("x.com/churn:2", "s3://b/new.tar.gz")


@pytest.mark.parametrize(("source", "kept"), [(PACKED, "ModelDataUrl"), (FLAT, "ModelDataSource")])
def test_the_place_of_the_model_is_told_once(cloud, source, kept):
    current = {**CURRENT, "PrimaryContainer": {**CURRENT["PrimaryContainer"], "ModelDataSource": source}}
    places = {"ModelDataUrl", "ModelDataSource"}
    assert changed(cloud, current, A="3")["PrimaryContainer"].keys() & places == {kept}
    assert changed(cloud, current, url="s3://b/new.tar.gz")["PrimaryContainer"].keys() & places == {"ModelDataUrl"}


def test_many_models_stay_many(cloud):
    many = {**CURRENT["PrimaryContainer"], "Mode": "MultiModel", "ModelDataUrl": "s3://b/all/"}
    new = changed(cloud, {**CURRENT, "PrimaryContainer": many}, url="s3://b/others")["PrimaryContainer"]
    assert (new["Mode"], new["ModelDataUrl"]) == ("MultiModel", "s3://b/others/")


def test_a_pipeline_is_not_changed(cloud):
    with pytest.raises(click.ClickException, match="old is a pipeline of 2 containers"):
        changed(cloud, {"ModelName": "old", "Containers": [{}, {}]}, A="3")
