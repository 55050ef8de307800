"""The contract over HTTP: what a client sends, and what comes back; with the numbers of CONTRACT's checks."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from scipy import sparse

from byoc.flavors import sklearn as flavor
from tests import datasets, program
from tests.program import Server, serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from tests.process.conftest import Trained

ROW = [5.9, 3.0, 5.1, 1.8]
CSV, JSON, LINES = "text/csv", "application/json", "application/jsonlines"
NAMES = [f"column_{number}" for number in range(1, 5)]
SPARSE = {"keys": [3, 2, 1, 0], "shape": [4], "values": ROW[::-1]}
# ROW as a RecordIO frame of a protobuf record with a tensor of float64.
RECORD = bytes.fromhex("0a23d7ce300000000a2e0a0676616c75657312241a220a20") + np.array(ROW).tobytes()


def written(write: Callable[..., object], *arguments: Any) -> bytes:
    """Return what numpy or scipy writes to a file."""
    out = io.BytesIO()
    write(out, *arguments)
    return out.getvalue()


@pytest.fixture(scope="module")
def iris(trained_on: Callable[[str], Trained]) -> Iterator[Server]:
    with serving(trained_on("iris").base, MODEL_SERVER_WORKERS="1") as server:
        yield server


@pytest.fixture(scope="module")
def penguins(trained_on: Callable[[str], Trained]) -> Iterator[Server]:
    variables = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": "3",
        "SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probability,probabilities,labels",
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": LINES,
    }
    with serving(trained_on("penguins").base, **variables) as server:
        yield server


def encode(base: Path, rows: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """Encode rows as schema.json says, without the program's help."""
    columns = json.loads((base / "model" / "schema.json").read_text())["columns"]

    def number(column: dict[str, Any], cell: str) -> float:
        if cell in ("", "NA"):
            return np.nan
        return column["categories"].index(cell) if column["kind"] == "text" else float(cell)

    return np.array([[number(*pair) for pair in zip(columns, row, strict=True)] for row in rows])


def as_csv(rows: Sequence[Sequence[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("name", ["iris", "digits", "penguins", "diabetes"])
def test_answers_as_the_model_loaded_directly(name: str, trained_on: Callable[[str], Trained]) -> None:
    """Checks 47, 50, 51, 99: the whole data set in one request, on a port of its own, the model folder untouched."""
    job = trained_on(name)
    rows = job.dataset.features(slice(None))
    before = {path: path.read_bytes() for path in (job.base / "model").rglob("*")}
    with serving(job.base, MODEL_SERVER_WORKERS="1") as server:
        answer = server.post(as_csv(rows))
        in_json = server.post(json.dumps({"instances": rows}), JSON)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, CSV)
    estimator = flavor.load(job.base / "model")
    expected = estimator.predict(encode(job.base, rows)).tolist()
    assert answer.text.splitlines() == [str(value) for value in expected]
    assert [each["predicted_label"] for each in in_json.json()["predictions"]] == expected
    assert {path: path.read_bytes() for path in (job.base / "model").rglob("*")} == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_ping(iris: Server, method: str) -> None:
    """Check 45."""
    answer = requests.request(method, f"{iris.url}/ping", timeout=2)
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (CSV, "5.9,3.0,5.1,1.8\n5.9,3.0,5.1,1.8\n"),
        (CSV, "5.9,3.0,5.1,1.8\r\n\r\n5.9,3.0,5.1,1.8"),
        ("Text/CSV; charset=UTF-8; header=absent", "5.9, 3.0, 5.1, 1.8\n5.9,3,5.1,1.8"),
        (CSV, "column_4,column_3,column_2,column_1\n1.8,5.1,3.0,5.9\n1.8,5.1,3.0,5.9\n"),
        ("", "5.9,3.0,5.1,1.8\n5.9,3.0,5.1,1.8\n"),
        (JSON, json.dumps({"instances": [ROW, ROW]})),
        (JSON, json.dumps([ROW, ROW])),
        (JSON, json.dumps([{"features": ROW}, {"features": ROW}])),
        (JSON, json.dumps({"instances": [{"data": {"features": {"values": ROW}}}] * 2})),
        (JSON, json.dumps([{f"column_{4 - n}": value for n, value in enumerate(reversed(ROW))}] * 2)),
        (JSON, json.dumps({"instances": [{"data": {"features": SPARSE}}, {"features": SPARSE}]})),
        ("application/octet-stream", json.dumps([dict(zip(NAMES, ROW, strict=True))] * 2)),
        ("text/libsvm", "0:5.9 1:3.0 2:5.1 3:1.8\n1 3:1.8 0:5.9 1:3 2:5.1\n"),
        ("text/x-libsvm; base=1", "1:5.9 2:3.0 3:5.1 4:1.8\n" * 2),
        ("application/x-npy", written(np.save, np.array([ROW, ROW]))),
        ("application/x-npz", written(np.savez, np.array([ROW, ROW]))),
        ("application/x-npz", written(sparse.save_npz, sparse.csr_matrix([ROW, ROW]))),
        ("application/x-recordio-protobuf", RECORD * 2),
        (LINES, f"{json.dumps(ROW)}\n{json.dumps(ROW)}\n\n"),
        (LINES, f"{json.dumps({'features': ROW})}\n{json.dumps({'features': [str(v) for v in ROW]})}"),
    ],
)
def test_the_same_rows_in_every_spelling(
    iris: Server, trained_on: Callable[[str], Trained], content_type: str, body: str | bytes
) -> None:
    """Checks 51-53, 55, 66: in every media type, by position, by header row and by key, one answer, equal to the last digit."""
    answer = iris.post(body, content_type, Accept=JSON)
    estimator = flavor.load(trained_on("iris").base / "model")
    expected = {
        "predicted_label": estimator.predict([ROW])[0],
        "score": pytest.approx(estimator.predict_proba([ROW]).max(), abs=1e-12),
    }
    assert answer.json() == {"predictions": [expected, expected]}


def test_what_a_model_computes_while_it_is_loaded_stops_no_worker(base: Path) -> None:
    """A brief call with OpenMP's threads, on the loop of a worker whose model was tried out before the fork."""
    dataset = datasets.iris()
    dataset.write(base / "input/data/training/iris.csv")
    program.write_job(base, {"max_iter": "1"})
    assert program.train(base).returncode == 0
    body = as_csv((dataset.features(slice(None)) * 7)[:1010])
    variables = {"MODEL_SERVER_WORKERS": "1", "OMP_NUM_THREADS": "2", "SERVE_ENGINE": "sklearn"}
    with serving(base, MODEL_SERVER_TIMEOUT="10", **variables) as server:
        assert {server.post(body).status_code for _ in range(12)} == {200}


def test_a_file_of_a_bad_array_takes_no_memory(iris: Server) -> None:
    """Fault test 25: 80 bytes that claim to be a terabyte, and a pickle, are the caller's fault; the next one works."""
    whole = written(np.save, np.array([ROW]))
    forged = whole.replace(b"(1, 4), }" + b" " * 12, b"(1000000000000, 4), }")
    assert len(forged) == len(whole)
    assert forged != whole
    for body in (forged, written(np.save, np.array([[{}]], dtype=object))):
        answer = iris.post(body, "application/x-npy")
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert iris.post(whole, "application/x-npy").headers["Content-Type"] == CSV


@pytest.mark.parametrize(
    ("accept", "content_type", "status", "answered"),
    [
        (None, CSV, 200, CSV),
        (None, JSON, 200, JSON),
        ("*/*", LINES, 200, LINES),
        (JSON, CSV, 200, JSON),
        ("application/json;q=0.5, text/csv", JSON, 200, CSV),
        ("text/csv;q=0.1, application/jsonlines;q=0.9", CSV, 200, LINES),
        ("application/x-ndjson", CSV, 200, LINES),
        ("text/*", JSON, 200, CSV),
        ("application/x-recordio-protobuf", CSV, 200, "application/x-recordio-protobuf"),
        ("application/x-npy", CSV, 406, JSON),
        ("image/png", CSV, 406, JSON),
        ("text/csv;q=0", CSV, 406, JSON),
    ],
)
def test_accept(iris: Server, accept: str | None, content_type: str, status: int, answered: str) -> None:
    """Checks 54, 67: media types with q-values; an answer that cannot be given is a 406."""
    body = {CSV: "5.9,3.0,5.1,1.8\n", JSON: json.dumps([ROW]), LINES: json.dumps(ROW)}[content_type]
    # None keeps requests from sending its own */*.
    headers = {"Content-Type": content_type, "Accept": accept}
    answer = requests.post(f"{iris.url}/invocations", data=body, headers=headers, timeout=20)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, answered)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "row", "column"),
    [
        ("application/x-image", "x", 415, None, None),
        ("text/csv; charset=latin-1", "5.9,3.0,5.1,1.8", 415, None, None),
        (CSV, "", 400, None, None),
        (CSV, "5.9,3.0,5.1,1.8\n5.9,3.0,5.1\n", 400, 2, None),
        (CSV, "5.9,3.0,5.1,1.8\n5.9,3.0,4711canary,1.8\n", 400, 2, "column_3"),
        (CSV, "5.9,nan,5.1,1.8", 400, 1, "column_2"),
        (CSV, "5.9,inf,5.1,1.8", 400, 1, "column_2"),
        (CSV, "column_1,column_2,column_3,colour\n5.9,3.0,5.1,1.8", 400, None, "colour"),
        (CSV, b"5.9,3.0,5.1,1.8\n\xff\xfe", 400, 2, None),
        (JSON, "", 400, None, None),
        (JSON, '{"instances": [[5.9, 3.0', 400, None, None),
        (JSON, '{"instances": []}', 400, None, None),
        (JSON, '{"instances": [[5.9, 3.0, NaN, 1.8]]}', 400, None, None),
        (JSON, json.dumps([ROW, [5.9, None, 5.1, 1.8]]), 400, 2, "column_2"),
        (JSON, json.dumps([{"features": {"column_1": 1}}]), 400, None, "column_2"),
        (LINES, f"{json.dumps(ROW)}\n{{]\n", 400, 2, None),
        (LINES, f"{json.dumps(ROW)}\n\n{json.dumps(ROW[:3])}\n", 400, 2, None),
    ],
)
def test_bad_requests_name_row_and_column(
    iris: Server, content_type: str, body: str | bytes, status: int, row: int | None, column: str | None
) -> None:
    """Checks 66, 68, 69, 71: the caller's fault is a 4xx in JSON, without the data; the log has it by request id."""
    answer = iris.post(body, content_type)
    error = answer.json()["error"]
    assert (answer.status_code, error.get("row"), error.get("column")) == (status, row, column)
    assert len(answer.content) <= 2048
    assert "4711canary" not in answer.text
    assert error["request_id"] == answer.headers["X-Request-Id"]
    (line,) = wait_until(
        lambda: [line for line in iris.records() if line.get("request_id") == error["request_id"]], what="its line"
    )
    assert (line["status"], line["reason"]) == (status, error["message"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/invocations", 405),
        ("PUT", "/invocations", 405),
        ("DELETE", "/ping", 405),
        ("GET", "/", 404),
        ("POST", "/nowhere?x=1", 404),
        ("GET", "/models", 404),
        ("POST", "/models/a/invoke", 404),
        ("GET", "/../etc/passwd", 404),
    ],
)
def test_wrong_addresses(iris: Server, method: str, path: str, status: int) -> None:
    """Check 72: JSON, not HTML."""
    answer = requests.request(method, f"{iris.url}{path}", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, JSON)
    assert answer.json()["error"]["message"]


def test_outputs_and_default_accept_are_set_by_the_environment(
    penguins: Server, trained_on: Callable[[str], Trained]
) -> None:
    """Checks 54, 58 and SAGEMAKER_INFERENCE_OUTPUT: all four outputs, in every media type, in the order asked for."""
    job = trained_on("penguins")
    rows = job.dataset.features(slice(0, 5))
    assert rows[3][2] == "NA", "the fourth penguin was never measured"
    estimator = flavor.load(job.base / "model")
    probabilities = estimator.predict_proba(encode(job.base, rows)).tolist()
    classes = estimator.classes_.tolist()
    # ONNX, which serves it, agrees with scikit-learn to the last bits.
    expected = [
        {
            "predicted_label": classes[np.argmax(each)],
            "probability": pytest.approx(max(each), abs=1e-12),
            "probabilities": pytest.approx(each, abs=1e-12),
            "labels": classes,
        }
        for each in probabilities
    ]
    in_lines = penguins.post(as_csv(rows), Accept="*/*")
    assert in_lines.headers["Content-Type"] == LINES
    assert [json.loads(line) for line in in_lines.text.splitlines()] == expected
    assert penguins.post(as_csv(rows), Accept=JSON).json() == {"predictions": expected}
    cells = list(csv.reader(penguins.post(as_csv(rows), Accept=CSV).text.splitlines()))
    assert [row[0] for row in cells] == [each["predicted_label"] for each in expected]
    assert [json.loads(row[2]) for row in cells] == [each["probabilities"] for each in expected]
    wait_until(lambda: len(penguins.children()["worker"]) == 3, what="all three workers")


def test_columns_by_name_in_any_order(penguins: Server, trained_on: Callable[[str], Trained]) -> None:
    """Issue 2, item 4: a header row or keys name the features; missing cells may be empty, NA or null."""
    dataset = trained_on("penguins").dataset
    assert dataset.header is not None
    names = [name for name in dataset.header if name != dataset.target]
    rows = dataset.features(slice(0, 20))
    expected = penguins.post(as_csv(rows)).text
    turned = [names[::-1], *(row[::-1] for row in rows)]
    assert penguins.post(as_csv(turned)).text == expected
    # Whole rows of the training file, label and all, are understood too.
    assert penguins.post(as_csv([dataset.header, *dataset.rows[:20]])).text == expected
    objects = [{name: None if cell == "NA" else cell for name, cell in zip(names, row, strict=True)} for row in rows]
    assert penguins.post(json.dumps(objects), JSON).text == expected
    assert penguins.post("\n".join(map(json.dumps, objects)), LINES).text == expected


def test_every_row_gets_its_own_answer(trained_on: Callable[[str], Trained]) -> None:
    """Checks 64, 83, 84: 64 clients at once, each request another row, of which the server makes common calls."""
    job = trained_on("diabetes")
    rows = job.dataset.features(slice(None))
    estimator = flavor.load(job.base / "model")
    expected = estimator.predict(encode(job.base, rows)).tolist()
    with serving(job.base, MODEL_SERVER_WORKERS="2") as server:

        def ask(client: int) -> list[tuple[int, str]]:
            with requests.Session() as session:
                numbers = [(client * 97 + turn * 31) % len(rows) for turn in range(20)]
                url = f"{server.url}/invocations"
                return [(n, session.post(url, data=as_csv(rows[n : n + 1]), timeout=50).text) for n in numbers]

        with ThreadPoolExecutor(64) as clients:
            answers = [answer for each in clients.map(ask, range(64)) for answer in each]
    wrong = [(n, text) for n, text in answers if text != f"{expected[n]}\n"]
    assert wrong == []
    assert len(set(answers)) > 300
