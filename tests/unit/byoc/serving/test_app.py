"""The whole app in one process: requests in, answers and errors out."""

import csv
import gzip
import io
import json
import logging
import time

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from byoc.schema import Schema
from byoc.serving.app import create_app
from byoc.serving.handler import Handler
from byoc.serving.service import Service
from byoc.serving.settings import Settings
from tabular import features, model
from tabular.model import TabularModel
from tests import datasets

IRIS = datasets.iris()
ROWS = IRIS.features(slice(None))


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    """A base folder with a real model of iris."""
    import pandas as pd

    frame = pd.DataFrame(IRIS.rows, columns=[f"column_{n}" for n in range(5)])
    frame = frame.astype(dict.fromkeys(frame.columns[1:], float))
    schema = features.learn(frame, "column_0", "classification")
    tree = DecisionTreeClassifier(random_state=0).fit(features.encode(frame, schema), frame["column_0"].to_numpy(str))
    base = tmp_path_factory.mktemp("base")
    (base / "model").mkdir()
    model.save(TabularModel(tree, schema), base / "model")
    return base


def predict_fn(data: np.ndarray, given: TabularModel) -> object:
    return given.predict(data)


def client(model_dir, environ=None, **functions):
    settings = Settings.from_environ({"SAGEMAKER_BASE_DIR": str(model_dir), **(environ or {})}, cpus=1, memory=1 << 30)
    given = {"model_fn": lambda folder: model.load(model_dir / "model"), "predict_fn": predict_fn, "takes": "array"}
    handler = Handler(**{**given, "fork_safe": True, **functions})
    service = Service(settings, lambda: handler)
    if handler.fork_safe:
        service.load()
    return create_app(service).test_client()


@pytest.fixture(scope="module")
def iris(model_dir):
    return client(model_dir)


def text(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()


def post(to, body, content_type="text/csv", **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return to.post("/invocations", data=body, headers={"Content-Type": content_type, **given})


def error(answer, status):
    assert answer.status_code == status, answer.data
    assert answer.content_type == "application/json"
    assert len(answer.data) <= 2048
    told = json.loads(answer.data)["error"]
    assert told["request_id"] == answer.headers["X-Request-Id"]
    return told


def test_ping_in_every_method(iris, model_dir):
    """CONTRACT checks 45 and 46."""
    assert [iris.open("/ping", method=method).status_code for method in ("GET", "HEAD", "POST")] == [200, 200, 200]
    assert client(model_dir, fork_safe=False).get("/ping").status_code == 503


def test_real_rows_get_their_labels(iris):
    """CONTRACT checks 51, 77 and 84."""
    answer = post(iris, text(ROWS))
    assert (answer.status_code, answer.content_type) == (200, "text/csv")
    assert answer.data.decode().splitlines() == IRIS.labels(slice(None))
    assert post(iris, text(ROWS)).data == answer.data


# Content-Type · body of two records · Accept · answer
def saved(save, array):
    out = io.BytesIO()
    save(out, np.array(array))
    return out.getvalue()


TWO = [ROWS[0], ROWS[149]]
NUMBERS = [[float(cell) for cell in row] for row in TWO]
LABELS = [{"predicted_label": "setosa", "score": 1.0}, {"predicted_label": "virginica", "score": 1.0}]
LINES = b"".join(json.dumps(label, separators=(",", ":")).encode() + b"\n" for label in LABELS)
BODIES = {
    "text/csv": text(TWO),
    "application/json": json.dumps({"instances": NUMBERS}).encode(),
    "application/jsonlines": b"\n".join(json.dumps(row).encode() for row in NUMBERS),
    "application/octet-stream": json.dumps({"instances": NUMBERS}).encode(),
    "text/libsvm": b"\n".join(b" ".join(b"%d:%f" % pair for pair in enumerate(row)) for row in NUMBERS),
    "application/x-npy": saved(np.save, NUMBERS),
    "application/x-npz": saved(np.savez_compressed, NUMBERS),
}
ANSWERS = {
    "text/csv": b"setosa\nvirginica\n",
    "application/json": json.dumps({"predictions": LABELS}, separators=(",", ":")).encode() + b"\n",
    "application/jsonlines": LINES,
}
UNASKED = dict.fromkeys(BODIES, "text/csv") | {name: name for name in ANSWERS}
UNASKED["application/octet-stream"] = "application/json"


@pytest.mark.parametrize("accept", [*ANSWERS, "", "*/*"])
@pytest.mark.parametrize("content_type", BODIES)
def test_every_media_type_in_and_out(iris, content_type, accept):
    """CONTRACT checks 51 to 55."""
    answer = post(iris, BODIES[content_type], content_type, Accept=accept)
    expected = UNASKED[content_type] if accept in ("", "*/*") else accept
    assert (answer.status_code, answer.content_type) == (200, expected)
    assert answer.data == ANSWERS[expected]


def test_the_settings_choose_outputs_and_the_default_answer(model_dir):
    """CONTRACT check 54."""
    environ = {"SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json", "SAGEMAKER_INFERENCE_OUTPUT": "probability"}
    answer = post(client(model_dir, environ), text(TWO))
    assert json.loads(answer.data) == {"predictions": [{"probability": 1.0}, {"probability": 1.0}]}


# request · status · code · row, column
FAULTS = {
    "wrong count": ((b"1,2,3\n",), 400, "bad_request", 1, None),
    "text": ((b"1,2,3,4\n1,canary,3,4\n",), 400, "bad_request", 2, "column_2"),
    "bad JSON": ((b"[[1,", "application/json"), 400, "bad_request", None, None),
    "empty": ((b"",), 400, "bad_request", None, None),
    "media type": ((b"x", "image/png"), 415, "unsupported_media_type", None, None),
    "charset": ((b"x", "text/csv; charset=latin-1"), 415, "unsupported_charset", None, None),
    "header of control characters": (
        (b"column_1," + b"\x01" * 5000 + b"\n1,2\n",),
        400,
        "bad_request",
        None,
        "\ufffd" * 64,
    ),
}


@pytest.mark.parametrize(("request_", "status", "code", "row", "column"), FAULTS.values(), ids=FAULTS)
def test_the_callers_mistakes(iris, request_, status, code, row, column):
    """CONTRACT checks 66, 68, 69 and 71."""
    told = error(post(iris, *request_), status)
    assert (told["code"], told.get("row"), told.get("column")) == (code, row, column)
    assert "canary" not in json.dumps(told)


def test_other_paths_methods_and_sizes(iris, model_dir):
    """CONTRACT checks 67, 72 and 73."""
    assert error(post(iris, text(TWO), Accept="image/png"), 406)["code"] == "not_acceptable"
    assert error(iris.get("/invocations"), 405)["code"] == "method_not_allowed"
    assert iris.get("/invocations").headers["Allow"]
    assert error(iris.get("/" + "\x01é" * 3000), 404)["code"] == "not_found"
    large = post(client(model_dir, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}), b"1" * ((1 << 20) + 1))
    assert "SAGEMAKER_MAX_PAYLOAD_IN_MB" in error(large, 413)["message"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_a_gzip_body_is_what_it_holds(iris, encoding):
    """Fault test 20."""
    answer = post(iris, gzip.compress(text(ROWS)), Content_Encoding=encoding)
    assert answer.data.decode().splitlines() == IRIS.labels(slice(None))
    assert post(iris, text(TWO), Content_Encoding="identity").data == b"setosa\nvirginica\n"


def test_a_users_input_fn_gets_the_unpacked_body(model_dir):
    given = client(model_dir, input_fn=lambda body, content_type: [body.decode()], predict_fn=lambda data, model: data)
    assert (
        post(given, gzip.compress(b"text"), "text/plain", Content_Encoding="gzip", Accept="text/csv").data == b"text\n"
    )


def test_gzip_bodies_that_are_refused(iris, model_dir):
    """Fault test 20."""
    packed = gzip.compress(text(ROWS))
    assert error(post(iris, packed[:-9], Content_Encoding="gzip"), 400)["message"] == "the gzip body ends too early"
    assert error(post(iris, packed, Content_Encoding="br"), 415)["code"] == "unsupported_encoding"
    limited = client(model_dir, {"SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"})
    told = error(post(limited, gzip.compress(b"1" * ((1 << 20) + 1)), Content_Encoding="gzip"), 413)
    assert told["code"] == "payload_too_large"
    assert "limit of 1 MB" in told["message"]


@pytest.mark.parametrize(
    "raised", [ValueError("canary /opt/ml"), SystemExit("canary"), MemoryError("canary"), RecursionError()]
)
def test_a_model_that_fails_is_500_and_the_next_request_is_answered(model_dir, raised, caplog):
    """CONTRACT checks 70 and 71: the caller is told nothing of it, the log has the cause under the same id."""

    def fails_on_one_row(data, given):
        if len(data) == 1:
            raise raised
        return given.predict(data)

    given = client(model_dir, predict_fn=fails_on_one_row)
    with caplog.at_level(logging.ERROR):
        told = error(post(given, text(TWO[:1])), 500)
    assert told["code"] == "prediction_failed"
    assert "canary" not in json.dumps(told)
    assert "Traceback" not in json.dumps(told)
    assert [record.request_id for record in caplog.records] == [told["request_id"]]
    assert caplog.records[0].exc_info
    assert post(given, text(TWO)).status_code == 200


IDS = [
    ({"X-Amzn-SageMaker-Inference-Id": "mine"}, "mine"),
    ({"X-Request-Id": "nginx"}, "nginx"),
    ({"X-Amzn-SageMaker-Inference-Id": "mine", "X-Request-Id": "nginx"}, "mine"),
    ({"X-Amzn-SageMaker-Inference-Id": "with space"}, None),
    ({"X-Amzn-SageMaker-Inference-Id": "x" * 65}, None),
    ({}, None),
]


@pytest.mark.parametrize(("headers", "told"), IDS)
def test_the_request_id(iris, headers, told):
    answer = iris.post("/invocations", data=text(TWO), headers={"Content-Type": "text/csv", **headers})
    assert answer.headers["X-Request-Id"] == told or (told is None and len(answer.headers["X-Request-Id"]) == 32)


def test_one_log_line_a_request_without_its_data(iris, caplog):
    """CONTRACT check 107."""
    with caplog.at_level(logging.INFO, logger="byoc.access"):
        post(iris, text([*TWO, ["canary", "1", "1", "1"]]))
        post(iris, text(TWO))
        iris.get("/ping")
    bad, good = (record for record in caplog.records if record.name == "byoc.access")
    assert (good.status, good.rows, good.bytes) == (200, 2, len(text(TWO)))
    assert (bad.status, bad.row, bad.column) == (400, 3, "column_1")
    assert "canary" not in str(vars(bad))


def test_where_the_time_went_and_metrics(model_dir, caplog):
    """The issue's split, and CloudWatch's embedded metric format."""
    environ = {"AWS_EMF_NAMESPACE": "models"}

    def slow(data, given):
        time.sleep(0.05)
        return given.predict(data)

    with caplog.at_level(logging.INFO, logger="byoc.access"):
        post(client(model_dir, environ, predict_fn=slow), text(TWO), X_Amzn_SageMaker_Inference_Id="mine")
    (record,) = (record for record in caplog.records if record.name == "byoc.access")
    assert record.inference_id == "mine"
    assert record.milliseconds >= record.predict_ms >= 50
    parts = [record.decode_ms, record.queue_ms, record.predict_ms, record.encode_ms]
    assert all(part >= 0 for part in parts)
    assert sum(parts) <= record.milliseconds
    (directive,) = record._aws["CloudWatchMetrics"]
    assert directive["Namespace"] == "models"
    assert all(isinstance(getattr(record, metric["Name"]), int | float) for metric in directive["Metrics"])


def test_a_large_body_is_parsed_off_the_loop(iris):
    body = text(ROWS * 40)
    assert len(body) > 64 * 1024
    assert post(iris, body).data.decode().splitlines() == IRIS.labels(slice(None)) * 40


OUTPUTS = [
    (lambda prediction, accept: "é", "é".encode(), "text/csv"),
    (lambda prediction, accept: (b"x", "image/png"), b"x", "image/png"),
    (lambda prediction, accept: bytearray(b"x"), b"x", "text/csv"),
]


@pytest.mark.parametrize(("output_fn", "body", "media_type"), OUTPUTS)
def test_a_users_output_fn(model_dir, output_fn, body, media_type):
    answer = post(client(model_dir, output_fn=output_fn), text(TWO))
    assert (answer.data, answer.content_type) == (body, media_type)


def test_a_users_input_fn_takes_any_media_type(model_dir):
    given = client(model_dir, input_fn=lambda body, kind: np.array([[float(kind[-1]), *map(float, body.split())]]))
    assert post(given, b"3.5 1.4 0.2", "x/5", Accept="text/csv").data == b"setosa\n"


def test_an_output_fn_that_returns_nothing_to_send_is_our_fault(model_dir):
    error(post(client(model_dir, output_fn=lambda prediction, accept: {"a": 1}), text(TWO)), 500)


def test_the_schema_in_use_is_the_models(model_dir):
    assert Schema.load(model_dir / "model").names == ("column_1", "column_2", "column_3", "column_4")


# --- the form and the routes of H2O's hosted scorers

TABLE = {"fields": ["column_1", "column_2", "column_3", "column_4"], "rows": TWO}
SCORES = [["setosa", "1.0", "0.0", "0.0"], ["virginica", "0.0", "0.0", "1.0"]]
TARGETS = ["predict", "setosa", "versicolor", "virginica"]


@pytest.mark.parametrize("content_type", ["application/json", "application/octet-stream"])
def test_a_table_is_answered_by_one(iris, content_type):
    model_id = iris.get("/model/id").data.decode()
    answer = post(iris, json.dumps(TABLE), content_type)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    assert json.loads(answer.data) == {"id": model_id, "fields": TARGETS, "score": SCORES}
    assert list(json.loads(answer.data)) == ["id", "fields", "score"]
    assert post(iris, json.dumps(TABLE), content_type, Accept="*/*").data == answer.data


def test_accept_wins_over_the_form(iris):
    assert post(iris, json.dumps(TABLE), "application/json", Accept="text/csv").data == b"setosa\nvirginica\n"
    assert post(iris, json.dumps(TABLE), "application/json", Accept="application/jsonlines").data == LINES


def test_a_bad_table_is_told_in_the_scorers_words(iris):
    told = error(post(iris, json.dumps({**TABLE, "rows": [TWO[0], ["1"]]}), "application/json"), 400)
    assert (told["code"], told["row"]) == ("bad_request", 2)
    assert told["message"] == "Not enough elements in row 1 (zero-indexed)"
    assert error(post(iris, b"", "application/octet-stream"), 400)["message"] == "Request cannot be empty"


def test_a_large_table_is_answered_whole(iris, monkeypatch):
    """More than 256 KB are predicted in pieces, each with its own copies."""
    from byoc.serving import exchange

    monkeypatch.setattr(exchange, "PIECE_ROWS", 1000)
    rows = [[*row, f"{number}-é"] for number, row in enumerate(ROWS * 100)]
    fields = [*TABLE["fields"], "key"]
    body = json.dumps({"fields": fields, "rows": rows, "includeFieldsInOutput": ["key", "id"], "idField": "id"})
    assert len(body) > exchange.PIECE
    told = json.loads(post(iris, body, "application/json").data)
    assert told["fields"] == ["key", "id", *TARGETS]
    assert [row[0] for row in told["score"]] == [row[-1] for row in rows]
    assert [row[2] for row in told["score"]] == IRIS.labels(slice(None)) * 100
    assert len({row[1] for row in told["score"]}) == len(rows)


class OfH2O:
    """A model that says that it is one of H2O's."""

    id = "6f1c"
    outputs = ("label", "p.setosa", "p.versicolor", "p.virginica")
    answers = "fields"

    def __init__(self, inner):
        self.predict = inner.predict


def test_an_object_is_answered_by_a_table_where_the_model_is_of_h2o(iris, model_dir):
    point = json.dumps(dict(zip(TABLE["fields"], TWO[0], strict=True)))
    usual = json.loads(post(iris, point, "application/octet-stream").data)
    assert usual == {"predictions": [{"predicted_label": "setosa", "score": 1.0}]}
    own = client(model_dir, model_fn=lambda _: OfH2O(model.load(model_dir / "model")))
    for content_type in ("application/octet-stream", "application/json"):
        told = json.loads(post(own, point, content_type).data)
        assert told == {"id": "6f1c", "fields": list(OfH2O.outputs), "score": SCORES[:1]}
    assert post(own, point, "application/json", Accept="text/csv").data == b"setosa\n"
    assert json.loads(post(own, json.dumps([NUMBERS[0]]), "application/json").data) == usual
    assert own.get("/model/id").data == b"6f1c"


def test_the_model_is_told_by_its_routes(iris, model_dir):
    answer = iris.get("/model/id")
    assert (answer.status_code, answer.mimetype, len(answer.data)) == (200, "text/plain", 36)
    assert client(model_dir).get("/model/id").data == answer.data
    told = json.loads(iris.get("/model/schema").data)
    assert told == {
        "id": answer.data.decode(),
        "schema": {
            "inputFields": [{"name": name, "dataType": "Float64"} for name in TABLE["fields"]],
            "outputFields": [
                {"name": name, "dataType": kind} for name, kind in zip(TARGETS, ["Str", *["Float64"] * 3], strict=True)
            ],
        },
    }
    assert json.loads(iris.get("/model/capabilities").data) == ["SCORE"]


def test_the_sample_request_is_answered(iris):
    sample = iris.get("/model/sample_request")
    assert json.loads(sample.data)["fields"] == TABLE["fields"]
    told = json.loads(post(iris, sample.data, "application/json").data)
    assert told["fields"] == TARGETS
    assert len(told["score"]) == 1


def test_another_schema_has_another_id(model_dir, iris):
    from dataclasses import replace

    from byoc.serving.description import Description

    schema = Schema.load(model_dir / "model")
    other = replace(schema, columns=schema.columns[:3])
    ids = {Description(object(), each).id for each in (schema, other, replace(schema, created={"git": "1"}))}
    assert len(ids) == 3
    assert iris.get("/model/id").data.decode() in ids


def test_attributes_that_mean_something_else_are_left_alone():
    """Those of a Keras model, for instance."""
    from byoc.serving.description import Description

    class Other:
        outputs = (1, 2)
        id = print

    described = Description(Other(), None)
    assert described.outputs == ()
    assert len(described.id) == 36


@pytest.mark.parametrize("path", ["id", "schema", "sample_request"])
def test_a_model_without_a_schema_tells_nothing(model_dir, tmp_path, path):
    given = client(tmp_path, model_fn=lambda _: None)
    told = error(given.get(f"/model/{path}"), 404)
    assert told["message"] == "this model has no schema.json that tells what its rows look like"
    own = client(model_dir, input_fn=lambda body, content_type: body)
    error(own.get(f"/model/{path}"), 404)


def test_what_a_handler_encodes_itself_is_not_told(model_dir):
    own = client(model_dir, output_fn=lambda prediction, accept: "x")
    assert list(json.loads(own.get("/model/schema").data)["schema"]) == ["inputFields"]


@pytest.mark.parametrize("path", ["/model/score?file=/etc/passwd", "/model/contribution"])
def test_what_is_not_computed_is_said(iris, path):
    assert error(iris.get(path), 501)["code"] == "not_implemented"
    assert error(iris.post(path), 501)["code"] == "not_implemented"
