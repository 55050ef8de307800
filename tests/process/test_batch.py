"""Batch transform over HTTP: what it asks first, the lines it sends and gets back; with the numbers of CONTRACT's checks."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from tests.program import Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.conftest import Trained

CSV, LINES = "text/csv", "application/jsonlines"


@pytest.fixture(scope="module")
def digits(trained_on: Callable[[str], Trained]) -> Iterator[Server]:
    """A transform job's server, its caller having set how many requests come at a time."""
    variables = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": "8"}
    with serving(trained_on("digits").base, MODEL_SERVER_WORKERS="2", **variables) as server:
        yield server


@pytest.fixture(scope="module")
def lines(trained_on: Callable[[str], Trained]) -> list[str]:
    """The data set's records as lines of CSV, without their ends."""
    return [",".join(row) for row in trained_on("digits").dataset.features(slice(None))]


@pytest.fixture(scope="module")
def expected(digits: Server, lines: list[str]) -> list[str]:
    """What each record gets, asked for in one request."""
    answers = digits.post("\n".join(lines)).text.splitlines()
    assert len(answers) == len(lines)
    assert len(set(answers)) == 10
    return answers


def test_execution_parameters(digits: Server) -> None:
    """Checks 75, 76: what the job set comes back, the rest fits it."""
    answer = requests.get(f"{digits.url}/execution-parameters", timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.json() == {"MaxConcurrentTransforms": 8, "BatchStrategy": "MULTI_RECORD", "MaxPayloadInMB": 12}
    refused = requests.post(f"{digits.url}/execution-parameters", timeout=10)
    assert (refused.status_code, refused.json()["error"]["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "open"])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_a_line_for_each_line(digits: Server, lines: list[str], expected: list[str], end: str, last: bool, count: int):
    """Checks 77, 78: whatever ends the lines, as many come back, in their order; each ends with a line feed."""
    body = end.join(lines[:count]) + end * last
    assert digits.post(body).text == "".join(f"{label}\n" for label in expected[:count])
    records = end.join(json.dumps([float(cell) for cell in line.split(",")]) for line in lines[:count]) + end * last
    answer = digits.post(records, LINES).text
    assert answer.count("\n") == count
    assert [str(json.loads(line)["predicted_label"]) for line in answer.splitlines()] == expected[:count]


def test_answers_put_together_have_as_many_lines_as_the_file(
    digits: Server, lines: list[str], expected: list[str]
) -> None:
    """Checks 79, 84: mini-batches of a file, each sent twice, their answers joined as AssembleWith=None does."""
    batches = ["\n".join(lines[start : start + 250]) for start in range(0, len(lines), 250)]
    answers = [digits.post(batch).content for batch in batches]
    assert b"".join(answers) == "".join(f"{label}\n" for label in expected).encode()
    assert [digits.post(batch).content for batch in batches] == answers


def test_as_many_at_a_time_as_were_announced(digits: Server, lines: list[str], expected: list[str]) -> None:
    """Check 83: 8 in parallel, in chunks without a length as well; each gets its own answers."""

    def ask(number: int) -> list[str]:
        body = "\n".join(lines[number * 11 : number * 11 + 11])
        data = iter([body[:100].encode(), body[100:].encode()]) if number % 2 else body.encode()
        answer = requests.post(f"{digits.url}/invocations", data=data, headers={"Content-Type": CSV}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.text.splitlines()

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(ask, range(len(lines) // 11)))
    assert [label for answer in answers for label in answer] == expected[: len(lines) // 11 * 11]


def test_a_bad_record_fails_its_mini_batch(digits: Server, lines: list[str]) -> None:
    """Check 80: the whole mini-batch is refused with the record's number, so that no wrong line is written."""
    answer = digits.post("\n".join([*lines[:3], lines[3].replace(",", ";"), lines[4]]))
    assert (answer.status_code, answer.json()["error"]["row"]) == (400, 4)
