"""`byoc demo`: train, serve, predict and stop, by the scripts in local_test/."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import click

from byoc_cli.port import ping
from byoc_cli.repository import repository_root
from byoc_cli.signals import STOP_SIGNALS, leave, signals_held_back

DEFAULT_PORT = 8080
READY_SECONDS = 120
NEWS_SECONDS = 5
# As long as SageMaker waits between SIGTERM and SIGKILL, and a little for the scripts themselves.
TRAIN_GRACE = 130
SERVE_GRACE = 40


@click.command()
@click.option("--engine", type=click.Choice(["native", "docker"]), default="native", show_default=True)
@click.option("--image", default="byoc", show_default=True, help="The image that --engine docker runs.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help=f"Port to serve on; without it {DEFAULT_PORT}, or a free one."
)
def demo(engine: str, image: str, port: int | None) -> None:
    """Train on the sample data, serve the model, ask it for predictions, stop."""
    for number in STOP_SIGNALS:
        signal.signal(number, leave)
    root = repository_root("local_test/train_local.sh")
    local_test, steps = root / "local_test", Steps()
    images = [image] if engine == "docker" else []
    payload = local_test / "payloads" / "iris.csv"

    steps.say("train    local_test/train_local.sh " + " ".join(images))
    with running([str(local_test / "train_local.sh"), *images], grace=TRAIN_GRACE) as training:
        if code := training.wait():
            raise click.ClickException(f"training failed with exit code {code}; the line above says why")

    port = port or choose_port(steps)
    steps.say("serve    local_test/serve_local.sh " + " ".join(images))
    with tempfile.TemporaryFile("w+") as log:
        serve = [str(local_test / "serve_local.sh"), *images]
        with running(serve, grace=SERVE_GRACE, env={"PORT": str(port)}, log=log) as server:
            wait_until_ready(server, port, log, steps)
            steps.say(f"predict  ACCEPT=application/json local_test/predict.sh {payload.relative_to(root)}")
            show(payload.read_text().splitlines(), predict(local_test / "predict.sh", payload, port))
            steps.say("stop")
        if server.returncode:
            raise click.ClickException(f"the server ended with exit code {server.returncode}, not 0:\n{tail(log)}")
    steps.say("done     the server stopped cleanly")
    report = local_test / "test_dir" / "output" / "data" / "report.html"
    click.echo(f"\nTraining report: {report}" if report.exists() else "\nThe training left no report.")


class Steps:
    """Says what is done, and how long after the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def say(self, text: str) -> None:
        """Print one step."""
        click.secho(f"[{time.monotonic() - self.start:5.1f} s] {text.rstrip()}", bold=True)


@contextmanager
def running(
    command: Sequence[str], *, grace: float, env: Mapping[str, str] | None = None, log: IO[str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program for as long as the block lasts, then end it: SIGTERM, `grace` seconds, SIGKILL.

    It has a session of its own, so that Ctrl-C reaches only us and there is one order of stopping.
    """
    process = None
    try:
        with signals_held_back():
            process = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                start_new_session=True,
            )
        yield process
    finally:
        if process is not None:
            with signals_held_back():
                end(process, grace)


def end(process: subprocess.Popen[bytes], grace: float) -> None:
    """Send SIGTERM, wait up to `grace` seconds, then kill what is left of its process group."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    with suppress(ProcessLookupError):  # whoever is left of the program and its children
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def choose_port(steps: Steps) -> int:
    """8080, or any free port where 8080 is taken."""
    for port in (DEFAULT_PORT, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            chosen: int = probe.getsockname()[1]
            if port == 0:
                steps.say(f"port     {DEFAULT_PORT} is taken: serving on {chosen}")
            return chosen
    raise click.ClickException("there is no free port")


def wait_until_ready(server: subprocess.Popen[bytes], port: int, log: IO[str], steps: Steps) -> None:
    """Poll /ping until it answers 200.

    Raises:
        click.ClickException: the server ended, or isn't ready in time; the end of its log is in the message.
    """
    begin = news = time.monotonic()
    answer = "nothing"
    while time.monotonic() - begin < READY_SECONDS:
        if server.poll() is not None:
            raise click.ClickException(f"the server ended with exit code {server.returncode}:\n{tail(log)}")
        answer = ping(f"http://127.0.0.1:{port}/ping")
        if answer == "200":
            steps.say(f"ready    http://localhost:{port}/ping answers 200")
            return
        if time.monotonic() - news >= NEWS_SECONDS:
            news = time.monotonic()
            steps.say(f"waiting  /ping answers {answer}")
        time.sleep(0.1)
    raise click.ClickException(f"/ping answered {answer} for {READY_SECONDS} s:\n{tail(log)}")


def predict(script: Path, payload: Path, port: int) -> str:
    """Return the server's answer to the payload, as JSON text.

    Raises:
        click.ClickException: the script failed; its own words are the message.
    """
    env = {**os.environ, "PORT": str(port), "ACCEPT": "application/json"}
    done = subprocess.run([script, payload], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr.strip())
    return done.stdout.strip()


def show(rows: Sequence[str], answer: str) -> None:
    """Print each row of the payload beside its prediction, then the answer itself."""
    predictions: list[dict[str, Any]] = json.loads(answer)["predictions"]
    if len(rows) < len(predictions):
        raise click.ClickException(f"{len(predictions)} predictions for {len(rows)} rows: {answer}")
    names = list(predictions[0])
    table = [["payload", *names]]
    for row, prediction in zip(rows[-len(predictions) :], predictions, strict=True):  # without a header, if any
        table.append([row, *(cell(prediction[name]) for name in names)])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    click.echo()
    for line in table:
        click.echo("  " + "   ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    click.echo(f"\n{answer}\n")


def cell(value: Any) -> str:
    """Write a value as it is read best in a column."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def tail(log: IO[str], lines: int = 15) -> str:
    """Return the last lines of the log, indented."""
    log.seek(0)
    return "\n".join(f"  {line}" for line in log.read().splitlines()[-lines:])
