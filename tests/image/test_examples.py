"""Every example is built, trained, served and asked as its README says, and answers what it says there."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests import engine
from tests.clone import free_port, make_clone
from tests.program import ROOT, wait_until
from tests.readme import Document

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

CONVENTIONS = {
    "functions": "functions",
    "handle": "handle",
    "base_model": "class",
    "classic": "classic",
    "pytorch_lightning": "functions",
}
BYOC = [sys.executable, "-c", "from byoc_cli.main import main; main()"]


class Reader:
    """Somebody who types what an example's README says, in a clone, with image names of their own."""

    def __init__(self, example: str, folder: Path) -> None:
        self.clone = make_clone(folder)
        (self.clone / "examples").symlink_to(ROOT / "examples")
        self.port = free_port()
        self.commands = Document(f"examples/{example}/README.md").block("byoc docker").splitlines()
        (self.image,) = {name for line in self.commands for name in re.findall(r"docker build -i (\S+)", line)}
        self.own = f"byoc-test-{example.replace('_', '-')}"

    def words(self, line: str) -> list[str]:
        """Return a command as it is to be run."""
        words = [self.own if word == self.image else word for word in shlex.split(line, comments=True)]
        if words[:3] == ["byoc", "docker", "image"]:
            return [*BYOC, *words[1:], "--name", "byoc"]
        local = ["--port", str(self.port)] if words[2:3] in (["run-local"], ["invoke-local"]) else []
        return [*BYOC, *words[1:], *local] if words[0] == "byoc" else words

    def environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.clone), "PYTHONUNBUFFERED": "1"}

    def run(self, line: str) -> str:
        """Run a command to its end, which must be a good one; return what it printed."""
        done = subprocess.run(
            self.words(line),
            cwd=self.clone,
            env=self.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=800,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, line: str) -> Iterator[None]:
        """Run a server for the length of a with-block."""
        log = self.clone / "run-local.log"
        with log.open("w") as file:
            process = subprocess.Popen(self.words(line), cwd=self.clone, env=self.environ(), stdout=file, stderr=file)

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return requests.get(f"http://127.0.0.1:{self.port}/ping", timeout=2).ok
            except requests.RequestException:
                return False

        try:
            wait_until(is_ready, 120, "a good /ping")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(60)
        assert code in (0, 130), log.read_text()


def squeezed(text: str) -> str:
    return "".join(text.split())


def described(image: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(engine.run(image, "serve", "--describe").stdout)
    return told


def follow(reader: Reader, lines: Sequence[str]) -> None:
    """Run commands in turn; a server serves those that follow it."""
    for number, line in enumerate(lines):
        if " run-local " in line:
            with reader.running(line):
                follow(reader, lines[number + 1 :])
            return
        output, answer = reader.run(line), line.partition("#")[2]
        assert squeezed(answer) in squeezed(output), f"{line}\n{output}"


@pytest.mark.parametrize("example", CONVENTIONS)
def test_an_example_does_what_its_readme_says(example: str, image: str, tmp_path: Path) -> None:
    engine.docker("tag", image, "byoc")
    reader = Reader(example, tmp_path / "clone")
    try:
        follow(reader, reader.commands)
        assert described(reader.own)["convention"] == CONVENTIONS[example]
        assert sum("#" in line for line in reader.commands), "no answer is shown"
    finally:
        engine.give_back(image, reader.clone / "local_test" / "test_dir")
        engine.docker("image", "rm", "--force", reader.own)
