"""`byoc emulator`: start it, point AWS's tools at it, read its logs, stop it."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from byoc_cli.signals import STOP_SIGNALS

if TYPE_CHECKING:
    from byoc_cli.emulator.containers import Engine

PORT = 4570
REGION = "eu-west-1"
FILE = "emulator.json"
START_SECONDS = 60
STOP_SECONDS = 60
FOLLOW_SECONDS = 0.3
SERVICES = ("SAGEMAKER", "SAGEMAKER_RUNTIME", "S3", "STS", "ECR", "IAM")
EPILOG = """\b
Examples:
  byoc emulator start                    until Ctrl-C; the page is at http://127.0.0.1:4570
  byoc emulator start --background
  eval "$(byoc emulator env)"            boto3, aws and byoc sagemaker now speak to it
  byoc emulator logs
  byoc emulator logs TrainingJobs --follow
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
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)
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
    variables = environment(running_one(state))
    if as_json:
        click.echo(json.dumps(variables, indent=2))
        return
    for name, value in variables.items():
        click.echo(f"export {name}={value}")


@emulator.command()
@click.argument("group", default="")
@state_option
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=100, show_default=True, help="Of each stream.")
def logs(group: str, state: Path, follow: bool, lines: int) -> None:
    """Print the logs of jobs and endpoints: of all, or those whose group or stream begins with GROUP."""
    from byoc_cli.docker.log_lines import render  # noqa: PLC0415 - only this command needs it

    root = state / "logs"
    read_to: dict[Path, int] = {}
    while True:
        for file in sorted(root.rglob("*.log")):
            name = file.relative_to(root).with_suffix("").as_posix()
            if group and not (name.startswith(group) or file.stem.startswith(group)):
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


def environment(running: dict[str, str]) -> dict[str, str]:
    """Return the variables that point AWS's tools at a running emulator."""
    return {
        **{f"AWS_ENDPOINT_URL_{service}": running["address"] for service in SERVICES},
        "AWS_ACCESS_KEY_ID": "emulator",
        "AWS_SECRET_ACCESS_KEY": "emulator",
        "AWS_DEFAULT_REGION": running["region"],
        "AWS_REGION": running["region"],
    }


def running_one(state: Path) -> dict[str, str]:
    """Return what is known of the running emulator.

    Raises:
        click.ClickException: there is none.
    """
    running = read(state)
    if running is None:
        raise click.ClickException("no emulator is running; start one: byoc emulator start --background")
    return running


def read(state: Path) -> dict | None:  # type: ignore[type-arg]
    """Return what the emulator of a state folder said of itself; None where it is gone."""
    file = state / FILE
    try:
        told = json.loads(file.read_bytes())
        os.kill(told["pid"], 0)
    except (OSError, ValueError, KeyError):
        return None
    return dict(told)


def forget(state: Path) -> None:
    """Remove all that an emulator keeps, and nothing else that may be in the folder."""
    import shutil  # noqa: PLC0415 - only --fresh needs it

    for path in state.glob("*") if state.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


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


def run(state: Path, port: int, region: str, *, native: bool) -> None:
    """Run the emulator until a signal ends it.

    Raises:
        click.ClickException: the port is taken.
    """
    from byoc_cli.emulator import hosting, page, persistence, server, training, transform  # noqa: PLC0415 - moto takes a second
    from byoc_cli.emulator.emulator import Emulator  # noqa: PLC0415 - the same

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # What containers and clients are told; moto reads it too.
    os.environ.update(AWS_DEFAULT_REGION=region, MOTO_ACCOUNT_ID="123456789012")
    engine = make_engine(native=native)
    address = f"http://{server.HOST}:{port}"
    made = Emulator(state, address, region, engine, [training.TrainingJobs, hosting.Hosting, transform.TransformJobs])
    runtime = next(room.runtime for room in made.rooms if isinstance(room, hosting.Hosting))
    try:
        listening = server.listen(port, server.Application(made, runtime, page.Page(made).answer))
    except (OSError, SystemExit) as error:
        engine.close()
        raise click.ClickException(f"port {port} is taken; choose another: --port {port + 1}") from error
    done = threading.Event()
    for number in STOP_SIGNALS:
        signal.signal(number, lambda _number, _frame: done.set())
    thread = threading.Thread(target=listening.serve_forever, name="http", daemon=True)
    thread.start()
    persistence.restore(made)
    for room in made.rooms:
        room.resume()
    (state / FILE).write_text(json.dumps({"pid": os.getpid(), "address": address, "region": region}))
    click.echo(f"SageMaker, S3, STS, ECR and IAM at {address}, and a page for your browser; Ctrl-C stops it")
    click.echo('Next, in another terminal:  eval "$(byoc emulator env)"')
    try:
        done.wait()
        click.echo("stopping: containers are removed")
        persistence.save(made)
    finally:
        made.close()
        listening.shutdown()
        (state / FILE).unlink(missing_ok=True)


def make_engine(*, native: bool) -> Engine:
    """Return the Docker engine or, where none answers, the program itself."""
    from byoc_cli.docker.client import find_client  # noqa: PLC0415 - see run
    from byoc_cli.emulator.containers import DockerEngine, NativeEngine  # noqa: PLC0415 - see run

    label = f"byoc.emulator={uuid.uuid4().hex[:12]}"
    if not native:
        try:
            return DockerEngine(find_client().path, label)
        except click.ClickException as error:
            click.echo(f"Without Docker ({error.message}): container/program stands for every image", err=True)
    return NativeEngine(label)
