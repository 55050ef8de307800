"""A request to an endpoint in the ways there are: answered, streamed, or by S3."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from botocore.exceptions import ClientError, EventStreamError

from byoc_cli.docker.invoke_local import complaint
from byoc_cli.sagemaker.bucket import place
from byoc_cli.sagemaker.errors import explained

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from byoc_cli.sagemaker.bucket import Bucket
    from byoc_cli.sagemaker.cloud import Cloud

RUNTIME = "sagemaker-runtime"
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Invocation:
    """A request.

    Attributes:
        cloud: where the endpoint is.
        endpoint: its name.
        body: what is sent.
        mime: the body's media type.
        accept: of the answer; None for the server's choice.
        target: further parameters: TargetModel, TargetVariant.
    """

    cloud: Cloud
    endpoint: str
    body: bytes
    mime: str
    accept: str | None
    target: Mapping[str, str]

    @property
    def parameters(self) -> dict[str, Any]:
        """What all ways of asking have."""
        accept = {"Accept": self.accept} if self.accept else {}
        return {"EndpointName": self.endpoint, "ContentType": self.mime, **accept, **self.target}

    def answer(self) -> tuple[bytes, str]:
        """Ask; return the answer and its media type.

        Raises:
            click.ClickException: there is none; the model's own words where it has said why.
        """
        parameters = {**self.parameters, "Body": self.body}
        with explained(RUNTIME, "InvokeEndpoint", parameters):
            try:
                answer = self.cloud.client(RUNTIME).invoke_endpoint(**parameters)
            except ClientError as error:
                raise_of_model(error)
            return answer["Body"].read(), str(answer.get("ContentType", ""))

    def pieces(self) -> Iterator[bytes]:
        """Ask; yield the answer as it comes.

        Raises:
            click.ClickException: it ends before its end.
        """
        parameters = {**self.parameters, "Body": self.body}
        with explained(RUNTIME, "InvokeEndpointWithResponseStream", parameters):
            try:
                answer = self.cloud.client(RUNTIME).invoke_endpoint_with_response_stream(**parameters)
                for event in answer["Body"]:
                    yield event["PayloadPart"]["Bytes"]
            except EventStreamError as error:
                raise click.ClickException(f"the answer broke off: {error.response['Error'].get('Message')}") from error
            except ClientError as error:
                raise_of_model(error)

    def by_s3(self, store: Bucket, seconds: float) -> bytes:
        """Upload the body, ask an async endpoint, and wait for its answer.

        Raises:
            click.ClickException: it failed, or did not come in time.
        """
        key = f"byoc/async/{self.endpoint}/input/{uuid.uuid4()}"
        self.cloud.call("s3", "PutObject", Bucket=store.name, Key=key, Body=self.body, ContentType=self.mime)
        told = self.cloud.call(
            RUNTIME, "InvokeEndpointAsync", InputLocation=f"s3://{store.name}/{key}", **self.parameters
        )
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if (found := self._object(told["OutputLocation"])) is not None:
                return found
            if (failed := self._object(told.get("FailureLocation", ""))) is not None:
                raise click.ClickException(f"the model failed: {failed.decode(errors='replace')[:2000]}")
            time.sleep(POLL_SECONDS)
        raise click.ClickException(f"no answer within {seconds:.0f} s; it will be at {told['OutputLocation']}")

    def _object(self, uri: str) -> bytes | None:
        if not uri:
            return None
        bucket, key = place(uri)
        found = self.cloud.find("s3", "GetObject", Bucket=bucket, Key=key)
        return bytes(found["Body"].read()) if found else None


def raise_of_model(error: ClientError) -> None:
    """Say what the model itself said is wrong; other errors are raised again.

    Raises:
        click.ClickException: the model answered with an error.
        ClientError: it is another's.
    """
    answer = error.response
    if "OriginalMessage" not in answer:
        raise error
    status = int(answer.get("OriginalStatusCode", 0))
    if not status:
        raise click.ClickException(
            f"the model did not answer: {answer['OriginalMessage'] or answer['Error']['Message']}"
        )
    said = complaint(status, str(answer["OriginalMessage"]).encode())
    raise click.ClickException(f"the model answered {status}: {said}") from error
