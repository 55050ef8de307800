"""H2O's form of request over HTTP, on the sample algorithm: answers, large bodies, many at a time, routes."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from byoc.flavors import sklearn as flavor
from tests.program import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Trained

JSON, BYTES = "application/json", "application/octet-stream"
NAMES = [f"column_{number}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def iris(trained_on: Callable[[str], Trained]) -> Iterator[Server]:
    with serving(trained_on("iris").base, MODEL_SERVER_WORKERS="2") as server:
        yield server


@pytest.fixture(scope="module")
def penguins(trained_on: Callable[[str], Trained]) -> Iterator[Server]:
    with serving(trained_on("penguins").base, MODEL_SERVER_WORKERS="1") as server:
        yield server


def get(server: Server, path: str) -> requests.Response:
    return requests.get(f"{server.url}/model/{path}", timeout=30)


def ask(server: Server, content_type: str = JSON, **request: Any) -> Any:
    answer = server.post(json.dumps(request), content_type)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, JSON), answer.text
    return answer.json()


@pytest.mark.parametrize("content_type", [JSON, BYTES])
def test_scores_are_the_models_own(iris: Server, trained_on: Callable[[str], Trained], content_type: str) -> None:
    """Row by row, in the order of the request, to the last digit."""
    job = trained_on("iris")
    rows = job.dataset.features(slice(None))
    told = ask(iris, content_type, fields=NAMES[::-1], rows=[row[::-1] for row in rows])
    estimator = flavor.load(job.base / "model")
    numbers = [[float(cell) for cell in row] for row in rows]
    assert told["id"] == get(iris, "id").text
    assert told["fields"] == ["predict", *estimator.classes_]
    assert [row[0] for row in told["score"]] == estimator.predict(numbers).tolist()
    shares = [[float(cell) for cell in row[1:]] for row in told["score"]]
    assert shares == [pytest.approx(row, abs=1e-12) for row in estimator.predict_proba(numbers).tolist()]


def test_a_large_request_is_answered_in_one_table(iris: Server, trained_on: Callable[[str], Trained]) -> None:
    """Larger than what is predicted at a time: its rows keep their order, their copies and their own ids."""
    rows = [
        [*row, f"key {number}"] for number, row in enumerate(trained_on("iris").dataset.features(slice(None)) * 120)
    ]
    told = ask(iris, fields=[*NAMES, "key"], rows=rows, idField="id", includeFieldsInOutput=["id", "key"])
    assert told["fields"][:2] == ["key", "id"]
    assert [row[0] for row in told["score"]] == [row[-1] for row in rows]
    assert len({row[1] for row in told["score"]}) == len(rows)
    small = ask(iris, fields=NAMES, rows=[row[:4] for row in rows[:150]])
    assert [row[2:] for row in told["score"]] == small["score"] * 120


def test_many_at_a_time_keep_their_own(iris: Server, trained_on: Callable[[str], Trained]) -> None:
    """Requests in this form and in others share calls of the model, and nothing else."""
    rows = trained_on("iris").dataset.features(slice(None))
    labels = iris.post("".join(",".join(row) + "\n" for row in rows)).text.splitlines()

    def one(number: int) -> None:
        row = rows[number]
        if number % 2:
            told = ask(iris, fields=["n", *NAMES], rows=[[str(number), *row]], includeFieldsInOutput=["n"])
            assert told["score"][0][:2] == [str(number), labels[number]]
        else:
            told = ask(iris, instances=[[float(cell) for cell in row]])
            assert told["predictions"][0]["predicted_label"] == labels[number]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(150)))


def test_the_routes_tell_the_model(penguins: Server) -> None:
    """Numbers, text and missing values: the sample request is one that is answered."""
    sample = get(penguins, "sample_request").json()
    told = get(penguins, "schema").json()
    assert [field["name"] for field in told["schema"]["inputFields"]] == sample["fields"]
    kinds = {field["name"]: field["dataType"] for field in told["schema"]["inputFields"]}
    assert kinds["island"] == "Str"
    assert kinds["bill_length_mm"] == "Float64"
    (row,) = sample["rows"]
    example = dict(zip(sample["fields"], row, strict=True))
    assert example["island"] in {"Biscoe", "Dream", "Torgersen"}
    assert 32.1 < float(example["bill_length_mm"]) < 59.6  # the range of the data set
    answer = ask(penguins, **sample)
    assert answer["fields"] == [field["name"] for field in told["schema"]["outputFields"]]
    assert answer["id"] == told["id"] == get(penguins, "id").text
    assert get(penguins, "capabilities").json() == ["SCORE"]
    for path in ("score?file=x.csv", "contribution"):
        refused = get(penguins, path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (501, "not_implemented")


def test_regression(trained_on: Callable[[str], Trained]) -> None:
    job = trained_on("diabetes")
    rows = job.dataset.features(slice(5))
    with serving(job.base, MODEL_SERVER_WORKERS="1") as server:
        told = ask(server, fields=[name for name in job.dataset.header or [] if name != "progression"], rows=rows)
        wanted = server.post("".join(",".join(row) + "\n" for row in rows)).text.splitlines()
    assert (told["fields"], told["score"]) == (["predict"], [[number] for number in wanted])


def test_a_bad_request_is_told_in_the_scorers_words(iris: Server) -> None:
    for body, row, message in (
        ("", None, "Request cannot be empty"),
        ('{"fields": [], "rows": []}', None, "List of input fields cannot be empty"),
        ('{"fields": ["a"], "rows": []}', None, "List of input data rows cannot be empty"),
        (json.dumps({"fields": NAMES, "rows": [["1"] * 4, ["1"]]}), 2, "Not enough elements in row 1 (zero-indexed)"),
    ):
        answer = iris.post(body, BYTES)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error.get("row")) == (400, "bad_request", row)
        assert error["message"] == message
