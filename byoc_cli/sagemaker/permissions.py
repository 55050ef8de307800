"""What AWS says of permissions, turned into the statement that is missing: JSON to paste into a policy."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "Forbidden"}
NOT_AUTHORIZED = re.compile(
    r"(?:User: (?P<who>\S+) )?is not authorized to perform: (?P<action>[\w-]+:\w+)"
    r"(?: on (?:the )?resource: \"?(?P<resource>[^\s\"]+))?"
)
# Actions of S3 that are called otherwise than their operations.
S3_ACTIONS = {
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
PREFIXES = {"sagemaker-runtime": "sagemaker"}
IMAGE = re.compile(
    r"does not have (?:ecr:)?(?P<action>\w+) permission for the image: "
    r"'?(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.[\w.]+/(?P<repository>[\w./-]+)"
)
DATA = re.compile(r"s3://(?P<bucket>[\w.-]+)(?:/(?P<key>[^\s'\",]*))?")
ASSUME = re.compile(r"sts:AssumeRole|[Cc]ould not assume role|[Uu]nable to assume|trust relationship")
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "sagemaker.amazonaws.com"},
    "Action": "sts:AssumeRole",
}


def of_caller(service: str, operation: str, parameters: Mapping[str, Any], message: str) -> str:
    """Say what the caller may not do, and which statement would allow it.

    Args:
        service: boto3's name of the client.
        operation: that was refused.
        parameters: of the call; they tell the resource where the message does not.
        message: AWS's.
    """
    found = NOT_AUTHORIZED.search(message)
    action = found["action"] if found else _action(service, operation)
    resource = (found and found["resource"]) or _resource(service, action, parameters)
    who = f" to {found['who']}" if found and found["who"] else ""
    if "explicit deny" in message:
        return f"{action} is denied{who} by a policy that says Deny, which no further statement lifts: {message}"
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource.rstrip(".,")}
    if action == "iam:PassRole":
        statement["Condition"] = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    return f"{action} is not allowed{who}; a policy of theirs needs this statement:\n{_text(statement)}"


def of_role(message: str) -> str:
    """Say what the role that SageMaker takes on lacks, by a FailureReason or the like; "" where it is not that."""
    if image := IMAGE.search(message):
        partition = "aws-cn" if image["region"].startswith("cn-") else "aws"
        repository = f"arn:{partition}:ecr:{image['region']}:{image['account']}:repository/{image['repository']}"
        statements = [
            {"Effect": "Allow", "Action": PULL, "Resource": repository},
            {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"},
        ]
        return f"the role (--arn) may not pull the image; its policy needs these statements:\n{_text(statements)}"
    action = re.search(r"s3:(GetObject|PutObject|ListBucket)", message)
    place = DATA.search(message)
    if action and place:
        bucket = f"arn:aws:s3:::{place['bucket']}"
        statement = {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"],
            "Resource": [bucket, f"{bucket}/*"],
        }
        return (
            f"the object is missing, or the role (--arn) may not read it; it may by this statement:\n{_text(statement)}"
        )
    if ASSUME.search(message):
        return f"SageMaker cannot take on the role (--arn); its trust policy needs this statement:\n{_text(TRUST)}"
    return ""


def _action(service: str, operation: str) -> str:
    if service == "s3":
        return f"s3:{S3_ACTIONS.get(operation, operation)}"
    return f"{PREFIXES.get(service, service)}:{operation}"


def _resource(service: str, action: str, parameters: Mapping[str, Any]) -> str:
    if service == "s3" and "Bucket" in parameters:
        key = f"/{parameters['Key']}" if "Key" in parameters and not action.endswith("Bucket") else ""
        return f"arn:aws:s3:::{parameters['Bucket']}{key}"
    return "*"


def _text(statement: Any) -> str:
    return json.dumps(statement, indent=2)
