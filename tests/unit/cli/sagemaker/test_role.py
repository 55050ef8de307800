"""The role: named, of the environment, or that of the notebook this runs in; by moto's IAM and STS."""

import json

import click
import pytest

from byoc_cli.sagemaker.role import find_role

ARN = "arn:aws:iam::123456789012:role/service-role/ml"


def trust(service: str) -> str:
    return json.dumps(
        {"Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]}
    )


def test_the_one_named_is_first_then_the_environment(aws, monkeypatch):
    monkeypatch.setenv("AWS_ROLE_ARN", ARN.replace("ml", "b"))
    assert find_role(aws, None) == ARN.replace("ml", "b")
    monkeypatch.setenv("SAGEMAKER_ROLE", ARN.replace("ml", "a"))
    assert find_role(aws, None) == ARN.replace("ml", "a")
    assert find_role(aws, ARN) == ARN


def test_a_name_alone_is_looked_up_for_its_path(aws):
    aws.call("iam", "CreateRole", RoleName="ml", Path="/service-role/", AssumeRolePolicyDocument=trust("x"))
    assert find_role(aws, "ml") == ARN
    assert find_role(aws, "another") == "arn:aws:iam::123456789012:role/another"


def test_a_role_must_look_like_one(aws):
    with pytest.raises(click.BadParameter, match="'arn:aws:iam::1:user/me' is no role"):
        find_role(aws, "arn:aws:iam::1:user/me")


def test_a_user_is_no_role(aws):
    with pytest.raises(click.ClickException, match=r"which is no role; name one .* --arn ROLE, or SAGEMAKER_ROLE"):
        find_role(aws, None)


@pytest.mark.parametrize("service", ["sagemaker.amazonaws.com", "ec2.amazonaws.com"])
def test_the_notebooks_own_where_sagemaker_may_take_it_on(aws, monkeypatch, service):
    from byoc_cli.sagemaker.cloud import Cloud

    aws.call("iam", "CreateRole", RoleName="ml", Path="/service-role/", AssumeRolePolicyDocument=trust(service))
    given = aws.call("sts", "AssumeRole", RoleArn=ARN, RoleSessionName="SageMaker")["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
    notebook = Cloud("eu-west-1")
    if service.startswith("sagemaker"):
        assert find_role(notebook, None) == ARN
    else:
        with pytest.raises(click.ClickException, match=r"your own role ml does not trust sagemaker\.amazonaws\.com"):
            find_role(notebook, None)
