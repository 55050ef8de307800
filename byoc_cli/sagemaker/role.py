"""The role that SageMaker takes on to read data, pull images and write results."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import click

from byoc_cli.sagemaker.cloud import UNKNOWN_ACCOUNT
from byoc_cli.sagemaker.errors import Refused

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Cloud

VARIABLES = ("SAGEMAKER_ROLE", "AWS_ROLE_ARN")
SERVICE = "sagemaker.amazonaws.com"
ARN = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
PLAIN = re.compile(r"[\w+=,.@-]{1,64}")
ASSUMED = re.compile(r"arn:aws[a-z-]*:sts::\d{12}:assumed-role/([\w+=,.@-]+)/")
REMEDY = "name one that SageMaker may take on: --arn ROLE, or SAGEMAKER_ROLE in the environment"


def find_role(cloud: Cloud, named: str | None) -> str:
    """Return the role's ARN: the one named, that of the environment, or of the notebook that this runs in.

    Args:
        cloud: where it is.
        named: an ARN, or a name alone.

    Raises:
        click.ClickException: there is none, or it is none.
    """
    given = named or next(filter(None, map(os.environ.get, VARIABLES)), None)
    if given:
        return _whole(cloud, given)
    if cloud.dry_run and cloud.is_anonymous:
        return f"arn:aws:iam::{UNKNOWN_ACCOUNT}:role/ROLE"
    caller = str(cloud.read("sts", "GetCallerIdentity")["Arn"])
    assumed = ASSUMED.match(caller)
    if not assumed:
        raise click.ClickException(f"you are {caller}, which is no role; {REMEDY}")
    try:
        role = cloud.read("iam", "GetRole", RoleName=assumed[1])["Role"]
    except Refused as error:
        raise click.ClickException(f"your own role {assumed[1]} cannot be looked up; {REMEDY}") from error
    if SERVICE not in json.dumps(role.get("AssumeRolePolicyDocument", "")):
        raise click.ClickException(f"your own role {assumed[1]} does not trust {SERVICE}; {REMEDY}")
    return str(role["Arn"])


def _whole(cloud: Cloud, given: str) -> str:
    """Return the ARN of a role that may have been given by its name; roles have paths, so IAM is asked first."""
    if ARN.fullmatch(given):
        return given
    if not PLAIN.fullmatch(given):
        raise click.BadParameter(
            f"{given!r} is no role; write it as in arn:aws:iam::123456789012:role/ROLE", param_hint="--arn"
        )
    try:
        found = cloud.find("iam", "GetRole", RoleName=given)
    except Refused:
        found = None  # not allowed to look; then it has no path
    return str(found["Role"]["Arn"]) if found else f"arn:{cloud.partition}:iam::{cloud.account}:role/{given}"
