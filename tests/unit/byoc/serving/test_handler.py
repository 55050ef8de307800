"""The user's predictor.py: its functions in every form, merged calls, and everything it may do wrong."""

import types
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from werkzeug.datastructures import Headers

from byoc.errors import ModelError, RowError, UserError
from byoc.schema import Column, Schema
from byoc.serving import handler
from byoc.serving.context import Context
from byoc.serving.formats import records
from byoc.serving.formats.records import Records
from byoc.serving.handler import Call, Handler


def module(source, **more):
    made = types.ModuleType("predictor")
    made.__dict__.update(np=np, pd=pd, Records=Records, **more)
    exec(source, made.__dict__)
    return made


def call(*rows):
    return Call(records.build([[*row] for row in rows], None, None), b"", "text/csv", "text/csv")


MODEL = "def model_fn(model_dir): return 10\n"
DOUBLE = MODEL + "def predict_fn(data: np.ndarray, model): return data[:, 0] * 2\n"

MISSING = {
    "nothing": ("x = 1", "no model_fn and no predict_fn", "found: none of them"),
    "no predict_fn": (MODEL + "def predictfn(d, m): pass", "defines no predict_fn", "found: model_fn"),
    "no model_fn": ("def predict_fn(d, m): pass\ndef load_fn(d): pass", "no model_fn", "found: load_fn, predict_fn"),
    "not a function": ("model_fn = 1\ndef predict_fn(d, m): pass", "no model_fn", "found: model_fn, predict_fn"),
}


@pytest.mark.parametrize(("source", "what", "found"), MISSING.values(), ids=MISSING)
def test_missing_functions_are_named_with_what_was_found(source, what, found):
    with pytest.raises(UserError) as refused:
        Handler.from_module(module(source))
    assert what in str(refused.value)
    assert found in str(refused.value)


ANNOTATIONS = {
    "data: np.ndarray": np.ndarray,
    "data: 'numpy.typing.NDArray[np.float64]'": np.ndarray,
    "data": pd.DataFrame,
    "data: pd.DataFrame": pd.DataFrame,
    "data: 'DataFrame'": pd.DataFrame,
    "data: Records": Records,
    "data: 'Records', *rest": Records,
}


@pytest.mark.parametrize(("parameter", "taken"), ANNOTATIONS.items())
def test_the_annotation_says_what_predict_fn_takes(parameter, taken):
    comma = "" if "*" in parameter else ", model"
    source = f"{MODEL}seen = []\ndef predict_fn({parameter}{comma}):\n    seen.append(data)\n    return [0] * len(data)"
    made = module(source)
    assert Handler.from_module(made).predict([call([1, 2])]) == [[0]]
    assert type(made.seen[0]) is taken


def test_flags_of_the_module():
    plain, flagged = module(DOUBLE), module(DOUBLE + "FORK_SAFE = True\nBATCHABLE = False")
    assert (Handler.from_module(plain).fork_safe, Handler.from_module(plain).batchable) == (False, True)
    assert (Handler.from_module(flagged).fork_safe, Handler.from_module(flagged).batchable) == (True, False)


def test_loading_once_with_the_schema(tmp_path):
    made = Handler.from_module(
        module("loads = []\ndef model_fn(d): loads.append(d); return d\ndef predict_fn(d, m): 0")
    )
    Schema((Column("a", "number"),)).save(tmp_path)
    assert not made.loaded
    made.load(tmp_path)
    made.load(tmp_path)
    assert made.loaded
    assert made.model == str(tmp_path)
    assert made.model_fn.__globals__["loads"] == [str(tmp_path)]
    assert made.schema.names == ("a",)


def test_a_model_that_cannot_be_loaded_says_why(tmp_path):
    """CONTRACT check 46."""
    broken = Handler.from_module(module("def model_fn(d): 1 / 0\ndef predict_fn(d, m): 0"))
    with pytest.raises(ModelError, match="model_fn failed: ZeroDivisionError"):
        broken.load(tmp_path)
    assert not broken.loaded
    told = Handler.from_module(module("def model_fn(d): raise E('as I say')\ndef predict_fn(d, m): 0", E=UserError))
    with pytest.raises(UserError, match=r"^as I say$"):
        told.load(tmp_path)


def test_requests_share_a_call_and_get_their_own_rows():
    """CONTRACT checks 64 and 83."""
    made = module(
        f"calls = []\n{MODEL}def predict_fn(data: np.ndarray, model):\n    calls.append(len(data)); return data[:, 0] * 2"
    )
    results = Handler.from_module(made).predict([call([1], [2]), call([3]), call([4], [5], [6])])
    assert [list(result) for result in results] == [[2, 4], [6], [8, 10, 12]]
    assert made.calls == [6]


@pytest.mark.parametrize("form", ["list(data[0])", "data[0].to_numpy()", "data", "data[0]"])
def test_predictions_of_every_form_are_cut_into_requests(form):
    made = Handler.from_module(module(f"{MODEL}def predict_fn(data, model): return {form}"))
    first, second = made.predict([call(["1"], ["2"]), call(["3"])])
    assert (len(first), len(second)) == (2, 1)
    assert np.asarray(second).ravel().tolist() == [3]


FAULTY = {
    "too few": ("data[:-1]", ValueError, "returned 1 predictions for 2 rows"),
    "too many": ("[0] * 9", ValueError, "returned 9 predictions for 2 rows"),
    "a number": ("5", TypeError, "returned int, not one prediction a row"),
    "nothing": ("None", TypeError, "returned NoneType"),
    "a text": ("'ab'", TypeError, "returned str"),
    "a dict": ("{1: 1, 2: 2}", TypeError, "returned dict"),
    "an exit": ("sys.exit(3)", SystemExit, "3"),
    "no memory": ("[0].__mul__(1 << 60)", MemoryError, ""),
}


@pytest.mark.parametrize(("form", "kind", "message"), FAULTY.values(), ids=FAULTY)
def test_what_predict_fn_does_wrong_is_its_requests_error(form, kind, message):
    """CONTRACT check 70."""
    made = Handler.from_module(module(f"import sys\n{MODEL}def predict_fn(data: np.ndarray, model): return {form}"))
    (result,) = made.predict([call([1], [2])])
    assert type(result) is kind
    assert message in str(result)


def test_a_shared_call_that_fails_is_tried_one_by_one():
    """CONTRACT check 70: no request fails by another's data."""
    source = f"calls = []\n{MODEL}def predict_fn(data: np.ndarray, model):\n    calls.append(data[:, 0].tolist())\n"
    made = module(source + "    if 13 in data: raise ValueError('unlucky')\n    return data[:, 0]")
    first, second, third = Handler.from_module(made).predict([call([1]), call([13], [2]), call([3])])
    assert (list(first), type(second), list(third)) == ([1], ValueError, [3])
    assert made.calls == [[1, 13, 2, 3], [1], [13, 2], [3]]


def test_text_where_an_array_is_wanted_is_the_callers_mistake():
    good, bad = Handler.from_module(module(DOUBLE)).predict([call(["1"]), call(["x"])])
    assert list(good) == [2]
    assert isinstance(bad, RowError)
    assert bad.row == 1


def test_input_fn_and_output_fn():
    source = (
        f"{MODEL}def input_fn(body, content_type): return [body.decode(), content_type]\n"
        "def predict_fn(data, model): return [*data, model]\n"
        "def output_fn(prediction, accept): return '|'.join(map(str, prediction)), accept\n"
    )
    made = Handler.from_module(module(source))
    made.model = made.model_fn("")
    assert made.predict([Call(None, b"hi", "text/x", "text/y")]) == [("hi|text/x|10", "text/y")]


def test_output_fn_is_given_each_requests_own_rows():
    source = (
        DOUBLE + "def output_fn(prediction, accept): return str(prediction.tolist()) if len(prediction) < 2 else 1 / 0"
    )
    first, second = Handler.from_module(module(source)).predict([call([1]), call([2], [3])])
    assert first == "[2.0]"
    assert type(second) is ZeroDivisionError


@pytest.mark.parametrize(
    ("source", "why"), [("1 / 0", "ZeroDivisionError"), ("def :", "SyntaxError"), (None, "ModuleNotFound")]
)
def test_a_module_that_cannot_be_imported_is_told(tmp_path, monkeypatch, source, why):
    if source:
        (tmp_path / "predictor_under_test.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=f"predictor_under_test.py cannot be imported: {why}"):
        handler.load_module("predictor_under_test")


CONTEXTS = {
    "data, model": False,
    "data, model, context": True,
    "data, model, anything": True,
    "data, model, context=None": True,
    "data, model, threshold=0.5": False,
}


@pytest.mark.parametrize(("parameters", "takes"), CONTEXTS.items())
def test_who_asks_for_a_context_is_given_it_and_called_alone(parameters, takes):
    made = Handler.from_module(
        module(
            f"{MODEL}def predict_fn({parameters}): return [context_or_none(locals())] * len(data)",
            context_or_none=lambda names: names.get("context") or names.get("anything"),
        )
    )
    assert made.wants_context is takes
    assert made.shares_calls is not takes
    context = Context("id", Headers())
    (result,) = made.predict([Call(call([1]).records, b"", "text/csv", "text/csv", context)])
    assert result == [context if takes else None]


def test_a_generator_is_an_answer_in_pieces_and_never_shared():
    made = Handler.from_module(module(f"{MODEL}def predict_fn(data, model):\n    yield 1\n    yield 2"))
    assert made.streams
    assert not made.shares_calls
    (result,) = made.predict([call([1])])
    assert list(result) == [1, 2]


def test_the_session_lasts_until_the_last_piece():
    events = []

    @contextmanager
    def session():
        events.append("open")
        yield {"seen": 1}
        events.append("kept")

    source = f"{MODEL}def predict_fn(data, model, context):\n    yield context.session['seen']\n    yield 2"
    made = Handler.from_module(module(source))
    (result,) = made.predict([Call(call([1]).records, b"", "text/csv", "", Context("id", Headers()), session())])
    assert next(result) == 1
    assert events == ["open"]
    assert list(result) == [2]
    assert events == ["open", "kept"]
