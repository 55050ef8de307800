"""ONNX models of anybody's: classifiers of skl2onnx in every way it writes them, networks, images, columns."""

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from byoc.errors import ModelError, RowError
from byoc.flavors import onnx_foreign as flavor
from byoc.predictions import Predictions
from byoc.serving.formats import records
from tests import datasets

ROWS, CLASSES = load_iris(return_X_y=True)
NAMES = load_iris().target_names[CLASSES]


def opened(model, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return flavor.open_model(file)


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
@pytest.mark.parametrize("labels", [CLASSES, CLASSES + 5, NAMES], ids=["from 0", "from 5", "names"])
@pytest.mark.parametrize("estimator", [LogisticRegression(max_iter=500), RandomForestClassifier(5, random_state=0)])
def test_classifiers_of_skl2onnx(tmp_path, estimator, labels, zipmap):
    fitted = estimator.fit(ROWS, labels)
    model = opened(to_onnx(fitted, ROWS.astype(np.float32), options={"zipmap": zipmap}), tmp_path)
    told = model.predict(ROWS)
    assert told.labels.tolist() == fitted.predict(ROWS).tolist()
    if zipmap != "columns":
        assert told.classes == tuple(fitted.classes_.tolist())
        np.testing.assert_allclose(told.probabilities, fitted.predict_proba(ROWS), atol=1e-5)


def test_more_rows_than_a_call_computes(tmp_path, monkeypatch):
    fitted = LogisticRegression(max_iter=500).fit(ROWS, NAMES)
    for zipmap in (True, False):
        model = opened(to_onnx(fitted, ROWS.astype(np.float32), options={"zipmap": zipmap}), tmp_path)
        whole = model.predict(ROWS)
        monkeypatch.setattr(flavor, "CHUNK", 64)
        cut = model.predict(ROWS)
        np.testing.assert_array_equal(cut.probabilities, whole.probabilities)
        np.testing.assert_array_equal(cut.labels, whole.labels)
        monkeypatch.undo()


def test_a_regression(tmp_path):
    data, numbers = load_diabetes(return_X_y=True)
    linear = LinearRegression().fit(data, numbers)
    model = opened(to_onnx(linear, data), tmp_path)
    told = model.predict(data)
    assert isinstance(told, Predictions)
    np.testing.assert_allclose(told.labels, linear.predict(data))
    assert (model.takes, len(model.schema.columns), model.schema.columns[0].name) == ("array", 10, "column_0")
    assert all(column.missing for column in model.schema.columns)


def graph(nodes, inputs, outputs, initializers=()):
    made = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


WEIGHTS = np.random.default_rng(0).standard_normal((64, 10)).astype(np.float32)
IMAGES = load_digits().images


def network(batch="n", size=8):
    """Image in, ten numbers out: flattened and multiplied."""
    shape = [batch, 1, size, size]
    return graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        [value("x", shape)],
        [value("y", [batch, 10])],
        [numpy_helper.from_array(WEIGHTS, "w")],
    )


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_images_flat_or_nested(tmp_path, batch):
    """A batch of a fixed size is filled up."""
    model = opened(network(batch), tmp_path)
    assert (model.takes, model.schema) == ("records", None)
    wanted = IMAGES[:10].reshape(10, -1).astype(np.float32) @ WEIGHTS
    flat = IMAGES[:10].reshape(10, -1)
    nested = IMAGES[:10, None].tolist()
    for given in (
        records.from_matrix(flat, None),
        records.build(nested, None, None),
        records.build([[str(cell) for cell in row] for row in flat], None, None),
    ):
        np.testing.assert_allclose(model.predict(given), wanted, rtol=1e-4)


def test_what_has_another_shape_is_the_callers_fault(tmp_path):
    model = opened(network(), tmp_path)
    for rows in ([[1.0] * 63], [[[[1.0] * 8] * 7]], [[[1.0, 2.0], [3.0]]], [[["x"]]]):
        with pytest.raises(RowError, match="each record must hold 1 by 8 by 8 numbers"):
            model.predict(records.build(rows, None, None))


def test_whole_numbers_take_no_missing_values(tmp_path):
    double = graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        [value("x", ["n", 3], TensorProto.INT64)],
        [value("y", ["n", 3], TensorProto.INT64)],
    )
    model = opened(double, tmp_path)
    assert not any(column.missing for column in model.schema.columns)
    assert model.predict(np.array([[1.0, 2.0, 3.0]])).tolist() == [[2, 4, 6]]


def test_any_number_of_columns(tmp_path):
    model = opened(
        graph(
            [helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)],
            [value("x", ["n", "m"])],
            [value("y", ["n"])],
            [numpy_helper.from_array(np.array([1]), "axes")],
        ),
        tmp_path,
    )
    assert (model.takes, model.schema) == ("array", None)
    assert model.predict(np.ones((2, 7))).labels.tolist() == [7.0, 7.0]


def test_a_column_an_input(tmp_path):
    """As skl2onnx writes what was fitted on a frame: text and numbers, by name or by position."""
    dataset = datasets.penguins()
    table = pd.DataFrame(dataset.rows, columns=dataset.header).query("sex != 'NA' and bill_length_mm != 'NA'")
    table = table.astype({"bill_length_mm": float})[["island", "bill_length_mm", "sex", "species"]]
    pipeline = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["island", "sex"]), remainder="passthrough"),
        LogisticRegression(max_iter=2000),
    ).fit(table[["island", "bill_length_mm", "sex"]], table["species"])
    types = {"island": StringTensorType, "bill_length_mm": FloatTensorType, "sex": StringTensorType}
    exported = to_onnx(pipeline, initial_types=[(name, kind([None, 1])) for name, kind in types.items()])
    model = opened(exported, tmp_path)
    assert (model.takes, model.schema) == ("frame", None)
    wanted = pipeline.predict_proba(table)
    for given in (table, table[table.columns[::-1]], table[[*types]].set_axis(range(3), axis="columns")):
        told = model.predict(given)
        np.testing.assert_allclose(told.probabilities, wanted, atol=1e-4)
        assert told.labels.tolist() == pipeline.predict(table).tolist()
    with pytest.raises(RowError, match="column sex: is not in the request"):
        model.predict(table.drop(columns="sex"))
    with pytest.raises(RowError, match="column bill_length_mm: is not a number"):
        model.predict(table.assign(bill_length_mm="long"))


def test_weights_in_a_file_of_their_own(tmp_path):
    file = tmp_path / "model.onnx"
    onnx.save_model(network(), file, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    assert (tmp_path / "model.onnx.data").stat().st_size >= WEIGHTS.nbytes
    told = flavor.open_model(file).predict(records.from_matrix(IMAGES[:1].reshape(1, -1), None))
    np.testing.assert_allclose(told, IMAGES[:1].reshape(1, -1).astype(np.float32) @ WEIGHTS, rtol=1e-4)
    (tmp_path / "model.onnx.data").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded by ONNX Runtime"):
        flavor.open_model(file)


def test_what_takes_no_rows_is_refused(tmp_path):
    two = graph(
        [helper.make_node("Add", ["ids", "mask"], ["y"])],
        [value("ids", ["n", 8]), value("mask", ["n", 8])],
        [value("y", ["n", 8])],
    )
    with pytest.raises(ModelError, match=r"takes neither rows .* but ids: tensor\(float\)\['n', 8\], mask"):
        opened(two, tmp_path)
    free = graph(
        [helper.make_node("Relu", ["x"], ["y"])], [value("x", ["n", 3, "h", "w"])], [value("y", ["n", 3, "h", "w"])]
    )
    with pytest.raises(ModelError, match="takes neither rows"):
        opened(free, tmp_path)
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded by ONNX Runtime"):
        opened(b"canary", tmp_path)


def test_a_gpu_is_used_where_there_is_one_and_a_runtime_for_it(monkeypatch):
    """Which providers are asked for; that they compute, only a machine with a GPU can tell."""
    there = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(flavor.onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(flavor.machine, "devices", lambda kind: 1)
    assert flavor._providers() == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(flavor.machine, "devices", lambda kind: 0)
    assert flavor._providers() == ["CPUExecutionProvider"]
