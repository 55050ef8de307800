"""`byoc sagemaker status`: what there is, as a table; or one thing in detail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.sagemaker import endpoint, prices
from byoc_cli.sagemaker.cloud import Cloud, text
from byoc_cli.sagemaker.options import cloud_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc_cli.sagemaker.cloud import Answer

MOST = 20
EPILOG = """\b
Examples:
  byoc sagemaker status
  byoc sagemaker status churn
  byoc sagemaker status --kind endpoint --json
"""


@dataclass(frozen=True)
class Kind:
    """A kind of thing that SageMaker has.

    Attributes:
        noun: as in ListXs and DescribeX.
        member: of ListXs's answer.
    """

    noun: str
    member: str

    @property
    def name(self) -> str:
        """The member that holds a thing's name."""
        return f"{self.noun}Name"

    @property
    def status(self) -> str:
        """The member that holds its status; models have none."""
        return f"{self.noun}Status"


KINDS = {
    "endpoint": Kind("Endpoint", "Endpoints"),
    "training": Kind("TrainingJob", "TrainingJobSummaries"),
    "transform": Kind("TransformJob", "TransformJobSummaries"),
    "model": Kind("Model", "Models"),
}


@click.command("status", epilog=EPILOG)
@click.argument("name", required=False)
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True, help="Of this kind only.")
@click.option(
    "-n", "--count", type=click.IntRange(min=1), default=MOST, show_default=True, help="Of each kind, the latest."
)
@cloud_options
def status_command(cloud: Cloud, name: str | None, kinds: Sequence[str], count: int) -> None:
    """List endpoints, jobs and models, or tell all about one."""
    chosen = {kind: KINDS[kind] for kind in kinds or KINDS}
    if name is None:
        found = {kind: listed(cloud, each, count) for kind, each in chosen.items()}
        cloud.dry_run = False  # reading is all that it does
        cloud.finish(found, table(found) or f"there is nothing in {cloud.region}")
        return
    for kind, each in chosen.items():
        description = cloud.find("sagemaker", f"Describe{each.noun}", **{each.name: name})
        if description is not None:
            cloud.dry_run = False
            cloud.finish(description, f"{kind} {name}", *detail(cloud, kind, each, description))
            return
    raise click.ClickException(f"there is no {', '.join(chosen)} named {name} in {cloud.region}")


def listed(cloud: Cloud, kind: Kind, count: int) -> list[dict[str, Any]]:
    """Return the latest things of a kind."""
    order = {"SortBy": "CreationTime", "SortOrder": "Descending"}
    return cloud.pages("sagemaker", f"List{kind.noun}s", kind.member, count, **order)


def table(found: dict[str, list[dict[str, Any]]]) -> str:
    """Return what was found, a line each, in columns."""
    rows = [
        (kind, thing[KINDS[kind].name], str(thing.get(KINDS[kind].status, "")), age(thing["CreationTime"]))
        for kind, things in found.items()
        for thing in things
    ]
    if not rows:
        return ""
    rows.insert(0, ("kind", "name", "status", "created"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(row[column].ljust(widths[column]) for column in range(3)), row[3]]).rstrip() for row in rows
    )


def age(moment: datetime) -> str:
    """Return how long ago something was."""
    seconds = max(0.0, (datetime.now(UTC) - moment).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def detail(cloud: Cloud, kind: str, what: Kind, description: Answer) -> list[str]:
    """Return lines on one thing: the status first, what failed, then all that SageMaker tells."""
    lines = [f"status   {description[what.status]}"] if what.status in description else []
    if description.get("FailureReason"):
        lines.append(f"failure  {description['FailureReason']}")
    if kind == "endpoint":
        found = endpoint.describe(cloud, description["EndpointName"])
        lines.append(f"kind     {found.kind}")
        lines += [f"image    {image(model)}" for model in found.models.values()]
        if description["EndpointStatus"] == endpoint.IN_SERVICE:
            lines.append(f"price    {prices.running_cost(cloud, found.running)}")
    return [*lines, "", text(description)]


def image(model: Answer) -> str:
    """Return the images of a model."""
    containers = model.get("Containers") or [model.get("PrimaryContainer", {})]
    return ", ".join(str(each.get("Image", "")) for each in containers)
