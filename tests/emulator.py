"""A running emulator, in a process of its own, and boto3's clients of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.program import ROOT, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BYOC = [sys.executable, "-c", "from byoc_cli.main import main; main()"]
ROLE = "arn:aws:iam::123456789012:role/emulated"
REGION = "eu-west-1"
BUCKET = "models"


@dataclass(frozen=True)
class Emulator:
    """A running emulator.

    Attributes:
        address: where it listens.
        state: its folder.
        process: of it.
    """

    address: str
    state: Path
    process: subprocess.Popen[bytes]

    def client(self, service: str) -> Any:
        """Return a client, which does not try again what failed."""
        return _client(self.address, service)

    def log(self, group: str = "") -> str:
        """Return all that containers of a group have written."""
        return "".join(file.read_text() for file in sorted((self.state / "logs" / group).rglob("*.log")))

    def make_bucket(self, name: str = BUCKET) -> None:
        """Make a bucket."""
        where = {"LocationConstraint": REGION}
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)

    def upload_model(self, folder: Path, key: str) -> str:
        """Pack a folder and put it on S3; return its URI."""
        archive = self.state.parent / f"{key.replace('/', '-')}"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, arcname=".")
        self.client("s3").upload_file(str(archive), BUCKET, key)
        return f"s3://{BUCKET}/{key}"


@contextmanager
def emulating(folder: Path, *, native: bool = False, **variables: str) -> Iterator[Emulator]:
    """Run an emulator for the length of a with-block, with further variables; its state is in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    state, port = folder / "state", free_port()
    words = ["emulator", "start", "--state", str(state), "--port", str(port), "--region", REGION]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAGEMAKER_"))}
    with (folder / "emulator.log").open("ab") as log:
        process = subprocess.Popen(
            [*BYOC, *words, *(["--native"] if native else [])],
            env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: (state / "emulator.json").exists() or process.poll() is not None, 60, "the emulator's start")
        assert process.poll() is None, (folder / "emulator.log").read_text()
        address = json.loads((state / "emulator.json").read_text())["address"]
        yield Emulator(address, state, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        finally:
            process.kill()


@cache
def _client(address: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id="emulator",
        aws_secret_access_key="emulator",
        config=Config(retries={"max_attempts": 0}, s3={"addressing_style": "path"}, read_timeout=120),
    )
