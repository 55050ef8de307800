"""`byoc doctor`: examines any image by SageMaker's contract and says what to change."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoc_cli.docker.client import find_client
from byoc_cli.doctor import report, run
from byoc_cli.doctor.check import GROUPS
from byoc_cli.doctor.containers import DockerEngine
from byoc_cli.doctor.native import NativeEngine
from byoc_cli.doctor.subject import CSV, START_SECONDS, Subject
from byoc_cli.repository import repository_root

if TYPE_CHECKING:
    from types import FrameType

    from byoc_cli.doctor.check import Check
    from byoc_cli.doctor.engine import Engine

DATA = Path(__file__).parent / "data"
PAYLOAD_ROWS = 4
OURS = "container/program"
# One more than CPUs: most checks wait for something most of the time.
JOBS = min(4, (os.cpu_count() or 1) + 1)
EPILOG = """\b
Examples:
  byoc doctor my-image
  byoc doctor my-image --only signals,51
  byoc doctor my-image --data my/csv/files --hyperparameters '{"epochs": "3"}'
  byoc doctor my-image --model my/model --payload rows.json --content-type application/json
  byoc doctor --native
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
@click.option(
    "--model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the model to serve; then training is not examined. [default: what training leaves]",
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
@click.option(
    "--native",
    is_flag=False,
    flag_value="",
    metavar="[FOLDER]",
    help=f"Without a Docker engine: run `train` and `serve` of a folder. [default: {OURS}]",
)
@click.option("--jobs", type=click.IntRange(min=1), default=JOBS, show_default=True, help="Checks run at a time.")
@click.option("--json", "json_file", type=FILE, help="Write the results as JSON.")
@click.option("--junit", type=FILE, help="Write the results as JUnit's XML.")
@click.option("--list", "only_list", is_flag=True, help="List the checks.")
def doctor(
    image: str | None,
    only: str | None,
    data: Path | None,
    model: Path | None,
    hyperparameters: str,
    payload: Path | None,
    content_type: str,
    start_timeout: float,
    native: str | None,
    jobs: int,
    json_file: Path | None,
    junit: Path | None,
    only_list: bool,
) -> None:
    """Examine IMAGE by SageMaker's contract: what was done, expected and seen, and what to change.

    Ends with 0 without errors. A warning is a recommendation that the image does not follow; what it does not
    claim to do is "not offered".
    """
    numbers = chosen(only)
    if only_list:
        click.echo(listing([check for check in run.collect() if check.number in numbers]))
        return
    values = parsed(hyperparameters)
    body = payload.read_bytes() if payload else first_rows(data or DATA)
    signal.signal(signal.SIGTERM, interrupt)
    started = time.monotonic()
    with chosen_engine(image, native) as engine:
        engine.require()
        subject = Subject(engine, data or DATA, values, body, content_type, start_timeout, model and model.resolve())
        plugin = run.Plugin(numbers, subject, jobs)
        run.run(plugin, junit)
    if json_file:
        json_file.write_text(report.as_json(plugin.results), encoding="utf-8")
    click.echo(report.table(plugin.results))
    click.echo(f"\n{report.summary(plugin.results, time.monotonic() - started)}")
    sys.exit(report.exit_code(plugin.results))


def chosen_engine(image: str | None, native: str | None) -> Engine:
    """Return where the checks are to run.

    Raises:
        click.ClickException: neither an image nor `--native` was given, both were, or there is no engine for it.
    """
    if native is None:
        if not image:
            raise click.UsageError(
                "Missing argument 'IMAGE': byoc doctor IMAGE, or without Docker byoc doctor --native"
            )
        return DockerEngine(find_client().path, image)
    if image:
        raise click.UsageError("--native runs a folder's programs and no image: leave IMAGE out")
    engine = NativeEngine(Path(native) if native else repository_root() / OURS)
    click.echo(
        f"Without a Docker engine: {engine.program} runs as processes of this machine; "
        "what only a container can show is not offered.",
        err=True,
    )
    return engine


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


def listing(checks: list[Check]) -> str:
    """Return the checks by group."""
    lines = []
    for group in GROUPS:
        if members := [check for check in checks if check.group == group]:
            lines += [group, *(f"  {check.number:>3}  {check.level}  {check.done}" for check in members)]
    return "\n".join(lines)


def interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Treat SIGTERM as Ctrl-C, so that all that was started is removed."""
    raise KeyboardInterrupt
