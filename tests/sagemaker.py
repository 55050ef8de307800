"""Runs `byoc sagemaker` as a user does: the command itself, pointed at an emulator by the environment."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests import emulator
from tests.program import ROOT

if TYPE_CHECKING:
    from tests.emulator import Running

IRIS = ROOT / "local_test/test_dir/input/data/training"
ROWS = ROOT / "local_test/payloads/iris.csv"
COMMAND = [sys.executable, "-c", "from byoc_cli.main import main; main()", "sagemaker"]


def environ(running: Running) -> dict[str, str]:
    """Return the variables that `byoc emulator env` tells, beside this process's."""
    told = emulator.command("env", "--json", state=running.state)
    assert told.returncode == 0, told.stderr
    return {**emulator.environ(), **json.loads(told.stdout)}


class Shell:
    """A terminal that speaks to an emulator.

    Args:
        running: the emulator.
    """

    def __init__(self, running: Running) -> None:
        self.environ = environ(running)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait."""
        return subprocess.Popen(
            [*COMMAND, *words], env=self.environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*COMMAND, *words], env=self.environ, input=stdin, text=True, capture_output=True, check=False, timeout=200
        )

    def good(self, *words: str, stdin: str = "") -> str:
        """Run a command that is to end well; return what it prints."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bad(self, *words: str, stdin: str = "") -> str:
        """Run a command that is to fail; return its error."""
        done = self.run(*words, stdin=stdin)
        assert done.returncode, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr

    def json(self, *words: str) -> Any:
        """Run a command that is to end well; return the JSON that it prints."""
        return json.loads(self.good(*words, "--json"))
