"""`byoc doctor`: examines any image by SageMaker's contract and says what to change."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoc_cli.docker.client import find_client
from byoc_cli.doctor import report, run
from byoc_cli.doctor.check import GROUPS
from byoc_cli.doctor.engine import Engine
from byoc_cli.doctor.subject import CSV, START_SECONDS, Subject

if TYPE_CHECKING:
    from types import FrameType

    from byoc_cli.doctor.check import Check

DATA = Path(__file__).parent / "data"
PAYLOAD_ROWS = 4
EPILOG = """\b
Examples:
  byoc doctor my-image
  byoc doctor my-image --only signals,51
  byoc doctor my-image --data my/csv/files --hyperparameters '{"epochs": "3"}'
  byoc doctor --list
"""
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("doctor", epilog=EPILOG)
@click.argument("image", required=False)
@click.option("--only", metavar="GROUP|ID,…", help="Run some checks: groups and numbers, with commas between.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with what to train on. [default: iris, CSV without a header, label first]",
)
@click.option("--hyperparameters", metavar="JSON", default="{}", show_default=True, help="An object, text by name.")
@click.option(
    "--payload",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Body of a good request. [default: rows of the data without the label]",
)
@click.option("--content-type", default=CSV, show_default=True, help="The payload's media type.")
@click.option(
    "--start-timeout",
    type=click.FloatRange(min=1),
    default=START_SECONDS,
    show_default=True,
    help="Seconds within which a server must answer /ping with 200.",
)
@click.option("--json", "json_file", type=FILE, help="Write the results as JSON.")
@click.option("--junit", type=FILE, help="Write the results as JUnit's XML.")
@click.option("--list", "only_list", is_flag=True, help="List the checks and those of the checklist still missing.")
def doctor(
    image: str | None,
    only: str | None,
    data: Path | None,
    hyperparameters: str,
    payload: Path | None,
    content_type: str,
    start_timeout: float,
    json_file: Path | None,
    junit: Path | None,
    only_list: bool,
) -> None:
    """Examine IMAGE by SageMaker's contract: what was done, expected and seen, and what to change.

    Ends with 0 without errors. A warning is a recommendation that the image does not follow; what it does not
    claim to do is "not offered".
    """
    numbers = chosen(only)
    checks = run.collect()
    if only_list:
        click.echo(listing([check for check in checks if check.number in numbers], numbers))
        return
    if not image:
        raise click.UsageError("Missing argument 'IMAGE': byoc doctor IMAGE")
    values = parsed(hyperparameters)
    body = payload.read_bytes() if payload else first_rows(data or DATA)
    signal.signal(signal.SIGTERM, interrupt)
    started = time.monotonic()
    with Engine(find_client().path, image) as engine:
        if not engine.inspect():
            raise click.ClickException(f"there is no image {image} here; build it, or pull it, and try again")
        subject = Subject(engine, data or DATA, values, body, content_type, start_timeout)
        plugin = run.Plugin(numbers, subject, progress)
        run.run(plugin, junit)
    if json_file:
        json_file.write_text(report.as_json(plugin.results), encoding="utf-8")
    click.echo(report.table(plugin.results))
    missing = numbers - {check.number for check in checks}
    click.echo(f"\n{report.summary(plugin.results, missing, time.monotonic() - started)}")
    sys.exit(report.exit_code(plugin.results))


def chosen(only: str | None) -> set[int]:
    """Return the numbers that `--only` means; all of the checklist's without it.

    Raises:
        click.BadParameter: a word is neither a group nor a number.
    """
    if only is None:
        return {number for numbers in GROUPS.values() for number in numbers}
    found: set[int] = set()
    for word in only.replace(" ", "").split(","):
        if word in GROUPS:
            found.update(GROUPS[word])
        elif word.isdecimal() and any(int(word) in numbers for numbers in GROUPS.values()):
            found.add(int(word))
        else:
            raise click.BadParameter(
                f"{word!r} is neither a number from 1 to 108 nor one of {', '.join(GROUPS)}", param_hint="--only"
            )
    return found


def parsed(hyperparameters: str) -> dict[str, str]:
    """Return hyperparameters as SageMaker writes them: all values are text.

    Raises:
        click.BadParameter: it is no JSON object.
    """
    try:
        values = json.loads(hyperparameters)
    except ValueError as error:
        raise click.BadParameter(f"is no JSON: {error}", param_hint="--hyperparameters") from error
    if not isinstance(values, dict):
        raise click.BadParameter('must be an object like {"epochs": "3"}', param_hint="--hyperparameters")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}


def first_rows(data: Path) -> bytes:
    """Return rows of the first CSV file, spread over it, without their first column, the label.

    Raises:
        click.UsageError: there is no CSV file.
    """
    files = sorted(data.rglob("*.csv"))
    if not files:
        raise click.UsageError(f"{data} has no CSV file to take rows from; give --payload and --content-type")
    lines = [line for line in files[0].read_text().splitlines() if line]
    picked = lines[:: max(1, len(lines) // PAYLOAD_ROWS)][:PAYLOAD_ROWS]
    return "".join(f"{line.partition(',')[2]}\n" for line in picked).encode()


def progress(place: int, count: int, check: Check, result: report.Result | None) -> None:
    """Show on standard error which check runs, and how it ended."""
    text = f"[{place:>2}/{count}] {check.number:>3} {check.group}: {check.done}"
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}"[:110] if result is None else "\r\033[K", nl=False, err=True)
    elif result is not None:
        click.echo(f"{text}: {result.word} ({result.seconds:.1f} s)", err=True)


def listing(checks: list[Check], numbers: set[int]) -> str:
    """Return the checks by group, and the numbers of those that are yet to be written."""
    lines = []
    for group, members in GROUPS.items():
        if wanted := numbers.intersection(members):
            there = [check for check in checks if check.group == group]
            lines += [group, *(f"  {check.number:>3}  {check.level}  {check.done}" for check in there)]
            if missing := wanted - {check.number for check in there}:
                lines.append(f"       not checked yet: {report.ranges(missing)}")
    return "\n".join(lines)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C, so that all that was started is removed."""
    raise KeyboardInterrupt
