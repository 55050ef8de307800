"""Script mode: a script of the user's own, as SageMaker's SDKs send it, run in place of the image's `fit`.

Hyperparameters ``sagemaker_program`` and ``sagemaker_submit_directory`` name it and where it is; so do the variables
that `byoc.env` reads. A file `train` beside the image's entry point, as the classic layout has it, is one as well.
It is called as it would be in SageMaker's own images: with the hyperparameters as arguments and the variables of
`byoc.training.sm_env`. It writes into the model folder itself.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc.errors import UserError
from byoc.training import code, hyperparameters, sm_env, stop, torchrun
from byoc.training.listener import Listener, explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from byoc.entry import EntryPoint
    from byoc.env import TrainingEnvironment
    from byoc.training.stop import StopNotice

log = logging.getLogger(__name__)

# How often a script is looked after, in seconds.
POLL = 0.1
INTERPRETERS = {".py": [sys.executable], ".sh": ["bash"]}
CLASSIC = "train"


class ScriptError(UserError):
    """A script that failed, with its exit code, or that could not be run."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        self.exit_code = exit_code
        super().__init__(message)


@dataclass(frozen=True)
class Script:
    """A script and where its folder or archive is: on S3, in a local folder, or already in ``/opt/ml/code``.

    Attributes:
        program: the file's name.
        source: where its folder or archive is.
        folder: the same, where it is part of the image: what it requires is installed already.

    """

    program: str
    source: str
    folder: Path | None = None


def find(environment: TrainingEnvironment) -> Script | None:
    """Return the script that the job is to run, None where it is the image's own `fit` that trains."""
    given = environment.hyperparameters
    program = str(hyperparameters.decode(given.get("sagemaker_program", ""))) or environment.program
    source = str(hyperparameters.decode(given.get("sagemaker_submit_directory", ""))) or environment.submit_directory
    if not program:
        return None
    if not source and not (environment.paths.code / program).is_file():
        log.warning(
            "sagemaker_program=%r is passed over: there is no sagemaker_submit_directory, and no such file in %s",
            program,
            environment.paths.code,
        )
        return None
    return Script(program, source)


def beside(entry: EntryPoint) -> Script | None:
    """Return the file `train` beside the user's entry point, None where there is none."""
    folder = entry.file.parent
    return None if entry.is_own or not (folder / CLASSIC).is_file() else Script(CLASSIC, str(folder), folder)


def run(script: Script, environment: TrainingEnvironment, notice: StopNotice) -> list[str]:
    """Run the script to its end; return the names in the model folder.

    Raises:
        ScriptError: it cannot be fetched or run, or ended with another code than 0.
        Stopped: the job was told to stop and the script ended by that.

    """
    folder = script.folder or code.fetch(script.source, environment)
    file = (folder / script.program).resolve()
    interpreter = _by_first_line(file) if script.folder else INTERPRETERS.get(file.suffix)
    if interpreter is None or not file.is_file() or not file.is_relative_to(folder.resolve()):
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:10]) or "nothing"
        raise ScriptError(
            f"sagemaker_program={script.program!r} is no .py or .sh file within {folder}, which holds {there}"
        )
    arguments = command_line(hyperparameters.user_values(environment.hyperparameters))
    environ = {**os.environ, **sm_env.variables(environment, script.source, script.program, arguments)}
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment.paths.output_data.mkdir(parents=True, exist_ok=True)
    notice.begin()
    if script.folder is None and (folder / "requirements.txt").is_file():
        install = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "-r", "requirements.txt"]
        _follow("requirements.txt", [sys.executable, *install], folder, environ, notice)
    # Without the values: a hyperparameter may be a secret.
    log.info("script mode: running %s in %s with %d arguments", script.program, folder, len(arguments))
    command = [*interpreter, str(file), *arguments]
    if torchrun.is_asked_for(environment):
        torchrun.run(torchrun.Program(script.program, command, environ, folder), environment, notice)
    else:
        _follow(script.program, command, folder, environ, notice)
    names = sorted(path.name for path in environment.paths.model.iterdir())
    if not names and environment.is_leader:
        log.warning("%s wrote nothing into SM_MODEL_DIR, %s", script.program, environment.paths.model)
    return names


def _by_first_line(file: Path) -> Sequence[str]:
    """Return what runs a file without suffix, which may have lost its permission to be run: a shell, or Python."""
    first = file.read_bytes().partition(b"\n")[0].rstrip()
    return INTERPRETERS[".sh" if first.startswith(b"#!") and first.endswith(b"sh") else ".py"]


def command_line(values: Mapping[str, Any]) -> list[str]:
    """Return hyperparameters as arguments, ``--name value`` by name, as SageMaker's training toolkit does."""
    words: list[str] = []
    for name, value in sorted(values.items()):
        told = ",".join(f"{key}={each}" for key, each in sorted(value.items())) if isinstance(value, dict) else value
        words += [f"--{name}" if len(name) > 1 else f"-{name}", str(told)]
    return words


def _follow(name: str, command: Sequence[str], folder: Path, environ: Mapping[str, str], notice: StopNotice) -> None:
    """Run a program to its end, pass a stop on to it, and keep the end of what it says on stderr."""
    if notice.requested:  # asking also tells that from here on a stop is passed on
        raise stop.Stopped(notice.signum)
    process = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, start_new_session=True)
    listener = Listener(process)
    try:
        status = _wait(process, notice, whole_group=command[0] == "bash")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    exit_code = 128 - status if status < 0 else status
    if exit_code and exit_code == 128 + notice.signum:
        raise stop.Stopped(notice.signum)
    if exit_code:
        raise ScriptError(explain(name, status, listener.text()), exit_code)


def _wait(process: subprocess.Popen[bytes], notice: StopNotice, *, whole_group: bool) -> int:
    """Wait for the program's end and return its status; it has a stop's notice, less what ending ourselves takes."""
    deadline = float("inf")
    while True:
        try:
            return process.wait(POLL)
        except subprocess.TimeoutExpired:
            now = time.monotonic()
        if notice.requested and deadline == float("inf"):
            deadline = now + stop.PATIENCE - stop.IMPATIENCE
            # A shell does not pass signals on, while the workers of a Python script are its own to stop.
            (os.killpg if whole_group else os.kill)(process.pid, notice.signum)
        if now > deadline:
            log.error("the script did not stop in time; it is killed")
            os.killpg(process.pid, signal.SIGKILL)
