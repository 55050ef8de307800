"""What a user's file may define: every convention, what is found, and what is told when nothing or too much is."""

import json
import sys
import types
from pathlib import Path

import pandas as pd
import pytest
from werkzeug.datastructures import Headers

from byoc.entry import STANDINS
from byoc.errors import ModelError, UserError
from byoc.serving import conventions
from byoc.serving.call import Call
from byoc.serving.context import Context
from byoc.serving.errors import RequestError
from byoc.serving.formats import records

HANDLE = """
class ModelHandler:
    def __init__(self):
        self.initialized = False
        self.loads = 0

    def initialize(self, context):
        self.initialized = True
        self.loads += 1
        self.model_dir = context.system_properties.get("model_dir")

    def handle(self, data):
        return [data[0]["body"].decode() + " from " + self.model_dir]


_service = ModelHandler()


def handle(data, context):
    if not _service.initialized:
        _service.initialize(context)
    if data is None:
        return None
    return _service.handle(data)
"""
CLASS = """
class Steps:
    def load_weights(self, path):
        self.path = path

    def preprocess(self, data):
        return data[0]["body"].upper()

    def predict(self, data):
        return data + b"!"

    def postprocess(self, prediction):
        return {"answer": prediction.decode(), "path": self.path}
"""
CLASSIC = """
class ScoringService(object):
    model = None

    @classmethod
    def get_model(cls):
        cls.model = 2
        return cls.model

    @classmethod
    def predict(cls, input):
        clf = cls.get_model()
        return input[0] * clf
"""
BASE_MODEL = """
from superai.meta_ai.base.base_ai import BaseModel


class ModelHandler(BaseModel):
    def __init__(self):
        super().__init__()

    @classmethod
    def load_weights(cls, weights_path):
        cls.path = weights_path

    def predict(self, input):
        return [{"size": len(input), "path": self.path}]
"""
FUNCTIONS = "def model_fn(model_dir): return 1\ndef predict_fn(data, model): return [0] * len(data)\n"


@pytest.fixture(autouse=True)
def with_standins(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(STANDINS)])
    monkeypatch.setattr(sys, "modules", {**sys.modules})


def module(source, name="handler"):
    made = types.ModuleType(name)
    sys.modules[name] = made
    exec(source, made.__dict__)
    return made


def asked(body=b"hi", content_type="text/plain", accept="text/plain"):
    return Call(None, body, content_type, accept, Context("id", Headers()))


FOUND = {
    "functions": (FUNCTIONS, "", "functions", ("model_fn", "predict_fn")),
    "one function": ("def input_fn(body, content_type): return body", "", "functions", ("input_fn",)),
    "transform": ("def transform_fn(m, b, c, a): pass", "", "functions", ("transform_fn",)),
    "handle beside the class that it asks": (HANDLE, "", "handle", ("handle",)),
    "handle of another name": ("def serve_it(data, context): pass", "serve_it", "handle", ("serve_it",)),
    "a class": (CLASS, "", "class", ("Steps.preprocess", "Steps.predict", "Steps.postprocess")),
    "a class by its name": (HANDLE, "ModelHandler.handle", "class", ("ModelHandler.handle",)),
    "a BaseModel": (BASE_MODEL, "ModelHandler.handle", "class", ("ModelHandler.handle",)),
    "a BaseModel, found": (BASE_MODEL, "", "class", ("ModelHandler.handle",)),
    "classic": (CLASSIC, "", "classic", ("ScoringService.get_model", "ScoringService.predict")),
}


@pytest.mark.parametrize(("source", "method", "convention", "names"), FOUND.values(), ids=FOUND)
def test_what_is_found(source, method, convention, names):
    made = conventions.find(module(source), method)
    assert (made.convention, made.names) == (convention, names)


REFUSED = {
    "nothing": ("x = 1", "", r"defines nothing that could answer a request \(found: no functions\); it needs model_fn"),
    "other names": ("def predict(x): pass\ndef load(x): pass", "", r"\(found: predict, load\)"),
    "not a function": ("predict_fn = 1", "", "defines nothing"),
    "functions and handle": (
        FUNCTIONS + "def handle(data, context): pass",
        "",
        r"more than one way: model_fn and predict_fn \(functions\), or handle \(handle\); leave one of them",
    ),
    "functions and the classic": (
        FUNCTIONS + CLASSIC,
        "",
        r"\(functions\), or ScoringService.get_model and Scor.*classic",
    ),
    "two classes": (CLASS + CLASS.replace("Steps", "Other"), "", "more than one class that could answer: Steps, Other"),
    "transform and predict": (
        "def transform_fn(m, b, c, a): pass\ndef predict_fn(d, m): pass",
        "",
        "transform_fn, which does all of it, beside predict_fn; leave one way",
    ),
    "predict_fn without a model": ("def predict_fn(data): pass", "", r"predict_fn must take the data and the model"),
    "no such function": ("def other(d, c): pass", "handle", r"has no function handle \(found: other\)"),
    "no such class": (CLASS, "Stepps.handle", r"has no class Stepps \(found: Steps\)"),
    "no such method": (CLASS, "Steps.run", r"Steps in handler.py has no method run \(found: load_weights, postprocess"),
}


@pytest.mark.parametrize(("source", "method", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(source, method, told):
    with pytest.raises(UserError, match=told):
        conventions.find(module(source), method)


def test_handle_is_asked_as_multi_model_server_does(tmp_path):
    made = module(HANDLE)
    handler = conventions.find(made)
    handler.load(tmp_path)
    assert made._service.loads == 1
    assert handler.predict([asked()]) == [(f"hi from {tmp_path}", "text/plain")]
    assert made._service.loads == 1


def test_a_class_goes_its_steps(tmp_path):
    handler = conventions.find(module(CLASS))
    handler.load(tmp_path)
    ((body, media_type),) = handler.predict([asked()])
    assert (json.loads(body), media_type) == ({"answer": "HI!", "path": str(tmp_path)}, "application/json")


def test_a_base_model_loads_its_weights_once_and_answers(tmp_path):
    handler = conventions.find(module(BASE_MODEL), "ModelHandler.handle")
    handler.load(tmp_path)
    ((body, _),) = handler.predict([asked()])
    assert json.loads(body) == {"size": 1, "path": str(tmp_path)}


def test_a_base_model_with_an_initialize_of_its_own_is_initialized_once(tmp_path):
    made = module(
        BASE_MODEL + "    count = 0\n    path = ''\n    def initialize(self, context): ModelHandler.count += 1\n"
    )
    handler = conventions.find(made)
    handler.load(tmp_path)
    handler.predict([asked()])
    handler.predict([asked()])
    assert made.ModelHandler.count == 1


def test_the_classic_is_asked_with_a_frame(tmp_path):
    handler = conventions.find(module(CLASSIC))
    handler.load(tmp_path)
    rows = records.build([["1", "2"], ["3", "4"]], None, None)
    (result,) = handler.predict([Call(rows, b"", "text/csv", "text/csv")])
    assert isinstance(result, pd.Series)
    assert result.tolist() == [2, 6]


RETURNED = {
    "text in a list": ("['a']", ("a", "text/plain")),
    "bytes": ("b'a'", (b"a", "text/plain")),
    "values": ("[{'a': float('nan')}]", (b'{"a":null}', "application/json")),
    "a dict": ("{'a': 1}", (b'{"a":1}', "application/json")),
    "text that is JSON": ("'[1]'", ("[1]", "application/json")),
    "text that only looks so": ("'[1'", ("[1", "text/plain")),
    "an array": ("__import__('numpy').array([1, 2])", (b"[1,2]", "application/json")),
    "nothing": ("None", (b"null", "application/json")),
}


@pytest.mark.parametrize(("expression", "answer"), RETURNED.values(), ids=RETURNED)
def test_what_handle_may_return(expression, answer):
    handler = conventions.find(module(f"def handle(data, context): return {expression}"))
    assert handler.predict([asked()]) == [answer]


@pytest.mark.parametrize("expression", ["[]", "[1, 2]"])
def test_a_list_of_another_length_is_its_requests_error(expression):
    """CONTRACT check 70."""
    (result,) = conventions.find(module(f"def handle(data, context): return {expression}")).predict([asked()])
    assert isinstance(result, ValueError)
    assert "answers for 1 request" in str(result)


def test_bodies_are_bytes_and_decoded_only_on_request(monkeypatch):
    handler = conventions.find(module("def handle(data, context): return [type(data[0]['body']).__name__]"))
    kinds = [asked(b"{}", "application/json"), asked(b"a", "text/csv"), asked(b"a", "image/png")]
    assert [handler.predict([each])[0][0] for each in kinds] == ["bytes"] * 3
    monkeypatch.setenv("MMS_DECODE_INPUT_REQUEST", "true")
    assert [handler.predict([each])[0][0] for each in kinds] == ["dict", "str", "bytes"]


def test_handle_says_status_headers_and_media_type():
    source = """
def handle(data, context):
    context.set_response_content_type(0, "text/x")
    context.request_processor[0].add_response_property("X-One", context.request_processor[0].get_request_property("X-In"))
    context.set_http_response_status(code=202)
    return [context.get_request_id(0)]
"""
    call = Call(None, b"", "", "text/plain", Context("the id", Headers({"x-in": "1"})))
    assert conventions.find(module(source)).predict([call]) == [("the id", "text/x")]
    assert (call.context.status, call.context.response_headers["X-One"]) == (202, "1")


@pytest.mark.parametrize(
    ("accept", "refused"), [("text/csv", True), ("*/*", False), ("text/csv, application/*;q=0.1", False)]
)
def test_json_is_refused_to_who_does_not_accept_it(accept, refused):
    """CONTRACT check 67."""
    call = Call(None, b"", "", accept, Context("id", Headers({"Accept": accept})))
    (result,) = conventions.find(module("def handle(data, context): return {'a': 1}")).predict([call])
    assert isinstance(result, RequestError) is refused
    declared = "def handle(data, context):\n    context.set_response_content_type(0, 'x/y')\n    return {'a': 1}"
    assert conventions.find(module(declared)).predict([call]) == [(b'{"a":1}', "x/y")]


def test_a_generator_is_an_answer_in_pieces():
    handler = conventions.find(
        module("def handle(data, context):\n    if data is None: return\n    yield 1\n    yield 2")
    )
    (result,) = handler.predict([asked()])
    assert list(result) == [1, 2]


def test_a_load_probe_that_fails_says_who_was_called(tmp_path):
    handler = conventions.find(module("def handle(data, context): return data[0]"))
    with pytest.raises(ModelError, match=r"^handle, called without data to load the model, failed: TypeError"):
        handler.load(tmp_path)


def test_without_model_fn_the_model_is_found_by_its_files(tmp_path):
    handler = conventions.find(module("def input_fn(body, content_type): return body"))
    with pytest.raises(ModelError, match="holds no model that is known by its files"):
        handler.load(tmp_path)
    with pytest.raises(ModelError, match="holds no model"):
        handler.is_fork_safe(tmp_path)


def test_the_working_directory_is_as_it_was():
    before = str(Path.cwd())
    handler = conventions.find(module("import os\ndef handle(data, context): os.chdir('/'); return ['x']"))
    handler.predict([asked()])
    assert str(Path.cwd()) == before
