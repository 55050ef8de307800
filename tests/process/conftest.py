"""What tests with real processes share: trained models of three data sets, and a model that does what it is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import datasets, program

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

HANDLERS = Path(__file__).parent / "handlers"


@dataclass(frozen=True)
class Trained:
    """A finished job: its /opt/ml, its data and how the program ended."""

    base: Path
    dataset: datasets.Dataset
    result: subprocess.CompletedProcess[str]


# The estimators are small, because what is tested is around them.
JOBS: dict[str, dict[str, str]] = {
    "iris": {},
    "digits": {"estimator": "RandomForestClassifier", "n_estimators": "20"},
    "penguins": {"target": "species", "max_iter": "20"},
    "diabetes": {"target": "progression", "max_iter": "20"},
}


@pytest.fixture(scope="session")
def trained_on(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Trained]:
    """Returns a function that trains on a data set by its name, once."""

    @cache
    def train(name: str) -> Trained:
        base = program.write_job(tmp_path_factory.mktemp(name), JOBS[name])
        dataset = getattr(datasets, name)()
        dataset.write(base / f"input/data/training/{name}.csv")
        return Trained(base, dataset, program.train(base))

    return train


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose model does what its rows say; see handlers/scripted/predictor.py."""
    folder = tmp_path_factory.mktemp("program")
    return program.write_program(folder, HANDLERS / "scripted" / "predictor.py")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """An /opt/ml with an empty model folder and no data."""
    return program.write_job(tmp_path / "ml")


@pytest.fixture
def launch(base: Path) -> Iterator[Callable[..., program.Server]]:
    """Returns a function that starts a server of ``base`` without waiting for it; none outlives the test."""
    servers: list[program.Server] = []

    def start(folder: Path = program.PROGRAM, **variables: str) -> program.Server:
        servers.append(program.Server(base, folder, **variables))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
