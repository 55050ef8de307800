"""AWS's own words about permissions, and the statement that each asks for."""

import json

import pytest

from byoc_cli.sagemaker import permissions

CALLER = "arn:aws:sts::123456789012:assumed-role/dev/me"
ROLE = "arn:aws:iam::123456789012:role/ml"


def statement(text: str) -> object:
    return json.loads(text[text.index("\n") :])


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "message", "action", "resource"),
    [
        (
            "sagemaker",
            "CreateModel",
            {},
            (
                f"User: {CALLER} is not authorized to perform: sagemaker:CreateModel on resource: "
                "arn:aws:sagemaker:eu-west-1:123456789012:model/m because no identity-based policy allows the action"
            ),
            "sagemaker:CreateModel",
            "arn:aws:sagemaker:eu-west-1:123456789012:model/m",
        ),
        (
            "s3",
            "PutObject",
            {"Bucket": "b", "Key": "k"},
            f'User: {CALLER} is not authorized to perform: s3:PutObject on resource: "arn:aws:s3:::b/k" because no …',
            "s3:PutObject",
            "arn:aws:s3:::b/k",
        ),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k"}, "Access Denied", "s3:PutObject", "arn:aws:s3:::b/k"),
        (
            "s3",
            "CreateMultipartUpload",
            {"Bucket": "b", "Key": "k"},
            "Access Denied",
            "s3:PutObject",
            "arn:aws:s3:::b/k",
        ),
        ("s3", "HeadBucket", {"Bucket": "b"}, "Forbidden", "s3:ListBucket", "arn:aws:s3:::b"),
        ("s3", "ListObjectsV2", {"Bucket": "b", "Prefix": "p"}, "Access Denied", "s3:ListBucket", "arn:aws:s3:::b"),
        ("s3", "HeadObject", {"Bucket": "b", "Key": "k"}, "Forbidden", "s3:GetObject", "arn:aws:s3:::b/k"),
        ("sagemaker-runtime", "InvokeEndpoint", {}, "no", "sagemaker:InvokeEndpoint", "*"),
        ("application-autoscaling", "PutScalingPolicy", {}, "no", "application-autoscaling:PutScalingPolicy", "*"),
    ],
)
def test_what_the_caller_may_not_do(service, operation, parameters, message, action, resource):
    text = permissions.of_caller(service, operation, parameters, message)
    assert text.startswith(f"{action} is not allowed{f' to {CALLER}' if CALLER in message else ''}; ")
    assert statement(text) == {"Effect": "Allow", "Action": action, "Resource": resource}


def test_to_pass_a_role_is_allowed_for_sagemaker_alone():
    message = f"User: {CALLER} is not authorized to perform: iam:PassRole on resource: {ROLE} because no identity"
    assert statement(permissions.of_caller("sagemaker", "CreateModel", {}, message)) == {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": ROLE,
        "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    }


def test_no_statement_lifts_an_explicit_deny():
    message = f"User: {CALLER} is not authorized to perform: sagemaker:CreateModel on resource: x with an explicit deny"
    text = permissions.of_caller("sagemaker", "CreateModel", {}, message)
    assert "which no further statement lifts" in text
    assert "{" not in text


@pytest.mark.parametrize(("region", "partition", "domain"), [("eu-west-1", "aws", ""), ("cn-north-1", "aws-cn", ".cn")])
def test_a_role_that_may_not_pull(region, partition, domain):
    image = f"123456789012.dkr.ecr.{region}.amazonaws.com{domain}/models/churn:1.4"
    text = permissions.of_role(f"The role '{ROLE}' does not have BatchGetImage permission for the image: '{image}'.")
    repository, token = statement(text)
    assert repository["Resource"] == f"arn:{partition}:ecr:{region}:123456789012:repository/models/churn"
    assert "ecr:GetDownloadUrlForLayer" in repository["Action"]
    assert (token["Action"], token["Resource"]) == ("ecr:GetAuthorizationToken", "*")


def test_a_role_that_may_not_read():
    message = (
        f'Could not access model data at s3://b/p/model.tar.gz. Please ensure that the role "{ROLE}" exists and that its '
        'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
        '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the object is '
        "located in eu-west-1."
    )
    assert statement(permissions.of_role(message))["Resource"] == ["arn:aws:s3:::b", "arn:aws:s3:::b/*"]


def test_a_role_that_cannot_be_taken_on():
    message = f"Could not assume role {ROLE}. Please ensure that the role exists and allows principal 'sagemaker.amaz…"
    assert statement(permissions.of_role(message)) == permissions.TRUST
    assert permissions.of_role("AlgorithmError: it broke, exit code: 1") == ""
