"""Stand-ins for programs that are found on PATH: shell scripts that record how they were called."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Returns a function that puts a program of a name and a shell body first on PATH, in a folder of its own."""
    monkeypatch.delenv("DOCKER", raising=False)

    def add(name: str, body: str, folder: str = "bin") -> Path:
        program = tmp_path / folder / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\necho "$(basename "$0") $*" >>"{tmp_path}/calls"\n{body}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(program.parent), prepend=":")
        return program

    return add


@pytest.fixture
def calls(tmp_path: Path) -> Callable[[], list[str]]:
    """Returns a function that lists the calls of the stand-ins so far."""
    record = tmp_path / "calls"
    return lambda: record.read_text().splitlines() if record.exists() else []
