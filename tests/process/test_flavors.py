"""Model files of other libraries, served without a line of code: answers equal the library's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import requests
import skops.io
import xgboost
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests import datasets
from tests.program import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

ROWS, CLASSES = load_breast_cancer(return_X_y=True)
LINEAR = make_pipeline(StandardScaler(), LogisticRegression()).fit(ROWS, CLASSES)
BODY = "".join(",".join(map(repr, row)) + "\n" for row in ROWS.tolist())
ALLOWED = {"SERVE_ALLOW_PICKLE": "true"}


def skops_file(folder: Path) -> NDArray[Any]:
    skops.io.dump(LINEAR, folder / "model.skops")
    return np.asarray(LINEAR.predict_proba(ROWS))


def onnx_file(folder: Path) -> NDArray[Any]:
    (folder / "model.onnx").write_bytes(to_onnx(LINEAR, ROWS.astype(np.float32)).SerializeToString())
    return np.asarray(LINEAR.predict_proba(ROWS))


def pickle_file(folder: Path) -> NDArray[Any]:
    joblib.dump(LINEAR, folder / "model.joblib")
    return np.asarray(LINEAR.predict_proba(ROWS))


def xgboost_file(folder: Path) -> NDArray[Any]:
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(ROWS, CLASSES), 10)
    booster.save_model(folder / "model.ubj")
    (folder / "model.ubj").rename(folder / "xgboost-model")
    share = booster.predict(xgboost.DMatrix(ROWS))
    return np.column_stack([1 - share, share])


def lightgbm_file(folder: Path) -> NDArray[Any]:
    parameters = {"verbose": -1, "objective": "binary", "num_threads": 1}
    booster = lightgbm.train(parameters, lightgbm.Dataset(ROWS, CLASSES), 10)
    booster.save_model(folder / "model.txt")
    share = np.asarray(booster.predict(ROWS))
    return np.column_stack([1 - share, share])


@pytest.mark.parametrize(
    ("write", "variables", "tolerance"),
    [
        (skops_file, {}, 1e-12),
        (onnx_file, {}, 1e-4),
        (pickle_file, ALLOWED, 1e-12),
        (xgboost_file, {}, 1e-7),
        (lightgbm_file, {}, 1e-12),
    ],
    ids=["skops", "onnx", "pickle", "xgboost", "lightgbm"],
)
def test_a_file_is_all_it_takes(
    base: Path, write: Callable[[Path], NDArray[Any]], variables: dict[str, str], tolerance: float
) -> None:
    """In CSV, in JSON and as a table of text; too few columns are the caller's fault, and the routes know them."""
    wanted = write(base / "model")
    labels = wanted.argmax(axis=1).tolist()
    with serving(base, MODEL_SERVER_WORKERS="2", **variables) as server:
        assert [int(line) for line in server.post(BODY).text.splitlines()] == labels
        scores = server.post(json.dumps({"instances": ROWS.tolist()}), "application/json").json()["predictions"]
        assert [row["score"] for row in scores] == pytest.approx(wanted.max(axis=1).tolist(), abs=tolerance)
        sample = requests.get(f"{server.url}/model/sample_request", timeout=30).json()
        table = {"fields": sample["fields"], "rows": [[repr(cell) for cell in row] for row in ROWS.tolist()]}
        told = server.post(json.dumps(table), "application/json").json()
        assert told["fields"] == ["predict", "0", "1"]
        shares = np.array([row[1:] for row in told["score"]], dtype=float)
        np.testing.assert_allclose(shares, wanted, atol=tolerance)
        assert server.post(json.dumps(sample), "application/json").status_code == 200
        refused = server.post("1,2,3\n")
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")
        said = [record["message"] for record in server.records() if "is a pickle and was loaded" in record["message"]]
    assert bool(said) == bool(variables)


def test_columns_of_text_go_by_their_names(base: Path) -> None:
    """A pipeline that was fitted on a frame, asked by header row, by keys and by position."""
    dataset = datasets.penguins()
    table = pd.DataFrame(dataset.rows, columns=dataset.header).query("sex != 'NA' and bill_length_mm != 'NA'")
    names = ["island", "sex", "bill_length_mm"]
    table = table.astype({"bill_length_mm": float})
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["island", "sex"]), remainder="passthrough"),
        LogisticRegression(max_iter=2000),
    ).fit(table[names], table["species"])
    skops.io.dump(pipeline, base / "model" / "model.skops")
    wanted = pipeline.predict(table).tolist()
    with serving(base, MODEL_SERVER_WORKERS="1") as server:
        by_header = server.post(table[names[::-1]].to_csv(index=False), "text/csv; header=present")
        assert by_header.text.splitlines() == wanted
        by_position = server.post(table[names].to_csv(index=False, header=False))
        assert by_position.text.splitlines() == wanted
        by_key = server.post(json.dumps(table[names].to_dict("records")), "application/json").json()["predictions"]
        assert [row["predicted_label"] for row in by_key] == wanted
        answer = server.post(table[names[:2]].to_csv(index=False), "text/csv; header=present")
        assert (answer.status_code, answer.json()["error"]["column"]) == (400, "bill_length_mm")
        missing = requests.get(f"{server.url}/model/schema", timeout=30)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        ([pickle_file], "model.joblib is a pickle, and loading one runs whatever program it holds"),
        ([skops_file, xgboost_file], "holds more than one model: model.skops (scikit-learn, as skops), xgboost-model"),
        ([], "holds no model that is known by its files (found: nothing"),
    ],
    ids=["pickle", "two", "none"],
)
def test_what_cannot_be_served_ends_the_start_with_its_reason(
    base: Path, launch: Callable[..., Server], write: list[Callable[[Path], Any]], reason: str
) -> None:
    for each in write:
        each(base / "model")
    server = launch()
    assert server.process.wait(60) != 0
    assert reason in server.last_line()
    assert "Traceback" not in server.log.read_text()
