"""The failure file: cause first, 1,024 characters, no secrets."""

import pytest

from byoc.errors import DataError
from byoc.training import failure

SECRET = "hunter2-and-more"


def caught(error, depth=1):
    def down(level):
        if level:
            down(level - 1)
        raise error

    try:
        down(depth)
    except type(error) as raised:
        return raised


def test_a_users_mistake_needs_no_traceback():
    """CONTRACT check 29."""
    text = failure.describe(caught(DataError("channel 'training' is empty")), {})
    assert text == "DataError: channel 'training' is empty"


@pytest.mark.parametrize("length", [1, 500, 511, 512, 513, 5000])
@pytest.mark.parametrize("depth", [1, 60])
def test_the_cause_comes_first_and_all_fits(length, depth):
    """CONTRACT check 29: type and message lead, the innermost frames end the text."""
    text = failure.describe(caught(ValueError("x" * length), depth), {})
    assert text.startswith("ValueError: x")
    assert len(text) <= failure.LIMIT
    assert "Traceback" in text
    assert text.rstrip().endswith("raise error")


def test_a_users_mistake_is_cut_too():
    assert len(failure.describe(DataError("x" * 5000), {})) == failure.LIMIT


@pytest.mark.parametrize("error", [DataError, ValueError])
@pytest.mark.parametrize("before", [0, 100, 485, 495, 500, 505, 1010, 1020])
def test_secrets_are_masked_wherever_the_text_is_cut(error, before):
    """CONTRACT check 33."""
    text = failure.describe(caught(error("x" * before + SECRET)), {"AWS_SECRET_ACCESS_KEY": SECRET, "SHORT_KEY": "x"})
    assert SECRET[:6] not in text
    assert "x" * before in text or before > 400


def test_only_variables_that_sound_secret_are_masked():
    environ = {"DB_PASSWORD": SECRET, "REGION": "eu-west-1"}
    text = failure.describe(DataError(f"{SECRET} in eu-west-1"), environ)
    assert text == "DataError: <DB_PASSWORD> in eu-west-1"


NAMES = [
    ("api_key", True),
    ("HF_TOKEN", True),
    ("license", True),
    ("LicenceCode", True),
    ("Password", True),
    ("AWS_SECRET_ACCESS_KEY", True),
    ("max_depth", False),
    ("target", False),
]


@pytest.mark.parametrize(("name", "secret"), NAMES)
def test_names_that_tell_of_secrets(name, secret):
    assert failure.is_secret(name) is secret


def test_a_childs_cause_is_not_overwritten(tmp_path):
    """CONTRACT check 31."""
    file = tmp_path / "output" / "failure"
    failure.write(file, "first é \udc80")
    failure.write(file, "second")
    assert file.read_text(encoding="utf-8") == "first é ?"


def test_an_empty_file_tells_no_cause(tmp_path):
    (tmp_path / "failure").touch()
    failure.write(tmp_path / "failure", "cause")
    assert (tmp_path / "failure").read_text() == "cause"
