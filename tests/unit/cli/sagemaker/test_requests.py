"""What the commands would call, by dry runs without credentials; and what they refuse before any call."""

import json
import re
import shlex

import pytest
from click.testing import CliRunner

from byoc_cli.sagemaker import sagemaker
from byoc_cli.sagemaker.cloud import UNKNOWN_ACCOUNT, named
from byoc_cli.sagemaker.update_endpoint import deployment

ACCOUNT = UNKNOWN_ACCOUNT
REGISTRY = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"
CREATE = "create-endpoint -i churn --model-url s3://b/model.tar.gz"
TRAIN = "train --image-uri x.com/churn --data s3://b/rows/ --name j"


def calls(line, region="eu-west-1"):
    done = CliRunner().invoke(sagemaker, [*shlex.split(line), "--region", region, "--dry-run", "--json"])
    assert done.exit_code == 0, done.output
    return {call["operation"]: call["parameters"] for call in json.loads(done.stdout)["calls"]}


def variant(line):
    (found,) = calls(line)["CreateEndpointConfig"]["ProductionVariants"]
    return {
        name: value for name, value in found.items() if name not in ("VariantName", "ModelName", "InitialVariantWeight")
    }


def test_create_endpoint_makes_a_model_a_config_and_an_endpoint():
    made = calls(f"{CREATE} --arn arn:aws:iam::123456789012:role/ml --env A=1 --env B=x=y")
    assert list(made) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    name = made["CreateModel"]["ModelName"]
    assert re.fullmatch(r"churn-\d{8}-\d{6}-\d{3}", name)
    assert made["CreateModel"] == {
        "ModelName": name,
        "PrimaryContainer": {
            "Image": f"{REGISTRY}/churn:latest",
            "ModelDataUrl": "s3://b/model.tar.gz",
            "Environment": {"A": "1", "B": "x=y"},
        },
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/ml",
    }
    assert made["CreateEndpointConfig"]["EndpointConfigName"] == name
    assert made["CreateEndpointConfig"]["ProductionVariants"][0]["ModelName"] == name
    assert made["CreateEndpoint"] == {"EndpointName": "churn", "EndpointConfigName": name}


@pytest.mark.parametrize(
    ("words", "image"),
    [
        ("-i models/churn:1.4", f"{REGISTRY}/models/churn:1.4"),
        ("--image-name churn --version 1.4", f"{REGISTRY}/churn:1.4"),
        ("--image-uri quay.io/team/churn@sha256:abc", "quay.io/team/churn@sha256:abc"),
    ],
)
def test_images(words, image):
    assert calls(f"create-endpoint {words}")["CreateModel"]["PrimaryContainer"] == {"Image": image}


def test_the_registry_of_another_partition_and_of_ones_own(monkeypatch):
    image = calls("create-endpoint -i churn", "cn-north-1")["CreateModel"]["PrimaryContainer"]["Image"]
    assert image == f"{ACCOUNT}.dkr.ecr.cn-north-1.amazonaws.com.cn/churn:latest"
    monkeypatch.setenv("ECR_REGISTRY", "mirror:5000")
    assert calls("create-endpoint -i churn")["CreateModel"]["PrimaryContainer"]["Image"] == "mirror:5000/churn:latest"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", {"InstanceType": "ml.m5.large", "InitialInstanceCount": 1}),
        ("--gpu", {"InstanceType": "ml.g4dn.xlarge", "InitialInstanceCount": 1}),
        ("--gpu --instance-type ml.p3.2xlarge", {"InstanceType": "ml.p3.2xlarge", "InitialInstanceCount": 1}),
        (
            "--instance-count 2 --startup-timeout 600",
            {
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 2,
                "ContainerStartupHealthCheckTimeoutInSeconds": 600,
            },
        ),
        ("--serverless", {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}),
        (
            "--serverless --memory 6144 --max-concurrency 20",
            {"ServerlessConfig": {"MemorySizeInMB": 6144, "MaxConcurrency": 20}},
        ),
    ],
)
def test_how_an_endpoint_runs(options, wanted):
    assert variant(f"{CREATE} {options}") == wanted


def test_async():
    config = calls(f"{CREATE} --async --output s3://b/answers --max-concurrency 4")["CreateEndpointConfig"]
    assert config["AsyncInferenceConfig"] == {
        "OutputConfig": {"S3OutputPath": "s3://b/answers/", "S3FailurePath": "s3://b/answers-failures/"},
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
    }


def test_many_models():
    container = calls("create-endpoint -i churn --model-url s3://b/all --multi-model")["CreateModel"][
        "PrimaryContainer"
    ]
    assert (container["Mode"], container["ModelDataUrl"]) == ("MultiModel", "s3://b/all/")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (f"{CREATE} --serverless --gpu", "a serverless endpoint has no --gpu"),
        (f"{CREATE} --serverless --instance-type ml.m5.large", "a serverless endpoint has no --instance-type"),
        (f"{CREATE} --serverless --async", "a serverless endpoint has no --async"),
        (f"{CREATE} --gpu --instance-type ml.m5.large", "ml.m5.large has no GPU"),
        (f"{CREATE} --memory 2048", "add --serverless"),
        (f"{CREATE} --max-concurrency 2", "add --serverless or --async"),
        (f"{CREATE} --output s3://b", "add --async"),
        ("create-endpoint -i churn --model-url s3://b/all/ --multi-model --serverless", "no serverless multi-model"),
        ("create-endpoint -i churn --multi-model", "--multi-model needs the prefix"),
        ("create-endpoint -i churn --model-url s3://b/all/", "for a prefix with many of them: --multi-model"),
        (f"{CREATE} --training-job j", "leave one out"),
        (f"{CREATE} --image-uri x.com/y", "leave --image-name and --version out"),
        ("create-endpoint --version 2", "add --image-name NAME"),
        ("create-endpoint -i churn:1 --version 2", "has a tag already"),
        ("create-endpoint -i Churn", "'Churn' cannot name an image"),
        ("create-endpoint --model-url s3://b/m.tar.gz", "name the image"),
        (f"{CREATE} -e under_score", "'under_score' is no name"),
        (f"{CREATE} --env A", "'A' is no pair; write it as NAME=VALUE"),
        (f"{CREATE} --env A=1 --env A=2", "A is given twice"),
        (f"{CREATE} --arn 'no role'", "'no role' is no role"),
        ("train --data s3://b/rows", "name the image"),
        (f"{TRAIN} --channel training=s3://b", "which --channel names too"),
        ("transform s3://b/rows -i churn --model-name m", "name the model once"),
        ("transform s3://b/rows", "name the image"),
        ("transform s3://b/rows --model-name m --no-wait --download x", "leave --no-wait out"),
        ("test-endpoint a -b {} --async --stream", "leave --async out"),
    ],
)
def test_what_makes_no_sense_is_refused(line, problem):
    done = CliRunner().invoke(sagemaker, [*shlex.split(line), "--region", "eu-west-1", "--dry-run"])
    assert done.exit_code
    assert problem in done.output.splitlines()[-1]


def test_train_by_spot_with_checkpoints():
    made = calls(f"{TRAIN} --spot --checkpoint --max-runtime 100 -hp a=1 -hp b=x --instance-count 2 --shard")[
        "CreateTrainingJob"
    ]
    assert made["EnableManagedSpotTraining"] is True
    assert made["StoppingCondition"] == {"MaxRuntimeInSeconds": 100, "MaxWaitTimeInSeconds": 200}
    assert made["CheckpointConfig"] == {"S3Uri": f"s3://sagemaker-eu-west-1-{ACCOUNT}/byoc/checkpoints/j"}
    assert made["HyperParameters"] == {"a": "1", "b": "x"}
    (channel,) = made["InputDataConfig"]
    assert channel["ChannelName"] == "training"
    assert channel["DataSource"]["S3DataSource"] == {
        "S3DataType": "S3Prefix",
        "S3Uri": "s3://b/rows/",
        "S3DataDistributionType": "ShardedByS3Key",
    }
    plain = calls(f"{TRAIN} --bucket mine --checkpoint s3://c/kept")["CreateTrainingJob"]
    assert "EnableManagedSpotTraining" not in plain
    assert plain["CheckpointConfig"] == {"S3Uri": "s3://c/kept"}
    assert plain["OutputDataConfig"] == {"S3OutputPath": "s3://mine/byoc/training"}


@pytest.mark.parametrize("text", ["[1]", "{"])
def test_hyperparameters_are_an_object(tmp_path, text):
    (tmp_path / "h.json").write_text(text)
    done = CliRunner().invoke(
        sagemaker, [*TRAIN.split(), "--hyperparameters", str(tmp_path / "h.json"), "-r", "eu-west-1"]
    )
    assert done.exit_code == 2


def test_transform_has_sagemakers_own_options():
    made = calls(
        "transform s3://b/rows --model-name m -o s3://b/out --split-type None --strategy SingleRecord --max-payload 0 "
        "--max-concurrent-transforms 2 --output-filter '$[0]' --compression-type Gzip --accept text/csv --env A=1"
    )["CreateTransformJob"]
    assert re.fullmatch(r"m-\d{8}-\d{6}-\d{3}", made.pop("TransformJobName"))
    assert made == {
        "ModelName": "m",
        "MaxPayloadInMB": 0,
        "MaxConcurrentTransforms": 2,
        "BatchStrategy": "SingleRecord",
        "Environment": {"A": "1"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/rows"}},
            "ContentType": "text/csv",
            "CompressionType": "Gzip",
            "SplitType": "None",
        },
        "TransformOutput": {"S3OutputPath": "s3://b/out", "AssembleWith": "None", "Accept": "text/csv"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "DataProcessing": {"OutputFilter": "$[0]"},
    }


def test_a_new_name_replaces_an_old_stamp():
    first = named("churn")
    second = named(f"{first}")
    assert first != "churn"
    assert re.fullmatch(r"churn-\d{8}-\d{6}-\d{3}", second)
    assert re.fullmatch(r"a-b-c-\d{8}-\d{6}-\d{3}", named("a_b/c"))
    assert len(named("x" * 100)) == 63


COMMANDS = sagemaker.commands


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_has_examples_whose_options_are_there(name):
    text = CliRunner().invoke(sagemaker, [*name.split(), "--help"], terminal_width=200).output
    assert f"Examples:\n    byoc sagemaker {name}" in text
    for line in re.findall(r"^ +(byoc sagemaker .*?)(?: {3,}.*)?$", text.partition("Examples:")[2], re.MULTILINE):
        _, _, command, *arguments = shlex.split(line)
        options = {option for each in COMMANDS[command].params for option in each.opts}
        assert {word for word in arguments if re.match(r"--?[a-z]", word)} <= options, line


def test_a_canary_and_alarms():
    assert deployment(None, 300, ()) == {}
    found = deployment(10, 600, ("errors",))["DeploymentConfig"]
    assert found["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] == {
        "Type": "CANARY",
        "WaitIntervalInSeconds": 600,
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
    }
    assert found["AutoRollbackConfiguration"] == {"Alarms": [{"AlarmName": "errors"}]}
    routing = deployment(None, 60, ("errors",))["DeploymentConfig"]["BlueGreenUpdatePolicy"][
        "TrafficRoutingConfiguration"
    ]
    assert routing == {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 60}
