"""What a client is told: JSON, at most 2,048 bytes, whatever is in it (CONTRACT check 68)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byoc.serving.errors import RequestError, bad_request, overloaded

TEXTS = ["x" * 9000, "\x01" * 9000, '"\\' * 4500, "\U0001f40d" * 9000, "\ud800" * 9000, "\u2028\n\r" * 3000, ""]


@pytest.mark.parametrize("message", TEXTS)
@pytest.mark.parametrize("column", TEXTS)
def test_a_body_has_at_most_2048_bytes(message, column):
    body = RequestError(400, "bad_request", message, row=10**9, column=column).body("\\" * 64)
    assert len(body) <= 2048
    assert body.count(b"\n") == 1
    assert json.loads(body)["error"]["row"] == 10**9


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.text(max_size=3000), st.text(max_size=3000))
def test_any_message(message, column):
    assert len(RequestError(500, "c", message, column=column).body("r" * 64)) <= 2048


def test_fields_are_there_only_where_they_are_known():
    assert json.loads(bad_request("why").body("r1"))["error"] == {
        "code": "bad_request",
        "message": "why",
        "request_id": "r1",
    }
    assert json.loads(bad_request("é", row=2, column=3).body("r1"))["error"] | {} == {
        "code": "bad_request",
        "message": "é",
        "request_id": "r1",
        "row": 2,
        "column": 3,
    }


def test_overload_says_when_to_come_again():
    """CONTRACT check 74."""
    assert (overloaded("full", 5).status, overloaded("full", 5).retry_after) == (503, 5)
