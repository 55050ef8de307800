"""What AWS refuses, as one reads it: errors that neither moto nor the emulator make."""

import click
import pytest
from botocore.exceptions import EndpointConnectionError

from byoc_cli.sagemaker.cloud import Cloud
from byoc_cli.sagemaker.errors import Refused
from tests.program import free_port


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        (
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/me is not authorized to perform: sagemaker:ListModels because no …",
            "sagemaker:ListModels is not allowed to arn:aws:iam::123456789012:user/me; a policy of theirs needs this",
        ),
        ("ExpiredTokenException", "token expired", "the credentials have expired (token expired); sign in again"),
        ("UnrecognizedClientException", "invalid", "AWS does not know these credentials (invalid); run aws configure"),
        (
            "ResourceLimitExceeded",
            "The account-level service limit 'ml.g5.xlarge for endpoint usage' is 0 Instances.",
            "is 0 Instances. Ask for more at Service Quotas in the console, or take another --instance-type",
        ),
        ("ValidationException", f"enum value set: [{'ml.m5.large, ' * 200}]", "enum value set: […]"),
        (
            "ValidationException",
            "Could not assume role arn:aws:iam::123456789012:role/ml.",
            '"Service": "sagemaker.amazonaws.com"',
        ),
    ],
)
def test_a_refusal_says_what_to_do(cloud, stubbed, code, message, shown):
    stubbed("sagemaker").add_client_error("list_models", code, message, 400)
    with pytest.raises(Refused) as caught:
        cloud.read("sagemaker", "ListModels")
    assert shown in caught.value.message
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("code", "message", "missing"),
    [
        ("ValidationException", 'Could not find endpoint "arn:…".', True),
        ("ResourceNotFound", "Requested resource not found.", True),
        ("ValidationException", "Requested resource not found.", True),
        ("404", "Not Found", True),
        ("ValidationException", "1 validation error detected", False),
        ("AccessDeniedException", "no", False),
    ],
)
def test_what_is_not_there_is_told_from_what_is_refused(cloud, stubbed, code, message, missing):
    stubbed("sagemaker").add_client_error("describe_endpoint", code, message, 400)
    if missing:
        assert cloud.find("sagemaker", "DescribeEndpoint", EndpointName="x") is None
    else:
        with pytest.raises(Refused):
            cloud.find("sagemaker", "DescribeEndpoint", EndpointName="x")


def test_an_upload_that_is_refused_names_the_statement(cloud, stubbed, tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("1,2\n")
    stubbed("s3").add_client_error("put_object", "AccessDenied", "Access Denied", 403)
    with pytest.raises(Refused, match=r"(?s)s3:PutObject is not allowed; .*arn:aws:s3:::b/k"):
        cloud.upload(file, "b", "k")


def test_no_credentials():
    with pytest.raises(click.ClickException, match=r"there are no AWS credentials; run aws configure, .* emulator env"):
        Cloud("eu-west-1").read("sagemaker", "ListModels")


def test_no_region():
    with pytest.raises(click.ClickException, match="no AWS region is set; add --region"):
        Cloud().read("sagemaker", "ListModels")


def test_no_such_profile():
    with pytest.raises(click.ClickException, match=r"\(nobody\) could not be found; aws configure list-profiles"):
        Cloud("eu-west-1", "nobody").read("sagemaker", "ListModels")


@pytest.mark.usefixtures("credentials")
def test_nothing_answers(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("byoc_cli.sagemaker.cloud.CONFIG", None)
    with pytest.raises(click.ClickException, match=r"ListModels: nothing answers .*byoc emulator start") as caught:
        Cloud("eu-west-1").read("sagemaker", "ListModels")
    assert isinstance(caught.value.__cause__, EndpointConnectionError)
