"""`byoc docker run-local`: serves a model by an image, as SageMaker does, until Ctrl-C."""

import csv
import io
import os
import re
import shlex
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from byoc_cli.docker.archive import unpack
from byoc_cli.docker.client import find_client
from byoc_cli.docker.reference import image_option
from byoc_cli.docker.screen import Screen
from byoc_cli.docker.server import Server
from byoc_cli.port import HOST, another, is_taken, ping
from byoc_cli.signals import STOP_SIGNALS, leave

DEFAULT_PORT = 8080
# Where serve listens inside the container.
INNER_PORT = "8080"
MODEL = "/opt/ml/model"
POLL_SECONDS = 0.2
VARIABLE = re.compile(r"[A-Za-z_]\w*(?:=.*)?", re.ASCII | re.DOTALL)
EPILOG = """\b
Examples:
  byoc docker run-local -i churn -m model.tar.gz
  byoc docker run-local -i churn -m local_test/test_dir/model --port 9090
  byoc docker run-local -i churn -m model.tar.gz --gpu --env MODEL_SERVER_WORKERS=2
"""


def read_variables(_ctx: click.Context, _param: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    """NAME=VALUE, or NAME for the value that it has here."""
    for value in values:
        if not VARIABLE.fullmatch(value):
            raise click.BadParameter(f"{value!r} is no variable; write it as in MODEL_SERVER_WORKERS=2")
    return values


@click.command("run-local", epilog=EPILOG)
@image_option
@click.option(
    "-m",
    "--model-path",
    "--model",
    "model",
    type=click.Path(exists=True, path_type=Path),
    metavar="FOLDER|model.tar.gz",
    help="The model; an archive is unpacked for as long as it is served.",
)
@click.option("-g", "--gpu", is_flag=True, help="Give the container all GPUs.")
@click.option("-p", "--port", type=click.IntRange(1, 65535), default=DEFAULT_PORT, show_default=True, help="Port here.")
@click.option(
    "--env", "variables", multiple=True, metavar="NAME=VALUE", callback=read_variables, help="A variable for it."
)
def run_local_command(image: str, model: Path | None, *, gpu: bool, port: int, variables: Sequence[str]) -> None:
    """Serve a model by an image on this machine, until Ctrl-C."""
    client = find_client()
    if client.inspect(image) is None:
        raise click.ClickException(f"there is no image {image} here; build it: byoc docker build -i {image} -e FILE.py")
    if is_taken(port):
        raise click.ClickException(f"port {port} is taken by another program; choose one, as in --port {another(port)}")
    for number in STOP_SIGNALS:
        signal.signal(number, leave)
    with unpacked(model) as folder:
        stopping = threading.Event()
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: stopping.set())
        options = container_options(folder, port, variables, gpu=gpu)
        serve(Server(client, image, options), port, stopping)


@contextmanager
def unpacked(model: Path | None) -> Iterator[Path | None]:
    """Lend the folder of the model; what was unpacked for it is gone afterwards."""
    if model is None or model.is_dir():
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="byoc-model-") as folder:
        unpack(model, Path(folder))
        yield Path(folder)


def container_options(folder: Path | None, port: int, variables: Sequence[str], *, gpu: bool) -> list[str]:
    """Return the options of `docker run`: the port on this machine's own address alone, the model read-only."""
    values = dict(each.partition("=")[::2] for each in variables)
    inner = values.get("SAGEMAKER_BIND_TO_PORT") or INNER_PORT
    options = ["--publish", f"{HOST}:{port}:{inner}"]
    if folder is not None:
        mount = io.StringIO()  # Docker reads it as a line of CSV: a path may hold a comma
        csv.writer(mount, lineterminator="").writerow(
            ["type=bind", f"source={os.path.abspath(folder)}", f"target={MODEL}", "readonly"]  # noqa: PTH100 - keeps links
        )
        options += ["--mount", mount.getvalue()]
    if gpu:
        options += ["--gpus", "all"]
    return options + [word for each in variables for word in ("--env", each)]


def serve(server: Server, port: int, stopping: threading.Event) -> None:
    """Run the server until it ends or is to stop, and say how it goes.

    Raises:
        click.ClickException: it ended by itself, or not well when it was stopped.
    """
    screen, ready = Screen(), False
    with server.running(screen):
        while server.runs and not stopping.is_set():
            if not ready:
                answer = ping(f"http://{HOST}:{port}/ping")
                ready = answer == "200"
                if ready:
                    screen.state("")
                    screen.line(welcome(screen.seconds, port))
                else:
                    screen.state(f"waiting: /ping answers {answer}; {server.last_line}")
            stopping.wait(POLL_SECONDS)
        screen.state("")
        if stopping.is_set():
            screen.line("Stopping (what is in flight is answered first, within 30 s)")
    if not stopping.is_set() or server.exit_code:
        raise click.ClickException(server.last_words())


def welcome(seconds: float, port: int) -> str:
    """Say that it is ready, and what to type next."""
    words = ["byoc", "docker", "invoke-local", *(["--port", str(port)] if port != DEFAULT_PORT else [])]
    return (
        f"Ready after {seconds:.1f} s: http://localhost:{port}/invocations (Ctrl-C stops it)\n"
        f"Next, in another terminal:\n  {shlex.join(words)} -b '{{\"instances\": [[1.0, 2.0]]}}'"
    )
