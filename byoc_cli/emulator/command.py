"""`byoc emulator`: start it, point AWS's tools at it, read its logs, stop it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import click

from byoc_cli.emulator.state import MODELS, forget, read, running_one

PORT = 4570
REGION = "eu-west-1"
START_SECONDS = 60
STOP_SECONDS = 60
FOLLOW_SECONDS = 0.3
SERVICES = (
    "SAGEMAKER",
    "SAGEMAKER_RUNTIME",
    "S3",
    "STS",
    "ECR",
    "IAM",
    "CLOUDWATCH_LOGS",
    "APPLICATION_AUTO_SCALING",
)
# Any will do here, but commands and notebooks want one.
ROLE = "arn:aws:iam::123456789012:role/byoc-emulator"
EPILOG = """\b
Examples:
  byoc emulator start                    until Ctrl-C; the page is at http://127.0.0.1:4570
  byoc emulator start --background
  eval "$(byoc emulator env)"            boto3, aws and byoc sagemaker now speak to it
  byoc emulator logs
  byoc emulator logs TrainingJobs --follow
  byoc emulator interrupt JOB            a spot interruption, to see whether your checkpoints are of use
  byoc emulator stop
"""


def default_folder() -> Path:
    """Return the state folder that is used unless another is named."""
    return Path.home() / ".byoc" / "emulator"


state_option = click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="BYOC_EMULATOR_STATE",
    default=default_folder,
    show_default="~/.byoc/emulator",
    show_envvar=True,
    help="Folder for all that it keeps.",
)


@click.group(epilog=EPILOG)
def emulator() -> None:
    """SageMaker on this machine: real containers behind SageMaker's own API, no account needed."""


@emulator.command()
@state_option
@click.option("--port", type=click.IntRange(1, 65535), envvar="BYOC_EMULATOR_PORT", default=PORT, show_default=True)
@click.option("--region", default=REGION, show_default=True, help="The region that it pretends to be.")
@click.option("--native", is_flag=True, help="Without Docker: container/program stands for every image.")
@click.option("--background", is_flag=True, help="Return when it is ready; `byoc emulator stop` ends it.")
@click.option("--fresh", is_flag=True, help="Forget what an earlier one has kept.")
def start(state: Path, port: int, region: str, native: bool, background: bool, fresh: bool) -> None:
    """Start the emulator."""
    if (running := read(state)) is not None:
        raise click.ClickException(f"an emulator is running already: {running['address']} (byoc emulator stop)")
    if fresh:
        forget(state)
    state.mkdir(parents=True, exist_ok=True)
    if background:
        words = ["--state", str(state.resolve()), "--port", str(port), "--region", region]
        start_in_background(state, [*words, *(["--native"] if native else [])])
        return
    from byoc_cli.emulator.running import run  # noqa: PLC0415 - moto takes a second, and only this command needs it

    run(state.resolve(), port, region, native=native)


@emulator.command()
@state_option
def stop(state: Path) -> None:
    """Stop the emulator and all its containers."""
    running = read(state)
    if running is None:
        raise click.ClickException(f"no emulator runs with the state folder {state}")
    with suppress(ProcessLookupError):
        os.kill(running["pid"], signal.SIGTERM)
    end = time.monotonic() + STOP_SECONDS
    while read(state) is not None:
        if time.monotonic() > end:
            raise click.ClickException(f"the emulator (pid {running['pid']}) did not stop within {STOP_SECONDS} s")
        time.sleep(0.1)
    click.echo("stopped")


@emulator.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="Print an object instead of shell commands.")
def env(state: Path, as_json: bool) -> None:
    """Print what points AWS's tools at the emulator: eval "$(byoc emulator env)"."""
    variables = environment(running_one(state), state)
    if as_json:
        click.echo(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@emulator.command()
@click.argument("group", default="")
@state_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Of each stream.")
def logs(group: str, state: Path, follow: bool, lines: int) -> None:
    """Print the logs of jobs and endpoints: of all, or those with a GROUP, job or endpoint whose name begins so."""
    from byoc_cli.docker.log_lines import render  # noqa: PLC0415 - only this command needs it

    root = state / "logs"
    read_to: dict[Path, int] = {}
    while True:
        for file in sorted(root.rglob("*.log")):
            name = file.relative_to(root).with_suffix("").as_posix()
            if group and f"/{group}" not in f"/{name}":
                continue
            text = file.read_bytes()[read_to.get(file, 0) :]
            shown = text.decode("utf-8", "replace").splitlines()
            for line in shown if file in read_to else shown[-lines:] if lines else []:
                click.echo(f"{name}  {render(line)}")
            read_to[file] = read_to.get(file, 0) + len(text)
        if not follow:
            break
        time.sleep(FOLLOW_SECONDS)
    if not read_to:
        raise click.ClickException(f"there are no logs{f' of {group}' if group else ''} in {root}")


@emulator.command()
@click.argument("job")
@state_option
def interrupt(job: str, state: Path) -> None:
    """Take the spot instances of training job JOB away, as AWS may: SIGTERM, 120 s, and a new start."""
    running = running_one(state)
    call = urllib.request.Request(  # noqa: S310 - the emulator's own address
        running["address"],
        json.dumps({"TrainingJobName": job}).encode(),
        {"X-Amz-Target": "Emulator.InterruptTrainingJob", "Content-Type": "application/x-amz-json-1.1"},
    )
    try:
        with urllib.request.urlopen(call, timeout=START_SECONDS):  # noqa: S310 - the same
            click.echo(f"{job} is told to end, and will be started again")
    except urllib.error.HTTPError as error:
        raise click.ClickException(json.loads(error.read())["message"]) from error


def environment(running: dict[str, str], state: Path) -> dict[str, str]:
    """Return the variables that point AWS's tools at a running emulator."""
    return {
        **{f"AWS_ENDPOINT_URL_{service}": running["address"] for service in SERVICES},
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_DEFAULT_REGION": running["region"],
        "AWS_REGION": running["region"],
        "AWS_DATA_PATH": str((state / MODELS).resolve()),
        "SAGEMAKER_ROLE": ROLE,
    }


def start_in_background(state: Path, words: list[str]) -> None:
    """Start another process of this command, and wait until it listens.

    Raises:
        click.ClickException: it does not.
    """
    log = state / "emulator.log"
    command = [sys.executable, "-c", "from byoc_cli.main import main; main()", "emulator", "start", *words]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    end = time.monotonic() + START_SECONDS
    while (running := read(state)) is None:
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace").strip().splitlines()[-5:]
            raise click.ClickException("\n  ".join(["the emulator did not start:", *said]))
        time.sleep(0.1)
    click.echo(f'{running["address"]} is ready; next: eval "$(byoc emulator env)"')
