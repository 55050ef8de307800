"""The user's predictor.py: its functions in every form, merged calls, and everything it may do wrong."""

import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from werkzeug.datastructures import Headers

import byoc
from byoc.errors import ModelError, RowError, UserError
from byoc.schema import Column, Schema
from byoc.serving import conventions
from byoc.serving.call import Call
from byoc.serving.context import Context
from byoc.serving.formats import records
from byoc.serving.formats.records import Records


def module(source, **more):
    made = types.ModuleType("predictor")
    made.__dict__.update(np=np, pd=pd, Records=Records, **more)
    exec(source, made.__dict__)
    return made


def call(*rows):
    return Call(records.build([[*row] for row in rows], None, None), b"", "text/csv", "text/csv")


MODEL = "def model_fn(model_dir): return 10\n"
DOUBLE = MODEL + "def predict_fn(data: np.ndarray, model): return data[:, 0] * 2\n"

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
    assert conventions.find(made).predict([call([1, 2])]) == [[0]]
    assert type(made.seen[0]) is taken


def test_flags_of_the_module():
    plain, flagged = module(DOUBLE), module(DOUBLE + "FORK_SAFE = True\nBATCHABLE = False")
    assert (conventions.find(plain).fork_safe, conventions.find(plain).batchable) == (False, True)
    assert (conventions.find(flagged).fork_safe, conventions.find(flagged).batchable) == (True, False)


def test_loading_once_with_the_schema(tmp_path):
    made = conventions.find(module("loads = []\ndef model_fn(d): loads.append(d); return d\ndef predict_fn(d, m): 0"))
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
    broken = conventions.find(module("def model_fn(d): 1 / 0\ndef predict_fn(d, m): 0"))
    with pytest.raises(ModelError, match="model_fn failed: ZeroDivisionError"):
        broken.load(tmp_path)
    assert not broken.loaded
    told = conventions.find(module("def model_fn(d): raise E('as I say')\ndef predict_fn(d, m): 0", E=UserError))
    with pytest.raises(UserError, match=r"^as I say$"):
        told.load(tmp_path)


def test_a_load_that_runs_out_of_memory_by_words_is_one(tmp_path):
    """CONTRACT check 90: which many models answer with 507."""
    source = "def model_fn(d): raise RuntimeError('Failed to allocate 2 GiB of Memory')\ndef predict_fn(d, m): 0"
    with pytest.raises(ModelError) as told:
        conventions.find(module(source)).load(tmp_path)
    assert isinstance(told.value.__cause__, MemoryError)


def test_a_changed_working_directory_is_set_back(tmp_path, caplog):
    before = str(Path.cwd())
    gone = tmp_path / "gone"
    gone.mkdir()
    source = f"import os\n{MODEL}def predict_fn(data, model):\n    os.chdir(data[0][0])\n    return [os.getcwd()]"
    made = conventions.find(module(source))
    for folder in (tmp_path, gone):
        assert made.predict([call([str(folder)])]) == [[str(folder)]]
        assert str(Path.cwd()) == before
        assert "changed the working directory" in caplog.text
    assert made.predict([call([before])]) == [[before]]


def test_a_model_that_says_what_it_takes_is_given_that(tmp_path):
    source = "class M:\n    takes = 'array'\n    def predict(self, data): return [type(data).__name__] * len(data)\n"
    made = conventions.find(module(source + "def model_fn(d): return M()"))
    made.load(tmp_path)
    assert made.predict([call([1])]) == [["ndarray"]]


def test_what_model_fn_returns_must_be_askable(tmp_path):
    with pytest.raises(ModelError, match=r"no predict_fn\(data, model\), and what model_fn returned, a int, has no"):
        conventions.find(module(MODEL)).load(tmp_path)


def test_traits_may_depend_on_the_models_folder(tmp_path):
    made = conventions.find(module(DOUBLE + "def FORK_SAFE(folder): return folder.name == 'x'\nPURE = FORK_SAFE"))
    assert [made.is_fork_safe(tmp_path / name) for name in "xy"] == [True, False]
    (tmp_path / "x").mkdir()
    made.load(tmp_path / "x")
    assert made.pure is True


def test_model_fn_may_take_a_context(tmp_path, monkeypatch):
    monkeypatch.setenv("BYOC_GPU", "3")
    made = conventions.find(module("def model_fn(d, context): return context\ndef predict_fn(d, m): 0"))
    made.load(tmp_path)
    told = made.model.system_properties
    assert (told["model_dir"], told["gpu_id"], told["batch_size"]) == (str(tmp_path), 3, 1)
    assert told["server_name"] == "byoc"
    assert told["server_version"] == byoc.__version__


def test_transform_fn_has_the_body_and_both_media_types():
    source = f"{MODEL}def transform_fn(model, body, content_type, accept): return [model, body, content_type, accept]"
    made = conventions.find(module(source))
    made.model = made.model_fn("")
    assert not made.decodes
    assert not made.shares_calls
    assert made.encodes
    assert made.predict([Call(None, b"hi", "text/x", "text/y")]) == [[10, b"hi", "text/x", "text/y"]]


def test_requests_share_a_call_and_get_their_own_rows():
    """CONTRACT checks 64 and 83."""
    made = module(
        f"calls = []\n{MODEL}def predict_fn(data: np.ndarray, model):\n    calls.append(len(data)); return data[:, 0] * 2"
    )
    results = conventions.find(made).predict([call([1], [2]), call([3]), call([4], [5], [6])])
    assert [list(result) for result in results] == [[2, 4], [6], [8, 10, 12]]
    assert made.calls == [6]


@pytest.mark.parametrize("form", ["list(data[0])", "data[0].to_numpy()", "data", "data[0]"])
def test_predictions_of_every_form_are_cut_into_requests(form):
    made = conventions.find(module(f"{MODEL}def predict_fn(data, model): return {form}"))
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
    "CUDA's no memory": ("exec('raise RuntimeError(\"CUDA out of memory. Tried 2 GiB\")')", MemoryError, "CUDA out of"),
    "a library's no memory": (
        "exec('raise RuntimeError(\"Failed to allocate GPU Memory\")')",
        MemoryError,
        "Failed to",
    ),
    "another error": ("exec('raise RuntimeError(\"shapes differ\")')", RuntimeError, "shapes differ"),
}


@pytest.mark.parametrize(("form", "kind", "message"), FAULTY.values(), ids=FAULTY)
def test_what_predict_fn_does_wrong_is_its_requests_error(form, kind, message):
    """CONTRACT check 70."""
    made = conventions.find(module(f"import sys\n{MODEL}def predict_fn(data: np.ndarray, model): return {form}"))
    (result,) = made.predict([call([1], [2])])
    assert type(result) is kind
    assert message in str(result)


def test_a_shared_call_that_fails_is_tried_one_by_one():
    """CONTRACT check 70: no request fails by another's data."""
    source = f"calls = []\n{MODEL}def predict_fn(data: np.ndarray, model):\n    calls.append(data[:, 0].tolist())\n"
    made = module(source + "    if 13 in data: raise ValueError('unlucky')\n    return data[:, 0]")
    first, second, third = conventions.find(made).predict([call([1]), call([13], [2]), call([3])])
    assert (list(first), type(second), list(third)) == ([1], ValueError, [3])
    assert made.calls == [[1, 13, 2, 3], [1], [13, 2], [3]]


def test_text_where_an_array_is_wanted_is_the_callers_mistake():
    good, bad = conventions.find(module(DOUBLE)).predict([call(["1"]), call(["x"])])
    assert list(good) == [2]
    assert isinstance(bad, RowError)
    assert bad.row == 1


def test_input_fn_and_output_fn():
    source = (
        f"{MODEL}def input_fn(body, content_type): return [body.decode(), content_type]\n"
        "def predict_fn(data, model): return [*data, model]\n"
        "def output_fn(prediction, accept): return '|'.join(map(str, prediction)), accept\n"
    )
    made = conventions.find(module(source))
    made.model = made.model_fn("")
    assert made.predict([Call(None, b"hi", "text/x", "text/y")]) == [("hi|text/x|10", "text/y")]


def test_output_fn_is_given_each_requests_own_rows():
    source = (
        DOUBLE + "def output_fn(prediction, accept): return str(prediction.tolist()) if len(prediction) < 2 else 1 / 0"
    )
    first, second = conventions.find(module(source)).predict([call([1]), call([2], [3])])
    assert first == "[2.0]"
    assert type(second) is ZeroDivisionError


CONTEXTS = {
    "data, model": False,
    "data, model, context": True,
    "data, model, anything": True,
    "data, model, context=None": True,
    "data, model, threshold=0.5": False,
}


@pytest.mark.parametrize(("parameters", "takes"), CONTEXTS.items())
def test_who_asks_for_a_context_is_given_it_and_called_alone(parameters, takes):
    made = conventions.find(
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
    made = conventions.find(module(f"{MODEL}def predict_fn(data, model):\n    yield 1\n    yield 2"))
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
    made = conventions.find(module(source))
    (result,) = made.predict([Call(call([1]).records, b"", "text/csv", "", Context("id", Headers()), session())])
    assert next(result) == 1
    assert events == ["open"]
    assert list(result) == [2]
    assert events == ["open", "kept"]
