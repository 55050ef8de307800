"""`byoc doctor --native`: the checks that need no container, on the programs of this checkout and on broken ones."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.program import ROOT, is_dying, wait_until

DOCTOR = [sys.executable, "-c", "from byoc_cli.main import main; main()", "doctor", "--native"]
# What runs natively, and what asks for a container: its settings, its options, a look inside.
NUMBERS = {
    3: "exit code 0",
    8: "refused by its name",
    40: r"nginx: exit code \d+ after .*; gunicorn: exit code \d+ after",
    45: "200 three times",
    2: "needs a Docker engine: to look at the image's settings",
    24: "needs a Docker engine: --read-only",
    61: "needs a Docker engine: --network=bridge",
}


@pytest.fixture
def temporary():
    """A folder for temporary files with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_what_needs_no_container_runs_without_one(temporary, tmp_path):
    arguments = ["--only", ",".join(map(str, NUMBERS)), "--json", str(tmp_path / "results.json")]
    done = subprocess.run(
        [*DOCTOR, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "DOCKER": "/no/such/docker"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "what only a container can show is not offered" in done.stderr.splitlines()[0]
    for result in json.loads((tmp_path / "results.json").read_text()):
        assert re.search(NUMBERS[result["id"]], result["seen"]), result
        assert result["status"] == ("not offered" if "needs a Docker engine" in result["seen"] else "passed"), result
    assert list(temporary.iterdir()) == []
    assert descendants(temporary) == []


def test_a_program_that_hides_its_failure_is_seen(tmp_path):
    (tmp_path / "serve").touch()
    (tmp_path / "train").write_text("raise SystemExit(0)")
    done = subprocess.run(
        [*DOCTOR, str(tmp_path), "--only", "3,28"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "there is no model: exit code 0" in done.stdout
    assert "exit code 0 although nothing could be trained" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_when_it_is_interrupted(temporary, tmp_path, number):
    program = tmp_path
    (program / "serve").touch()
    # A job with a process that would outlive it.
    (program / "train").write_text("import subprocess\nsubprocess.run(['sleep', '60'])")
    env = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([*DOCTOR, str(program), "--only", "1,3,4"], cwd=ROOT, env=env) as process:
        wait_until(lambda: len(descendants(temporary)) >= 4, 30, "two jobs")
        process.send_signal(number)
        assert process.wait(30) != 0
    assert descendants(temporary) == []
    assert list(temporary.iterdir()) == []


def descendants(folder: Path) -> list[str]:
    """Return the processes that were given a folder below this one for their temporary files."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environ = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"TMPDIR={folder}/" in environ and not is_dying(process.name):
            found.append(process.name)
    return found
