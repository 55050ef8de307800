"""How a job went: the reason of a failure, and what the containers left, on its way to S3."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.containers import last_line
from byoc_cli.emulator.storage import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from byoc_cli.emulator.storage import Storage

LONGEST_REASON = 1024
KILLED = 137
# Of `docker run`: the engine could not, or the program cannot be run, or there is none.
NOT_STARTED = (125, 126, 127)
MEMORY = (
    "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
    "instance."
)
NOT_RUN = "ClientError: CannotStartContainerError. Please make sure the container can be run with 'docker run IMAGE {}'"


def reason(ml: Path, log: Path, code: int, command: str) -> str:
    """Return the FailureReason of a container that ended with another code than 0.

    Args:
        ml: its ``/opt/ml``, whose ``output/failure`` has the first word.
        log: has the last line that it printed.
        code: its exit code.
        command: what it was to run, such as ``train``.
    """
    end = f", exit code: {code}"
    try:
        said = (ml / "output" / "failure").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        said = ""
    if said:
        text = f"AlgorithmError: {said[:LONGEST_REASON]}"
    elif code == KILLED:
        text = MEMORY
    elif code in NOT_STARTED:
        text = f"{NOT_RUN.format(command)}: {_engine_said(log)}"
    else:
        text = f"AlgorithmError: {last_line(log)}"
    return text[: LONGEST_REASON - len(end)] + end


def _engine_said(log: Path) -> str:
    """Return the engine's error, which is not always the last of its client's lines."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.startswith("docker: ")), "") or last_line(log)


def upload(storage: Storage, config: Mapping[str, Any], job: str, kind: str, folders: Sequence[Path]) -> str:
    """Upload the folders of all hosts as one; return where to.

    Args:
        storage: S3.
        config: the request's OutputDataConfig.
        job: its name.
        kind: ``model`` or ``output``, which names the archive.
        folders: merged in their order: of equal names the last one stays.

    Raises:
        StorageError: the bucket is not there.
    """
    merged = folders[0].parent / f"{kind}-merged"
    for folder in folders:
        shutil.copytree(folder, merged, symlinks=True, dirs_exist_ok=True)
    base = f"{config['S3OutputPath'].rstrip('/')}/{job}/output"
    if config.get("CompressionType") == "NONE":
        uri = f"{base}/{'model' if kind == 'model' else 'data'}/"
        storage.upload_folder(merged, uri)
    else:
        uri = f"{base}/{kind}.tar.gz"
        archive = merged.with_name(f"{kind}.tar.gz")
        pack(merged, archive)
        storage.upload(archive, uri)
    shutil.rmtree(merged)
    return uri
