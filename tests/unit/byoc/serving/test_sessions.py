"""Stateful sessions: values that requests share, in files that every worker sees."""

import os
import re

import pytest

from byoc.serving.errors import RequestError
from byoc.serving.sessions import LOCK, VALUES, Sessions, request_type


@pytest.fixture
def sessions(tmp_path):
    return Sessions(tmp_path / "sessions", lifetime=60)


def age(sessions, name, seconds):
    lock = sessions._folder / name / LOCK
    then = lock.stat().st_mtime - seconds
    os.utime(lock, (then, then))


def test_values_are_kept_from_request_to_request(sessions):
    name, told = sessions.open()
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*;\sExpires=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told)
    with sessions.use(name) as values:
        values["words"] = ["a"]
    with sessions.use(name) as values:
        assert values == {"words": ["a"]}


def test_a_request_that_fails_changes_nothing(sessions):
    name, _ = sessions.open()

    def fail(error, value):
        with sessions.use(name) as values:
            values["word"] = value
            if error:
                raise error

    with pytest.raises(ValueError, match="no"):
        fail(ValueError("no"), 1)
    with pytest.raises(TypeError, match="not JSON serializable"):
        fail(None, object())
    with sessions.use(name) as values:
        assert values == {}


def test_one_request_at_a_time(sessions):
    name, _ = sessions.open()
    with sessions.use(name), pytest.raises(RequestError) as refused, sessions.use(name):
        pass
    assert (refused.value.status, refused.value.code) == (409, "session_busy")


@pytest.mark.parametrize("name", ["", "NEW_SESSION", "../sessions", "0" * 32, "0" * 31 + "/", "ä" * 32])
def test_an_unknown_session_is_404_and_nothing_is_looked_for_elsewhere(sessions, name):
    sessions.open()
    for use in (sessions.close, lambda each: sessions.use(each).__enter__()):
        with pytest.raises(RequestError) as refused:
            use(name)
        assert (refused.value.status, refused.value.code) == (404, "session_not_found")


def test_closed_and_expired_sessions_are_gone(sessions):
    closed, expired = (sessions.open()[0] for _ in range(2))
    sessions.close(closed)
    age(sessions, expired, 61)
    for name in (closed, expired):
        with pytest.raises(RequestError):
            sessions.close(name)
    stays, _ = sessions.open()
    assert [path.name for path in sessions._folder.iterdir()] == [stays]
    assert {path.name for path in (sessions._folder / stays).iterdir()} == {LOCK, VALUES}


BODIES = {b'{"requestType": "CLOSE"}': "CLOSE", b'{"requestType":"NEW_SESSION"}': "NEW_SESSION", b'["CLOSE"]': ""}


@pytest.mark.parametrize(
    ("body", "wanted"), [*BODIES.items(), (b"1,2,3", ""), (b'{"requestType": 1' + b" " * 2000, "")]
)
def test_what_a_body_asks_for(body, wanted):
    assert request_type(body) == wanted
