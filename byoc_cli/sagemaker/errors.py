"""What boto3 raises, as a line for whoever typed the command: what, why, what to do next."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from boto3.exceptions import Boto3Error
from botocore import exceptions as botocore

from byoc_cli.sagemaker import permissions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONG = 700
EMULATOR = 'or speak to the emulator: eval "$(byoc emulator env)"'
CREDENTIALS = f"run aws configure, set AWS_PROFILE, {EMULATOR}"
STALE = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}
INVALID = {"UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
UPLOAD = re.compile(
    r"An error occurred \((?P<code>\w+)\) when calling the (?P<operation>\w+) operation: (?P<message>.*)"
)
ENUM = re.compile(r"(enum value set: \[)[^\]]{80,}\]")


class Refused(click.ClickException):
    """A call that AWS refused.

    Args:
        message: as shown.
        code: AWS's name of the error.
        status: of the HTTP answer.
    """

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def is_missing(self) -> bool:
        """Whether what was asked for is not there: SageMaker has no code of its own for that."""
        gone = self.code in {"ResourceNotFound", "ResourceNotFoundException", "404", "NoSuchKey", "NoSuchBucket"}
        said = ("Could not find", "Requested resource not found", "does not exist")
        return gone or any(each in self.message for each in said)


@contextmanager
def explained(service: str, operation: str, parameters: Mapping[str, Any]) -> Iterator[None]:
    """Turn what a call raises into a message.

    Args:
        service: boto3's name of the client.
        operation: AWS's name of it.
        parameters: of the call.

    Raises:
        Refused: AWS said no.
        click.ClickException: it was not even asked.
    """
    try:
        yield
    except botocore.ClientError as error:
        answer = error.response
        status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = answer.get("Error", {})
        raise refused(service, operation, parameters, said.get("Code", ""), said.get("Message", ""), status) from error
    except Boto3Error as error:
        if found := UPLOAD.search(str(error)):
            raise refused(service, found["operation"], parameters, found["code"], found["message"], 0) from error
        raise click.ClickException(str(error)) from error
    except botocore.BotoCoreError as error:
        raise click.ClickException(unsent(operation, error)) from error


def refused(
    service: str, operation: str, parameters: Mapping[str, Any], code: str, message: str, status: int
) -> Refused:
    """Return the error for a call that was refused."""
    text = ENUM.sub(r"\1…]", message)[:LONG] or code
    if code in permissions.DENIED or permissions.NOT_AUTHORIZED.search(message):
        text = permissions.of_caller(service, operation, parameters, message)
    elif code in STALE:
        text = f"{operation}: the credentials have expired ({text}); sign in again, as by aws sso login"
    elif code in INVALID:
        text = f"{operation}: AWS does not know these credentials ({text}); {CREDENTIALS}"
    elif code == "ResourceLimitExceeded":
        text = f"{operation}: {text} Ask for more at Service Quotas in the console, or take another --instance-type"
    elif code == "NoSuchBucket":
        text = f"there is no bucket {parameters.get('Bucket', '')}; make it: aws s3 mb s3://…, or leave --bucket out"
    elif lacking := permissions.of_role(message):
        text = f"{operation}: {text}\n{lacking}"
    else:
        text = f"{operation}: {text}"
    return Refused(text, code, status)


def unsent(operation: str, error: Exception) -> str:
    """Say why a call did not reach AWS."""
    text = " ".join(str(error).split())
    match error:
        case botocore.NoCredentialsError() | botocore.PartialCredentialsError() | botocore.CredentialRetrievalError():
            said = f"there are no AWS credentials; {CREDENTIALS}"
        case botocore.NoRegionError():
            said = f"no AWS region is set; add --region REGION, set AWS_REGION, {EMULATOR}"
        case botocore.ProfileNotFound():
            said = f"{text}; aws configure list-profiles shows which there are"
        case botocore.TokenRetrievalError() | botocore.SSOTokenLoadError() | botocore.UnauthorizedSSOTokenError():
            said = f"the sign-in has expired ({text}); sign in again: aws sso login"
        case botocore.EndpointConnectionError() | botocore.ConnectTimeoutError() | botocore.ReadTimeoutError():
            said = f"{operation}: nothing answers ({text}); check network and region, or run byoc emulator start"
        case _:
            said = f"{operation}: {text}"
    return said
