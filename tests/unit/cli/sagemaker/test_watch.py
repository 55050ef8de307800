"""A wait outlives a network that is gone for a while, and nothing else."""

import click
import pytest

from byoc_cli.sagemaker import watch
from byoc_cli.sagemaker.errors import Refused


def waiting(answers):
    """A watch that is told these, one after the other."""
    left = list(answers)

    def describe():
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return {"Status": answer}

    return watch.Watch(
        what="job j",
        describe=describe,
        is_over=watch.over_when("Status", ["InProgress"]),
        state=lambda answer: answer["Status"],
        to_stop="stop j",
    )


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(watch, "FIRST_SECONDS", 0)
    monkeypatch.setattr(watch, "MOST_SECONDS", 0)


def test_it_goes_on_until_it_is_over(capsys):
    assert waiting(["InProgress", "InProgress", "Completed", "no"]).until_over() == {"Status": "Completed"}
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.partition("] ")[2] for line in captured.err.splitlines()] == ["InProgress", "Completed"]


def test_a_network_that_comes_back():
    assert waiting(["InProgress", click.ClickException("nothing answers"), "Failed"]).until_over() == {
        "Status": "Failed"
    }


def test_a_network_that_does_not(monkeypatch):
    monkeypatch.setattr(watch, "PATIENCE_SECONDS", 0)
    with pytest.raises(click.ClickException, match="nothing answers\njob j may well go on without you"):
        waiting(["InProgress", *[click.ClickException("nothing answers")] * 1000]).until_over()


def test_a_refusal_is_final():
    with pytest.raises(click.ClickException, match="expired\njob j may well go on"):
        waiting([Refused("expired", "ExpiredToken", 403), "Completed"]).until_over()


def test_ctrl_c(capsys):
    with pytest.raises(click.exceptions.Exit) as caught:
        waiting([KeyboardInterrupt()]).until_over()
    assert caught.value.exit_code == 130
    assert capsys.readouterr().err == "\njob j goes on without you; to stop it: stop j\n"
