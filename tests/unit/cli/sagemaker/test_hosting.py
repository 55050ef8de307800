"""A variant changed: what was said is, what was not stays."""

import pytest

from byoc_cli.sagemaker.hosting import Hosting

OLD = {
    "VariantName": "blue",
    "ModelName": "old",
    "InstanceType": "ml.g5.xlarge",
    "InitialInstanceCount": 3,
    "InitialVariantWeight": 0.5,
    "ContainerStartupHealthCheckTimeoutInSeconds": 600,
    "RoutingConfig": {"RoutingStrategy": "RANDOM"},
}
SERVERLESS = {"VariantName": "blue", "ServerlessConfig": {"MemorySizeInMB": 4096, "MaxConcurrency": 7}}


def hosting(**said):
    nothing = dict.fromkeys(Hosting.__dataclass_fields__)
    return Hosting(**{**nothing, "gpu": False, "serverless": False, "is_async": False, **said})


@pytest.mark.parametrize(
    ("said", "changes"),
    [
        ({}, {}),
        ({"gpu": True}, {}),  # it has one
        ({"instance_type": "ml.c5.large"}, {"InstanceType": "ml.c5.large"}),
        ({"instance_count": 5}, {"InitialInstanceCount": 5}),
        ({"startup_timeout": 60}, {"ContainerStartupHealthCheckTimeoutInSeconds": 60}),
    ],
)
def test_a_variant_with_instances(said, changes):
    assert hosting(**said).variant("new", OLD) == {**OLD, "ModelName": "new", **changes}


def test_from_instances_to_none_and_back():
    size = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    serverless = hosting(serverless=True).variant("new", OLD)
    assert serverless == {
        "VariantName": "blue",
        "ModelName": "new",
        "InitialVariantWeight": 0.5,
        "ServerlessConfig": size,
    }
    back = hosting(instance_type="ml.c5.large").variant("new", serverless)
    assert (back["InstanceType"], back["InitialInstanceCount"], "ServerlessConfig" in back) == ("ml.c5.large", 1, False)


def test_a_serverless_variant_grows():
    grown = hosting(memory="6144").variant("new", SERVERLESS)
    assert grown["ServerlessConfig"] == {"MemorySizeInMB": 6144, "MaxConcurrency": 7}
    wider = hosting(max_concurrency=9).variant("new", SERVERLESS)
    assert wider["ServerlessConfig"] == {"MemorySizeInMB": 4096, "MaxConcurrency": 9}


def test_an_async_endpoint_keeps_its_places():
    current = {"OutputConfig": {"S3OutputPath": "s3://b/a/", "KmsKeyId": "k"}, "ClientConfig": {"a": 1}}
    assert hosting().async_config(lambda: "s3://no", current) == current
    changed = hosting(output="s3://b/c").async_config(lambda: "s3://no", current)
    assert changed["OutputConfig"] == {
        "S3OutputPath": "s3://b/c/",
        "S3FailurePath": "s3://b/c-failures/",
        "KmsKeyId": "k",
    }
    assert hosting().async_config(lambda: "s3://no") is None
