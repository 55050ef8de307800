"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests import datasets, engine, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# By another name two checkouts can be tested side by side.
IMAGE = os.environ.get("TEST_IMAGE", "byoc-under-test")


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
