"""The emulator's process, from its start to its end."""

from __future__ import annotations

import logging
import os
import signal
import threading
import uuid
from typing import TYPE_CHECKING

import click

from byoc_cli.docker.client import find_client
from byoc_cli.emulator import hosting, iam, page, persistence, server, state, training, transform, waiters
from byoc_cli.emulator.docker_engine import DockerEngine
from byoc_cli.emulator.emulator import ACCOUNT, Emulator
from byoc_cli.emulator.native_engine import NativeEngine
from byoc_cli.signals import STOP_SIGNALS

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.emulator.containers import Engine

log = logging.getLogger(__name__)


def run(folder: Path, port: int, region: str, *, native: bool) -> None:
    """Run the emulator until a signal ends it.

    Raises:
        click.ClickException: the port is taken, or the state folder is.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # What containers and clients are told; moto reads it too.
    os.environ.update(AWS_DEFAULT_REGION=region, MOTO_ACCOUNT_ID=ACCOUNT)
    with state.held(folder):
        engine = _engine(native=native)
        try:
            _run(folder, port, region, engine)
        finally:
            engine.close()


def _run(folder: Path, port: int, region: str, engine: Engine) -> None:
    address, inside = f"http://{server.HOST}:{port}", f"http://{engine.gateway or server.HOST}:{port}"
    rooms = [training.TrainingJobs, hosting.Hosting, transform.TransformJobs]
    emulator = Emulator(folder, address, inside, region, engine, rooms)
    runtime = next(room.runtime for room in emulator.rooms if isinstance(room, hosting.Hosting))
    application = server.Application(emulator, runtime, page.Page(emulator).answer)
    try:
        servers = [server.listen(port, application)]
    except OSError as error:
        raise click.ClickException(f"port {port} is taken; choose another: --port {port + 1}") from error
    if engine.gateway:
        try:
            servers.append(server.listen(port, application.for_containers, engine.gateway))
        except OSError as error:
            # Docker Desktop's containers come in at 127.0.0.1 by themselves; elsewhere they have to do without S3.
            log.info("containers reach S3 at %s if at all: %s", inside, error)
    # Python may run a handler only after the very wait that it is to end; to this pipe the signal itself writes.
    told, telling = os.pipe()
    os.set_blocking(telling, False)
    signal.set_wakeup_fd(telling)
    for number in STOP_SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    for each in servers:
        threading.Thread(target=each.serve_forever, name="http", daemon=True).start()
    try:
        iam.create_role(emulator)
        waiters.write(folder)
        persistence.restore(emulator)
        for room in emulator.rooms:
            room.resume()
        state.write(folder, address, region)
        click.echo(f"SageMaker, S3, STS, ECR and IAM at {address}, and a page for your browser; Ctrl-C stops it")
        click.echo('Next, in another terminal:  eval "$(byoc emulator env)"')
        os.read(told, 1)
        click.echo("stopping: containers are removed")
    finally:
        emulator.close()
        # After the last job has ended, since that one may have written.
        persistence.save(emulator)
        (folder / state.FILE).unlink(missing_ok=True)
        for each in servers:
            each.shutdown()


def _engine(*, native: bool) -> Engine:
    """Return the Docker engine or, where none answers, the program itself."""
    label = f"byoc.emulator={uuid.uuid4().hex[:12]}"
    if not native:
        try:
            return DockerEngine(find_client().path, label)
        except click.ClickException as error:
            click.echo(f"Without Docker ({error.message}): container/program stands for every image", err=True)
    return NativeEngine(label)
