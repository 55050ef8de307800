"""IAM, as far as clients look at a role before they use it: moto's, with one role that SageMaker may take on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from byoc_cli.emulator.command import ROLE

if TYPE_CHECKING:
    from byoc_cli.emulator.emulator import Emulator

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def create_role(emulator: Emulator) -> None:
    """Make the role that `byoc emulator env` names; moto forgets it with the rest of its memory."""
    iam = boto3.client(
        "iam",
        endpoint_url=emulator.address,
        region_name=emulator.region,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",  # noqa: S106 - moto takes any
    )
    iam.create_role(RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=json.dumps(TRUST))


def _simulate_principal_policy(response: IamResponse) -> ActionResult:
    """Allow a role everything, as the emulator does; one that is not there is refused."""
    response.backend.get_role_by_arn(response._get_param("PolicySourceArn"))  # noqa: SLF001 - as moto's own do
    verdict = {"EvalDecision": "allowed", "MatchedStatements": [], "MissingContextValues": []}
    found = [
        {"EvalActionName": action, "EvalResourceName": resource, **verdict}
        for action in response._get_param("ActionNames")  # noqa: SLF001 - the same
        for resource in response._get_param("ResourceArns", ["*"])  # noqa: SLF001 - the same
    ]
    return ActionResult({"EvaluationResults": found, "IsTruncated": False})


# moto finds what does an action by its name, and has nothing for this one, which SageMaker's SDK asks first.
IamResponse.simulate_principal_policy = _simulate_principal_policy  # type: ignore[attr-defined]
