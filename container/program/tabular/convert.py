"""A fitted model of `tabular.pipeline` as an ONNX graph that computes in float64 from end to end.

Trees are converted here, to the same bits; of other estimators those are taken that skl2onnx can convert to float64.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._forest import BaseForest
from sklearn.ensemble._gb import BaseGradientBoosting
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import BaseDecisionTree

from byoc.schema import UNSEEN
from tabular import trees
from tabular.graph import OPSET, Graph
from tabular.model import LABEL_BY_PROBABILITY, final

if TYPE_CHECKING:
    from byoc.schema import Schema

SINGLE = TensorProto.FLOAT
# Of the operators for machine learning all that skl2onnx writes compute in float32, but these, which only look up.
ML, EXACT = "ai.onnx.ml", {"ArrayFeatureExtractor", "LabelEncoder"}
# The newest that skl2onnx writes; its operators are the same ones in version 5.
ML_OPSET_OF_SKL2ONNX = 3


class NotConvertibleError(Exception):
    """There is no graph that computes the same; says why."""


@dataclass(frozen=True)
class Matrix:
    """A matrix inside the graph: its name and, for each column, how many categories it has; 0 where it has numbers."""

    name: str
    categories: tuple[int, ...]


def to_onnx(model: Any, schema: Schema) -> Any:
    """Return the model as ONNX: rows as `byoc.schema` describes them go in.

    Out come ``labels``, (n,) or (n, 1) numbers in regression; ``probabilities``, (n, classes), of classifiers that have
    them; ``positions``, (n,) among the classes, where labels are not. Classifiers whose label is by definition that of
    the largest probability answer ``probabilities`` alone.

    Raises:
        NotConvertibleError: some part has no equal in ONNX.

    """
    graph = Graph()
    categories = tuple(len(column.categories) if column.kind == "text" else 0 for column in schema.columns)
    rows = Matrix("rows", categories)
    if isinstance(model, Pipeline):
        rows = _transform(graph, model[0], rows)
    outputs, types = _estimate(graph, final(model), rows)
    return graph.model(len(schema.columns), outputs, types)


def _estimate(graph: Graph, estimator: Any, rows: Matrix) -> tuple[dict[str, str], dict[str, int]]:
    if isinstance(estimator, BaseDecisionTree | BaseForest):
        made = [trees.of_tree(each.tree_) for each in getattr(estimator, "estimators_", [estimator])]
        return _answer(estimator, trees.mean(graph, made, _rounded(graph, rows))), {}
    if isinstance(estimator, BaseGradientBoosting):
        raw = _gradient_boosting(graph, estimator, _rounded(graph, rows))
        answer = _answer(estimator, _link(graph, estimator, raw))
        return answer | _positions(graph, estimator, raw), {"positions": TensorProto.INT64}
    if isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        if estimator._preprocessor is not None:  # noqa: SLF001 - the fitted trees have no public name; all is verified
            rows = _transform(graph, estimator._preprocessor, rows)  # noqa: SLF001
        raw = _hist_gradient_boosting(graph, estimator, rows.name)
        return _answer(estimator, _link(graph, estimator, raw)), {}
    return _convert_other(graph, estimator, rows)


def _answer(estimator: Any, name: str) -> dict[str, str]:
    return {"probabilities" if hasattr(estimator, "classes_") else "labels": name}


def _positions(graph: Graph, estimator: Any, raw: str) -> dict[str, str]:
    """Add the labels of classic gradient boosting: of two classes, at 0 the second, where a half would be the first."""
    if not hasattr(estimator, "classes_"):
        return {}
    if len(estimator.classes_) > 2:  # noqa: PLR2004 - two classes share one output
        return {"positions": graph.add("ArgMax", [raw], axis=1, keepdims=0)}
    second = graph.add("GreaterOrEqual", [raw, graph.constant(np.array(0.0))])
    flat = graph.add("Squeeze", [second, graph.constant(np.array([1]))])
    return {"positions": graph.add("Cast", [flat], to=TensorProto.INT64)}


def _rounded(graph: Graph, rows: Matrix) -> str:
    """Add what scikit-learn's trees do with their features: round them to float32, compare them as float64.

    A number beyond float32's range, which scikit-learn refuses with an error, is taken for the largest of all.
    """
    return graph.add("Cast", [graph.add("Cast", [rows.name], to=TensorProto.FLOAT)], to=TensorProto.DOUBLE)


def _gradient_boosting(graph: Graph, estimator: Any, features: str) -> str:
    if not isinstance(estimator.init_, DummyClassifier | DummyRegressor):
        raise NotConvertibleError(f"it starts from {estimator.init_!r}")
    # The same for all rows, so any row will do.
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))[0]  # noqa: SLF001
    made = [trees.constant(float(value)) for value in start]
    made += [trees.of_tree(each.tree_, estimator.learning_rate) for each in estimator.estimators_.ravel()]
    return trees.sum_of(graph, made, len(start), features)


def _hist_gradient_boosting(graph: Graph, estimator: Any, features: str) -> str:
    start = estimator._baseline_prediction.ravel()  # noqa: SLF001
    made = [trees.constant(float(value)) for value in start]
    made += [trees.of_predictor(each) for stage in estimator._predictors for each in stage]  # noqa: SLF001
    return trees.sum_of(graph, made, len(start), features)


def _link(graph: Graph, estimator: Any, raw: str) -> str:
    """Add what turns the sum of the trees into probabilities, or into numbers."""
    link = type(estimator._loss.link).__name__  # noqa: SLF001
    if link == "IdentityLink":
        return raw
    if link == "LogLink":
        return graph.add("Exp", [raw])
    if link == "MultinomialLogit":
        return graph.add("Softmax", [raw], axis=1)
    if link == "LogitLink":
        second = graph.add("Sigmoid", [raw])
        return graph.add("Concat", [graph.add("Sub", [graph.constant(np.array(1.0)), second]), second], axis=1)
    raise NotConvertibleError(f"its loss has a {link}")


def _transform(graph: Graph, transformer: Any, rows: Matrix) -> Matrix:
    """Add a transformer that `tabular.pipeline` or histogram gradient boosting puts before the estimator."""
    match transformer:
        case ColumnTransformer():
            parts = [
                _transform(graph, part, _columns(graph, rows, columns))
                for name, part, columns in transformer.transformers_
                if name != "remainder" and np.size(columns)
            ]
            categories = tuple(number for part in parts for number in part.categories)
            return Matrix(graph.add("Concat", [part.name for part in parts], axis=1), categories)
        case Pipeline():
            for _, step in transformer.steps:
                rows = _transform(graph, step, rows)
            return rows
        case FunctionTransformer() | "passthrough":
            return rows
        case SimpleImputer():
            missing = graph.add("IsNaN", [rows.name])
            return Matrix(
                graph.add("Where", [missing, graph.constant(transformer.statistics_), rows.name]), rows.categories
            )
        case StandardScaler():
            centred = graph.add("Sub", [rows.name, graph.constant(transformer.mean_)])
            return Matrix(graph.add("Div", [centred, graph.constant(transformer.scale_)]), rows.categories)
        case OneHotEncoder() | OrdinalEncoder():
            return _encode(graph, transformer, rows)
    raise NotConvertibleError(f"a {type(transformer).__name__} stands before it")


def _columns(graph: Graph, rows: Matrix, columns: Any) -> Matrix:
    chosen = np.arange(len(rows.categories))[columns]
    name = graph.add("Gather", [rows.name, graph.constant(chosen)], axis=1)
    return Matrix(name, tuple(rows.categories[number] for number in chosen))


def _encode(graph: Graph, encoder: Any, rows: Matrix) -> Matrix:
    """Add tables of what the encoder itself says of each code that `byoc.schema` knows, of missing and of unseen."""
    if not all(rows.categories):
        raise NotConvertibleError("it takes a column of numbers for categories")
    common = np.array([known[0] for known in encoder.categories_], dtype=np.float64)
    widths = [_width(encoder, position) for position in range(len(common))]
    encoded = []
    for position, count in enumerate(rows.categories):
        probes = np.tile(common, (count + 2, 1))
        probes[:, position] = [*range(count), np.nan, UNSEEN]
        first = sum(widths[:position])
        table = encoder.transform(probes)[:, first : first + widths[position]]
        encoded.append(graph.add("Gather", [graph.constant(table), _code(graph, rows, position)], axis=0))
    return Matrix(graph.add("Concat", encoded, axis=1), (0,) * sum(widths))


def _code(graph: Graph, rows: Matrix, position: int) -> str:
    """Add the row of a table with one row a category, one for missing and one for unseen."""
    count = rows.categories[position]
    column = graph.add("Gather", [rows.name, graph.constant(np.array(position))], axis=1)
    unseen = graph.add("Less", [column, graph.constant(np.array(0.0))])
    code = graph.add("Where", [unseen, graph.constant(np.array(count + 1.0)), column])
    missing = graph.add("IsNaN", [column])
    code = graph.add("Where", [missing, graph.constant(np.array(float(count))), code])
    return graph.add("Cast", [code], to=TensorProto.INT64)


def _width(encoder: Any, position: int) -> int:
    """Return how many columns an encoder makes of one; rare categories share a column."""
    if isinstance(encoder, OrdinalEncoder):
        return 1
    rare = encoder.infrequent_categories_[position]
    return len(encoder.categories_[position]) - (0 if rare is None else len(rare) - 1)


def _convert_other(graph: Graph, estimator: Any, rows: Matrix) -> tuple[dict[str, str], dict[str, int]]:
    """Add what skl2onnx makes of an estimator, if it keeps to float64."""
    if type(estimator).__module__.startswith("sklearn.neighbors"):
        raise NotConvertibleError("which of equally near neighbours count would depend on the engine")
    from skl2onnx import to_onnx as convert  # noqa: PLC0415 - a second that trees are spared
    from skl2onnx.common.data_types import DoubleTensorType  # noqa: PLC0415

    is_classifier = hasattr(estimator, "classes_")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = convert(
                estimator,
                initial_types=[("features", DoubleTensorType([None, len(rows.categories)]))],
                options={id(estimator): {"zipmap": False}} if is_classifier else None,
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET_OF_SKL2ONNX},
            )
            inferred = onnx.shape_inference.infer_shapes(model)
    except Exception as error:  # any kind, for it meets any estimator
        raise NotConvertibleError(f"skl2onnx cannot convert it: {_first_line(error)}") from error
    types = [entry.type.tensor_type.elem_type for entry in inferred.graph.value_info]
    operators = {node.op_type for node in model.graph.node if node.domain == ML}
    if SINGLE in types or operators - EXACT:
        raise NotConvertibleError("skl2onnx computes it in float32")
    graph.absorb(model, rows.name)
    label, *probabilities = model.graph.output
    if type(estimator).__name__ in LABEL_BY_PROBABILITY and probabilities:
        return {"probabilities": probabilities[0].name}, {}
    outputs = {"labels": label.name}
    if hasattr(estimator, "predict_proba"):
        outputs["probabilities"] = probabilities[0].name
    return outputs, {"labels": label.type.tensor_type.elem_type}


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
