"""What a batch transform job is to be: the parameters of CreateTransformJob, by SageMaker's own names as options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def transform_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a job be described."""
    megabytes = click.IntRange(0, 100)
    for option in reversed(
        [
            click.option("--content-type", default="text/csv", show_default=True, help="The input's media type."),
            click.option("--accept", metavar="MIME", help="The output's media type. [default: the server's choice]"),
            click.option(
                "--split-type",
                type=click.Choice(["None", "Line", "RecordIO", "TFRecord"]),
                default="Line",
                show_default=True,
            ),
            click.option("--batch-strategy", "--strategy", type=click.Choice(["SingleRecord", "MultiRecord"])),
            click.option(
                "--assemble-with",
                type=click.Choice(["None", "Line"]),
                help="[default: Line where the input is split so]",
            ),
            click.option("--compression-type", type=click.Choice(["None", "Gzip"]), default="None", show_default=True),
            click.option("--max-payload", type=megabytes, help="MB of a request; 0 streams whole files. [default: 6]"),
            click.option(
                "--max-concurrent-transforms", type=click.IntRange(min=0), help="Requests at a time, an instance."
            ),
            click.option("--input-filter", metavar="JSONPATH", help="What of each record is sent, as in $[1:]"),
            click.option("--output-filter", metavar="JSONPATH", help="What of each record is kept, as in $[0,-1]"),
            click.option(
                "--join-source", type=click.Choice(["None", "Input"]), help="Input: put each answer to its record."
            ),
            click.option("--instance-type", default="ml.m5.large", show_default=True),
            click.option("--instance-count", type=click.IntRange(min=1), default=1, show_default=True),
        ]
    ):
        command = option(command)
    return command


def transform_request(name: str, model: str, source: str, output: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of CreateTransformJob.

    Args:
        name: the job's.
        model: its name.
        source: prefix of the input.
        output: prefix of the output.
        given: the options.
    """
    lines, joins = given["split_type"] == "Line", given["join_source"] == "Input"
    plain = {
        "MaxPayloadInMB": given["max_payload"],
        "MaxConcurrentTransforms": given["max_concurrent_transforms"],
        "BatchStrategy": given["batch_strategy"],
    }
    processing = {
        "InputFilter": given["input_filter"],
        "OutputFilter": given["output_filter"],
        "JoinSource": given["join_source"],
    }
    processing = _known(processing)
    return {
        "TransformJobName": name,
        "ModelName": model,
        **_known(plain),
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": given["content_type"],
            "CompressionType": given["compression_type"],
            "SplitType": given["split_type"],
        },
        "TransformOutput": {
            "S3OutputPath": output,
            "AssembleWith": given["assemble_with"] or ("Line" if lines else "None"),
            # To be joined, both must be of one media type.
            **_known({"Accept": given["accept"] or (given["content_type"] if joins else None)}),
        },
        "TransformResources": {"InstanceType": given["instance_type"], "InstanceCount": given["instance_count"]},
        **({"DataProcessing": processing} if processing else {}),
    }


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
