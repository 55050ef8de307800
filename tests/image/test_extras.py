"""Images built with extras have what those promise."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_diabetes

from tests import datasets, engine
from tests.image.conftest import csv

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.docker


def test_parquet(model: Path) -> None:
    """The image without the extra says how to have it; with it, a table is answered like the same rows in CSV."""
    table = datasets.diabetes()
    rows, names = table.features(slice(5)), [name for name in table.header if name != table.target]
    out = io.BytesIO()
    pd.DataFrame(rows, columns=names).astype(float).to_parquet(out)
    with engine.built_with("parquet") as image, engine.serving(image, model) as server:
        answer = server.post(out.getvalue(), "application/x-parquet")
        assert answer.text == server.post(csv(rows)).text
        assert answer.status_code == 200


def test_boosters(tmp_path: Path) -> None:
    """Models of XGBoost and LightGBM as their libraries write them, both in one image, answered as those answer."""
    rows, numbers = load_diabetes(return_X_y=True)
    first, second = tmp_path / "xgboost", tmp_path / "lightgbm"
    first.mkdir()
    second.mkdir()
    trees = xgboost.train({"max_depth": 3}, xgboost.DMatrix(rows, numbers), 10)
    trees.save_model(first / "model.ubj")
    leaves = lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, numbers), 10)
    leaves.save_model(second / "model.txt")
    body = csv([list(map(repr, row)) for row in rows.tolist()])
    with engine.built_with("xgboost,lightgbm") as image:
        for folder, wanted in ((first, trees.predict(xgboost.DMatrix(rows))), (second, leaves.predict(rows))):
            with engine.serving(image, folder) as server:
                answer = server.post(body)
                assert answer.status_code == 200, answer.text
                np.testing.assert_allclose([float(line) for line in answer.text.splitlines()], wanted, rtol=1e-6)


def test_a_booster_without_its_extra(image: str, tmp_path: Path) -> None:
    """The container ends, and says what to build."""
    rows, numbers = load_diabetes(return_X_y=True)
    xgboost.train({}, xgboost.DMatrix(rows, numbers), 2).save_model(tmp_path / "model.json")
    ended = engine.run(image, "serve", options=["-v", f"{tmp_path}:/opt/ml/model:ro"])
    assert ended.returncode == 1
    last = (ended.stdout + ended.stderr).strip().splitlines()[-1]
    assert "model.json is a model of XGBoost, as JSON, and this image lacks what it needs" in last
    assert "--extra xgboost" in last


def test_without_it(image: str, model: Path) -> None:
    with engine.serving(image, model) as server:
        answer = server.post(b"PAR1", "application/x-parquet")
    assert answer.status_code == 415
    assert "--build-arg EXTRAS=parquet" in answer.json()["error"]["message"]
