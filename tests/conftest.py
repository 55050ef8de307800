"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests import datasets, engine, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# By another name two checkouts can be tested side by side.
IMAGE = os.environ.get("TEST_IMAGE", "byoc-under-test")


def pytest_configure() -> None:
    """Let what tests start be told to stop by Ctrl-C, which a shell has its background jobs ignore."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An /opt/ml whose model was trained on iris by the program; tests read it and do not write."""
    base = program.write_job(tmp_path_factory.mktemp("ml"))
    datasets.iris().write(base / "input/data/training/iris.csv")
    result = program.train(base)
    assert result.returncode == 0, result.stderr
    return base


@pytest.fixture(scope="session")
def wide() -> Iterator[str]:
    """An image with the extra `cluster`, built from this checkout."""
    with engine.built_with("cluster") as name:
        yield name


@pytest.fixture(scope="session")
def image() -> str:
    """The image under test, built from this checkout."""
    engine.require()
    build = engine.build(IMAGE)
    assert build.returncode == 0, build.stdout + build.stderr
    return IMAGE
