from __future__ import annotations

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.validation import check

JOB = {
    "TrainingJobName": "a",
    "RoleArn": "arn:aws:iam::123456789012:role/byoc",
    "AlgorithmSpecification": {"TrainingImage": "byoc", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
}


def test_takes_a_whole_request():
    tags = [{"Key": "Ärger: a/b", "Value": "x y_z.@"}]
    check("CreateTrainingJob", {**JOB, "Tags": tags, "EnableNetworkIsolation": True, "HyperParameters": {"a": "1"}})
    check("ListTrainingJobs", {"CreationTimeAfter": 1.5, "MaxResults": 100, "NextToken": None})


FALSE = {
    "missing": ({"RoleArn": None}, "Value null at 'roleArn' failed to satisfy constraint: Member must not be null"),
    "unknown": ({"Nonsense": 1}, "'nonsense' is no parameter of CreateTrainingJobRequest"),
    "pattern": ({"TrainingJobName": "a b"}, "Value 'a b' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern"),
    "long": ({"Environment": {"a": "b" * 513}}, "Value at 'environment.a' failed to satisfy constraint: Member must have length less than or equal to 512"),
    "type": ({"HyperParameters": {"a": 1}}, "Value of 'hyperParameters.a' must be of type string, not int"),
    "bool": ({"StoppingCondition": {"MaxRuntimeInSeconds": True}}, "must be of type integer, not bool"),
    "low": ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "Member must have value greater than or equal to 1"),
    "enum": ({"AlgorithmSpecification": {"TrainingInputMode": "Tape"}}, "Value 'Tape' at 'algorithmSpecification.trainingInputMode' failed to satisfy constraint: Member must satisfy enum value set: [Pipe, File, FastFile]"),
    "list": ({"Tags": [{"Key": "a", "Value": "b"}, {"Key": "c"}]}, "Value null at 'tags.2.member.value'"),
    "many": ({"Tags": [{"Key": "a", "Value": "b"}] * 51}, "Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to 50"),
    "tag": ({"Tags": [{"Key": "a!", "Value": "b"}]}, "at 'tags.1.member.key'"),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE)
def test_says_what_is_wrong_as_aws_does(name):
    change, expected = FALSE[name]
    with pytest.raises(ApiError) as caught:
        check("CreateTrainingJob", {**JOB, **change})
    assert caught.value.code == "ValidationException"
    assert caught.value.message.startswith("1 validation error detected: ")
    assert expected in caught.value.message


def test_says_all_that_is_wrong_at_once():
    with pytest.raises(ApiError, match=r"2 validation errors detected: .*'trainingJobName'.*; .*'roleArn'"):
        check("CreateTrainingJob", {**JOB, "TrainingJobName": "-", "RoleArn": "arn:aws:iam::1:user/me-or-you"})


def test_knows_all_operations_and_no_others():
    with pytest.raises(ApiError, match="SageMaker has no operation ListNothing") as caught:
        check("ListNothing", {})
    assert caught.value.status == 404
