"""Fixtures of the image tests: an /opt/ml to mount, and models that the image itself has trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import datasets, engine, program
from tests.image.byoc_command import byoc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Real tables that differ: all-number classes, mixed kinds with missing values, a regression.
TABLES = {
    "digits": (datasets.digits, {"max_iter": "10"}),
    "penguins": (datasets.penguins, {"target": "species"}),
    "diabetes": (datasets.diabetes, {"target": "progression"}),
}


@pytest.fixture
def ml(image: str, tmp_path: Path) -> Iterator[Path]:
    """An /opt/ml of a training job on iris, to be mounted; it is ours again afterwards."""
    base = program.write_job(tmp_path / "ml")
    datasets.iris().write(base / "input/data/training/iris.csv")
    yield base
    engine.give_back(image, base)


@pytest.fixture(scope="session")
def in_image(image: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every table's /opt/ml, trained by the image; tests read them and do not write."""
    folder = tmp_path_factory.mktemp("in-image")
    bases = {}
    for name, (table, hyperparameters) in TABLES.items():
        bases[name] = program.write_job(folder / name, hyperparameters)
        table().write(bases[name] / f"input/data/training/{name}.csv")
        result = engine.run(image, "train", options=["-v", f"{bases[name]}:/opt/ml"])
        assert result.returncode == 0, result.stdout + result.stderr
    engine.give_back(image, folder)
    return bases


@pytest.fixture(scope="session")
def model(in_image: dict[str, Path]) -> Path:
    """The model of the table with ten numbers."""
    return in_image["diabetes"] / "model"


@pytest.fixture(scope="session")
def lightning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of the example that trains by PyTorch Lightning."""
    engine.require()
    name = engine.unique()
    example = program.ROOT / "examples" / "pytorch_lightning" / "digits.py"
    arguments = ("--image-name", name, "--entry-point", str(example), "--extra", "torch")
    done = byoc(tmp_path_factory.mktemp("build"), "docker", "build", *arguments, seconds=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model_fn in digits.py, and fit" in done.stdout
    yield name
    engine.docker("rmi", "--force", name)


def csv(rows: list[list[str]]) -> str:
    """Return rows as a request's body."""
    return "".join(",".join(row) + "\n" for row in rows)
