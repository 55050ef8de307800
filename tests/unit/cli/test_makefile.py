"""The Makefile: its list of targets, and a Python that won't do."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without what `make test` leaves in the environment, by which this make would know that it runs inside another.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def clone(tmp_path):
    """A fresh clone as far as `make install` reads it."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    # In the place of the script that would really install packages on this machine.
    tools = tmp_path / "local_test" / "install_tools.sh"
    tools.parent.mkdir()
    tools.write_text("#!/bin/sh\n")
    tools.chmod(0o755)
    return tmp_path


def test_help_is_the_default_and_lists_every_target():
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    done = make(ROOT)
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == phony[1].split()


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nowhere/python3", "make: /nowhere/python3 is missing or older than 3.11"),
        ("./old", "make: ./old is missing or older than 3.11"),
        ("./lame", "make: ./lame cannot make a virtual environment; run: apt-get install python3-venv"),
    ],
)
def test_a_python_that_will_not_do_is_one_line(clone, python, message):
    for name, body in {"old": "exit 1", "lame": 'mkdir -p .venv; [ "$1" = -c ]'}.items():
        (clone / name).write_text(f"#!/bin/sh\n{body}\n")
        (clone / name).chmod(0o755)
    done = make(clone, "install", f"PYTHON={python}")
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith(message)
    assert not (clone / ".venv").exists()
