"""Schemas of real data, as training learns them."""

import pandas as pd
import pytest

from tabular import features
from tests import datasets


def learned(dataset):
    frame = pd.DataFrame(dataset.rows, columns=dataset.header or [f"column_{n}" for n in range(len(dataset.rows[0]))])
    frame = frame.replace(["NA", ""], None)
    for name in frame.columns:
        try:
            frame[name] = pd.to_numeric(frame[name])
        except ValueError:
            continue
    target = features.target_name(frame, dataset.target)
    return features.learn(frame, target, "regression" if target == "progression" else "classification")


@pytest.fixture(scope="session")
def penguins():
    """(schema, header, rows) of text, numbers and missing values; rows without labels."""
    dataset = datasets.penguins()
    header = [name for name in dataset.header if name != dataset.target]
    return learned(dataset), header, dataset.features(slice(None))


@pytest.fixture(scope="session")
def iris():
    """(schema, rows) of four numbers without names."""
    dataset = datasets.iris()
    return learned(dataset), dataset.features(slice(None))
