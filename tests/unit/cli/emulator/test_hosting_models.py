"""What no model and no endpoint configuration can be is refused, in words that say why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from byoc_cli.emulator.emulator import Emulator
from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import Hosting
from byoc_cli.emulator.native_engine import NativeEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IMAGE = {"Image": "byoc"}
INSTANCE = {"VariantName": "one", "ModelName": "plain", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
SERVERLESS = {"VariantName": "one", "ModelName": "plain"}
OUTPUT = {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}
MANY = {**IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://bucket/models/"}


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    engine = NativeEngine("byoc.emulator=test")
    made = Emulator(tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:1", "eu-west-1", engine, [Hosting])
    yield made
    made.close()


def call(emulator: Emulator, operation: str, **request: Any) -> dict[str, Any]:
    return emulator.api.call(operation, request) or {}


def refused(emulator: Emulator, operation: str, **request: Any) -> str:
    with pytest.raises(ApiError) as caught:
        call(emulator, operation, **request)
    assert caught.value.code == "ValidationException"
    return caught.value.message


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "Exactly one of PrimaryContainer and Containers"),
        ({"PrimaryContainer": IMAGE, "Containers": [IMAGE]}, "Exactly one of PrimaryContainer and Containers"),
        ({"PrimaryContainer": {}}, "Exactly one of PrimaryContainer and Containers"),
        ({"PrimaryContainer": {"ModelDataUrl": "s3://a/b"}}, "Image must be given"),
        ({"PrimaryContainer": {**IMAGE, "ModelPackageName": "p"}}, "ContainerDefinition.ModelPackageName is not emu"),
        ({"PrimaryContainer": {**IMAGE, "ModelDataUrl": "https://a/b"}}, "is no S3 URI"),
        ({"PrimaryContainer": {**IMAGE, "Mode": "MultiModel"}}, "Mode MultiModel needs ModelDataUrl"),
        ({"PrimaryContainer": {**IMAGE, "ImageConfig": {"RepositoryAccessMode": "Vpc"}}}, "RepositoryAccessMode Vpc"),
        ({"Containers": [MANY, MANY]}, "At most one container of a model can have the Mode MultiModel"),
        ({"Containers": [{**IMAGE, "ContainerHostname": "a"}] * 2}, "ContainerHostname must be unique"),
        (
            {"Containers": [IMAGE, IMAGE], "InferenceExecutionConfig": {"Mode": "Direct"}},
            "Mode Direct needs a ContainerHostname for each container",
        ),
        (
            {"Containers": [{**IMAGE, "Environment": {f"V{n}": "x" * 1000 for n in range(17)}}] * 2},
            "Environment of all",
        ),
    ],
)
def test_models_that_cannot_be(emulator: Emulator, request_: dict[str, Any], message: str) -> None:
    assert message in refused(emulator, "CreateModel", ModelName="m", **request_)
    assert call(emulator, "ListModels")["Models"] == []


def test_a_model_is_described_as_it_was_made_until_it_is_deleted(emulator: Emulator) -> None:
    arn = call(
        emulator, "CreateModel", ModelName="m", PrimaryContainer=IMAGE, Tags=[{"Key": "team", "Value": "a team"}]
    )["ModelArn"]
    assert arn == "arn:aws:sagemaker:eu-west-1:123456789012:model/m"
    told = call(emulator, "DescribeModel", ModelName="m")
    assert told["PrimaryContainer"] == {**IMAGE, "Mode": "SingleModel"}
    assert "Tags" not in told
    assert call(emulator, "ListTags", ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "a team"}]
    call(emulator, "DeleteModel", ModelName="m")
    assert refused(emulator, "DescribeModel", ModelName="m") == f'Could not find model "{arn}".'


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"ProductionVariants": [{**INSTANCE, "ModelName": "none"}]}, "Could not find model"),
        ({"ProductionVariants": [INSTANCE, INSTANCE]}, "VariantName must be unique"),
        (
            {"ProductionVariants": [{"VariantName": "one", "ModelName": "plain"}]},
            "InstanceType and InitialInstanceCount",
        ),
        (
            {"ProductionVariants": [{**INSTANCE, "ManagedInstanceScaling": {"Status": "ENABLED"}}]},
            "is not emulated here",
        ),
        (
            {"ProductionVariants": [{**INSTANCE, "RoutingConfig": {"RoutingStrategy": "KV_AWARE"}}]},
            "RoutingStrategy KV_AWARE is not emulated here",
        ),
        (
            {"ProductionVariants": [{**SERVERLESS, "ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1}}]},
            "MemorySizeInMB must be 1024, 2048",
        ),
        (
            {"ProductionVariants": [{**INSTANCE, "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}]},
            "must not be given beside ServerlessConfig",
        ),
        (
            {
                "ProductionVariants": [
                    {
                        **SERVERLESS,
                        "ModelName": "many",
                        "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1},
                    }
                ]
            },
            "A serverless endpoint takes models of one container in Mode SingleModel only",
        ),
        (
            {"ProductionVariants": [INSTANCE], "AsyncInferenceConfig": {"OutputConfig": {}}},
            "S3OutputPath must be given",
        ),
        (
            {
                "ProductionVariants": [INSTANCE],
                "AsyncInferenceConfig": {
                    "OutputConfig": {
                        **OUTPUT["OutputConfig"],
                        "NotificationConfig": {"SuccessTopic": "arn:aws:sns:eu-west-1:123456789012:t"},
                    }
                },
            },
            "OutputConfig.NotificationConfig is not emulated here",
        ),
        (
            {"ProductionVariants": [INSTANCE, {**INSTANCE, "VariantName": "two"}], "AsyncInferenceConfig": OUTPUT},
            "An asynchronous endpoint has one production variant",
        ),
        (
            {"ProductionVariants": [INSTANCE], "ShadowProductionVariants": [INSTANCE]},
            "ShadowProductionVariants of Create",
        ),
    ],
)
def test_configurations_that_cannot_be(emulator: Emulator, request_: dict[str, Any], message: str) -> None:
    call(emulator, "CreateModel", ModelName="plain", PrimaryContainer=IMAGE)
    call(emulator, "CreateModel", ModelName="many", PrimaryContainer=MANY)
    assert message in refused(emulator, "CreateEndpointConfig", EndpointConfigName="c", **request_)
    assert call(emulator, "ListEndpointConfigs")["EndpointConfigs"] == []


@pytest.mark.parametrize("operation", ["CreateEndpoint", "UpdateEndpoint"])
@pytest.mark.parametrize(
    ("deployment", "message"),
    [
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}, "AutoRollbackConfiguration is not emulated"),
        (
            {
                "BlueGreenUpdatePolicy": {
                    "TrafficRoutingConfiguration": {"Type": "LINEAR", "WaitIntervalInSeconds": 1},
                }
            },
            "TrafficRoutingConfiguration.Type LINEAR is not emulated here; ALL_AT_ONCE is",
        ),
    ],
)
def test_traffic_moves_all_at_once_only(
    emulator: Emulator, operation: str, deployment: dict[str, Any], message: str
) -> None:
    told = refused(emulator, operation, EndpointName="e", EndpointConfigName="c", DeploymentConfig=deployment)
    assert message in told


def test_an_endpoint_needs_its_configuration(emulator: Emulator) -> None:
    told = refused(emulator, "CreateEndpoint", EndpointName="e", EndpointConfigName="c")
    assert told.startswith('Could not find endpoint configuration "arn:aws:sagemaker:')
    assert call(emulator, "ListEndpoints")["Endpoints"] == []
