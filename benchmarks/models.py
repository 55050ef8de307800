"""The models that every system serves, and the requests that every client sends: real data, one request each its own.

A model is fitted once, by this repository's own `train`; the same fitted scikit-learn estimator is then pickled for
all others.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import skops.io
from sklearn import datasets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
# Enough to see answers mixed up, few enough to be asked one by one beforehand.
REQUESTS_PER_CLIENT = 2
LARGE = 1000
NOISE = 0.05


@dataclass(frozen=True)
class Table:
    """A data set.

    Attributes:
        features: (rows, features) float64.
        labels: (rows,) text.

    """

    features: NDArray[np.float64]
    labels: NDArray[np.str_]

    def write(self, file: Path) -> None:
        """Write it as the sample algorithm reads it: the label first, no header."""
        file.parent.mkdir(parents=True, exist_ok=True)
        rows = zip(self.labels, self.features, strict=True)
        file.write_text("".join(f"{label},{csv(row[None])}\n" for label, row in rows))


def iris() -> Table:
    """Return the AWS sample's own data: 150 rows of 4 numbers, three classes."""
    bunch = datasets.load_iris()
    return Table(bunch.data, bunch.target_names[bunch.target])


def cancer() -> Table:
    """Return breast cancer data: 569 rows of 30 numbers, two classes."""
    bunch = datasets.load_breast_cancer()
    return Table(bunch.data, bunch.target_names[bunch.target])


def digits(rows: int = 100_000) -> Table:
    """Return handwritten digits, 1,797 rows repeated with noise: the 20 pixels that vary most, even against odd."""
    bunch, random = datasets.load_digits(), np.random.default_rng(0)
    pixels = np.sort(np.argsort(bunch.data.std(axis=0))[-20:])
    chosen = random.integers(len(bunch.data), size=rows)
    features = bunch.data[chosen][:, pixels] + random.normal(0, NOISE * 16, (rows, len(pixels)))
    return Table(features.round(4), np.array(["even", "odd"])[bunch.target[chosen] % 2])


def csv(rows: NDArray[np.float64]) -> str:
    """Return rows as CSV, no newline at the end."""
    return "\n".join(",".join(map(repr, row)) for row in rows.tolist())


@dataclass(frozen=True)
class Request:
    """A request and what it is to be answered.

    Attributes:
        rows: (n, features) float64.
        labels: n of them, by scikit-learn's own predict.

    """

    rows: NDArray[np.float64]
    labels: tuple[str, ...]

    @property
    def body(self) -> bytes:
        """The rows as CSV."""
        return f"{csv(self.rows)}\n".encode()


@dataclass(frozen=True)
class Model:
    """A fitted model in a folder that stands for /opt/ml.

    Attributes:
        base: the folder; ``model`` in it holds what `train` left, and the pickle of the classic sample.
        table: what it was fitted on.
        drawn: the requests that were asked for, by clients and rows.

    """

    base: Path
    table: Table
    drawn: dict[tuple[int, int], list[list[Request]]] = field(default_factory=dict)

    @property
    def pickle(self) -> Path:
        """The fitted estimator as the classic sample stores it."""
        return self.base / "classic" / "model" / "decision-tree-model.pkl"

    @cached_property
    def estimator(self) -> Any:
        """The fitted scikit-learn estimator."""
        file = self.base / "model" / "model.skops"
        return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))

    def requests(self, clients: int, rows: int) -> list[list[Request]]:
        """Return a few requests of so many rows for each client; no two clients send the same."""
        if (clients, rows) not in self.drawn:
            random = np.random.default_rng(clients * 1_000_003 + rows)
            each = 1 if rows > LARGE else REQUESTS_PER_CLIENT
            chosen = self.table.features[random.integers(len(self.table.features), size=clients * each * rows)]
            # Rows that training has not seen, written no longer than those it has.
            moved = np.round(chosen * random.normal(1, NOISE, chosen.shape), 4)
            labels = self.estimator.predict(moved).tolist()
            starts = range(0, len(moved), rows)
            drawn = [Request(moved[at : at + rows], tuple(labels[at : at + rows])) for at in starts]
            self.drawn[clients, rows] = [drawn[at : at + each] for at in range(0, len(drawn), each)]
        return self.drawn[clients, rows]


# By name: the data, and the hyperparameters of the sample algorithm.
KINDS: Mapping[str, tuple[Any, dict[str, str]]] = {
    "iris": (iris, {"estimator": "DecisionTreeClassifier"}),
    "forest": (cancer, {"estimator": "RandomForestClassifier", "n_estimators": "200"}),
    "boosting": (digits, {"estimator": "HistGradientBoostingClassifier"}),
    # About half a gigabyte once it is loaded: trees that have learnt by heart what cannot be learnt.
    "large": (lambda: shuffled(digits(20_000)), {"estimator": "ExtraTreesClassifier", "n_estimators": "300"}),
}


def shuffled(table: Table) -> Table:
    """Return the table with its labels in another order, which makes trees on it large."""
    return Table(table.features, np.random.default_rng(1).permutation(table.labels))


def fit(kind: str, folder: Path) -> Model:
    """Fit a model of `KINDS` by `train`, in a folder that is new.

    Raises:
        subprocess.CalledProcessError: training failed; its log is on stderr.

    """
    make, hyperparameters = KINDS[kind]
    model = Model(folder / kind, make())
    config = model.base / "input" / "config"
    config.mkdir(parents=True)
    (config / "hyperparameters.json").write_text(json.dumps({**hyperparameters, "validation_fraction": "0.01"}))
    model.table.write(model.base / "input" / "data" / "training" / "data.csv")
    environ = {**os.environ, "SAGEMAKER_BASE_DIR": str(model.base), "SAGEMAKER_CONTAINER_LOG_LEVEL": "30"}
    train = [sys.executable, str(ROOT / "container/program/train")]
    subprocess.run(train, env=environ, check=True, stdout=subprocess.DEVNULL)
    model.pickle.parent.mkdir(parents=True)
    model.pickle.write_bytes(pickle.dumps(model.estimator))
    return model
