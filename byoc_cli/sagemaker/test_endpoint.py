"""`byoc sagemaker test-endpoint`: one request, shown with its answer; or many, with their latencies."""

from __future__ import annotations

import base64
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.docker.invoke_local import accept_option, body_option, header, mime_option, read_body, readable, write
from byoc_cli.sagemaker.bucket import Bucket
from byoc_cli.sagemaker.invocation import RUNTIME, Invocation
from byoc_cli.sagemaker.latency import measure
from byoc_cli.sagemaker.options import bucket_option, cloud_options, endpoint_argument

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Cloud

SHOWN_ERRORS = 3
EPILOG = """\b
Examples:
  byoc sagemaker test-endpoint churn -b '{"instances": [[5.1, 3.5, 1.4, 0.2]]}'
  byoc sagemaker test-endpoint churn -mm text/csv -b @local_test/payloads/iris.csv --accept application/json
  byoc sagemaker test-endpoint churn -mm text/csv -b @local_test/payloads/iris.csv -n 200 -c 8
  byoc sagemaker test-endpoint churn -mm text/csv -b 5.1,3.5,1.4,0.2 --stream
  byoc sagemaker test-endpoint churn-later -mm text/csv -b @rows.csv --async
  byoc sagemaker test-endpoint churn-all -tm berlin.tar.gz -mm text/csv -b @rows.csv
"""


@click.command("test-endpoint", epilog=EPILOG)
@endpoint_argument
@mime_option
@body_option
@accept_option
@click.option("-tm", "--target-model", metavar="FILE", help="Which of a multi-model endpoint's models: its file.")
@click.option("--target-variant", metavar="NAME", help="Which variant. [default: by their weights]")
@click.option("--stream", is_flag=True, help="Show the answer piece by piece, as it comes.")
@click.option("--async", "is_async", is_flag=True, help="For an async endpoint: the body is uploaded to S3.")
@click.option("--timeout", type=click.FloatRange(min=1), default=900, show_default=True, help="Seconds for --async.")
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="Ask so often.")
@click.option(
    "-c", "--concurrency", type=click.IntRange(1, 1000), default=1, show_default=True, help="Requests at a time."
)
@bucket_option
@cloud_options
def test_endpoint_command(
    cloud: Cloud, endpoint_name: str, mime: str, body: str, accept: str | None, bucket: str | None, **given: Any
) -> None:
    """Ask an endpoint, show its answer, and with -n how long answers take."""
    if given["is_async"] and (given["stream"] or given["target_model"]):
        raise click.UsageError(
            "an async endpoint neither streams nor has several models: leave --async out, or the other"
        )
    targets = {"TargetModel": given["target_model"], "TargetVariant": given["target_variant"]}
    invocation = Invocation(
        cloud,
        endpoint_name,
        read_body(body, mime),
        header("--mime", mime),
        accept and header("--accept", accept),
        {name: value for name, value in targets.items() if value},
    )
    store = Bucket(cloud, bucket)
    if cloud.dry_run:
        show_calls(cloud, invocation, store, given)
    elif given["count"] > 1:
        ask_often(cloud, invocation, store, given)
    elif given["stream"] and not cloud.as_json:
        pour(invocation)
    else:
        ask_once(cloud, invocation, store, given)


def ask(invocation: Invocation, store: Bucket, given: dict[str, Any]) -> tuple[bytes, str]:
    """Ask once in the way that was chosen; return the answer and its media type."""
    if given["is_async"]:
        return invocation.by_s3(store, given["timeout"]), invocation.accept or ""
    if given["stream"]:
        return b"".join(invocation.pieces()), invocation.accept or ""
    return invocation.answer()


def ask_once(cloud: Cloud, invocation: Invocation, store: Bucket, given: dict[str, Any]) -> None:
    """Ask, and show the answer on stdout, what it took on stderr."""
    begin = time.monotonic()
    answer, mime = ask(invocation, store, given)
    milliseconds = (time.monotonic() - begin) * 1000
    if cloud.as_json:
        cloud.finish({**_in_json(answer), "ContentType": mime, "Milliseconds": round(milliseconds, 2)})
        return
    click.echo(f"{milliseconds:.1f} ms: {len(answer):,} bytes{f', {mime}' if mime else ''}", err=True)
    if answer:
        write(readable(answer, mime), mime)


def ask_often(cloud: Cloud, invocation: Invocation, store: Bucket, given: dict[str, Any]) -> None:
    """Ask once to see that it answers, then as often as wanted.

    Raises:
        click.ClickException: some requests failed.
    """
    ask(invocation, store, given)
    found = measure(lambda: ask(invocation, store, given), given["count"], min(given["concurrency"], given["count"]))
    cloud.finish(found.as_json(), str(found))
    if found.errors:
        said = "\n  ".join(list(dict.fromkeys(found.errors))[:SHOWN_ERRORS])
        raise click.ClickException(f"{len(found.errors)} of {given['count']} requests failed:\n  {said}")


def pour(invocation: Invocation) -> None:
    """Show a streamed answer as it comes, and when its first piece came."""
    begin, first, size, pieces = time.monotonic(), 0.0, 0, 0
    for piece in invocation.pieces():
        first = first or time.monotonic() - begin
        pieces, size = pieces + 1, size + len(piece)
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    whole = time.monotonic() - begin
    click.echo(
        f"first piece after {first * 1000:.1f} ms, all {pieces} after {whole * 1000:.1f} ms: {size:,} bytes", err=True
    )


def show_calls(cloud: Cloud, invocation: Invocation, store: Bucket, given: dict[str, Any]) -> None:
    """Print the call that would be made."""
    if given["is_async"]:
        cloud.show(RUNTIME, "InvokeEndpointAsync", {**invocation.parameters, "InputLocation": store.uri("async", "…")})
    else:
        operation = "InvokeEndpointWithResponseStream" if given["stream"] else "InvokeEndpoint"
        cloud.show(RUNTIME, operation, {**invocation.parameters, "Body": f"{len(invocation.body)} bytes"})
    cloud.finish({})


def _in_json(answer: bytes) -> dict[str, str]:
    """Return an answer for a JSON object: as text where it is that."""
    try:
        return {"Body": answer.decode()}
    except UnicodeDecodeError:
        return {"BodyBase64": base64.b64encode(answer).decode()}
