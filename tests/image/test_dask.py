"""How work is sent over hosts, as far as one container shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import engine

pytestmark = pytest.mark.docker

CHECKS = Path(__file__).with_name("dask_checks.py")


def test_how_work_is_sent(wide: str) -> None:
    done = engine.run(
        wide, "python3", "/tmp/dask_checks.py", options=["-v", f"{CHECKS}:/tmp/dask_checks.py:ro"], timeout=280
    )
    names = [line.partition("(")[0] for line in CHECKS.read_text().splitlines() if line.startswith("def check_")]
    assert [f"def {line}" for line in done.stdout.split()] == names, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
