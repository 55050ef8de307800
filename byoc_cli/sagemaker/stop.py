"""`byoc sagemaker stop`: ends a job before its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from byoc_cli.sagemaker.options import cloud_options

if TYPE_CHECKING:
    from byoc_cli.sagemaker.cloud import Cloud

JOBS = {"training": "TrainingJob", "transform": "TransformJob"}
EPILOG = """\b
Examples:
  byoc sagemaker stop churn-20260728-101500-123
"""


@click.command("stop", epilog=EPILOG)
@click.argument("name")
@cloud_options
def stop_command(cloud: Cloud, name: str) -> None:
    """Stop a training or transform job. A training job has two minutes to save what it has."""
    for kind, noun in JOBS.items():
        job = cloud.find("sagemaker", f"Describe{noun}", **{f"{noun}Name": name})
        if job is None:
            continue
        status = job[f"{noun}Status"]
        if status != "InProgress":
            raise click.ClickException(f"{kind} job {name} is {status} already")
        cloud.call("sagemaker", f"Stop{noun}", **{f"{noun}Name": name})
        cloud.finish({f"{noun}Name": name, f"{noun}Status": "Stopping"}, f"{kind} job {name} is being stopped")
        return
    raise click.ClickException(f"there is no training or transform job {name}; byoc sagemaker status lists them")
