"""The MetricDefinitions that an image tells of itself, where Docker has it here."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.commands import output_of
from byoc_cli.docker.client import find_client

if TYPE_CHECKING:
    from byoc_cli.sagemaker.options import Image

# SageMaker takes no more.
MOST = 40
SECONDS = 60


def of_image(image: Image) -> list[dict[str, Any]]:
    """Return what `docker run IMAGE train --metric-definitions` prints; [] where there is none of that."""
    try:
        client = find_client()
    except click.ClickException:
        return []
    if client.inspect(image.local) is None:
        return []
    # Another's image may not know the option, and take its time with training on nothing.
    name = f"byoc-metrics-{uuid.uuid4().hex[:12]}"
    command = [client.path, "run", "--rm", "--pull", "never", "--network", "none", "--name", name, image.local]
    try:
        done = subprocess.run(
            [*command, "train", "--metric-definitions"], capture_output=True, timeout=SECONDS, check=True
        )
        return _checked(json.loads(done.stdout))
    except (subprocess.SubprocessError, ValueError, LookupError, TypeError):
        return []
    finally:
        output_of([client.path, "rm", "--force", name])


def _checked(told: Any) -> list[dict[str, Any]]:
    """Return definitions that SageMaker takes.

    Raises:
        LookupError, TypeError: they are something else.
    """
    return [{"Name": str(each["Name"]), "Regex": str(each["Regex"])} for each in list(told)[:MOST]]
