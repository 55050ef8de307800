"""What a program says on stderr is passed on, and its end tells why it failed."""

import subprocess
import sys

import pytest

from byoc.training.listener import TAIL, Listener, explain

ENDS = {
    (1, "a\nValueError: b\n"): "it ended with exit code 1: ValueError: b\n\na",
    (3, "only line"): "it ended with exit code 3: only line",
    (2, " \n"): "it ended with exit code 2, and said nothing on stderr",
    (-9, "a"): "it was killed by SIGKILL, perhaps for want of memory: a",
    (-11, ""): "it was killed by SIGSEGV, and said nothing on stderr",
}


@pytest.mark.parametrize(("end", "told"), ENDS.items())
def test_the_cause_comes_first(end, told):
    assert explain("it", *end) == told


def test_a_line_that_cannot_be_the_cause_is_not_told_as_that():
    said = "Traceback:\nValueError: the cause\nTraceback:\ngloo: closed"
    assert explain("it", 1, said, lambda line: "ValueError" in line).startswith(
        "it ended with exit code 1: ValueError: the cause\n\nTraceback:"
    )
    assert explain("it", 1, said, lambda _: False).startswith("it ended with exit code 1: gloo: closed")


def test_all_is_passed_on_and_the_end_is_kept(capfd, monkeypatch):
    monkeypatch.setattr("byoc.training.listener.LEFT_OPEN", 60.0)
    code = "import sys; sys.stderr.write('x' * 5000 + 'the end'); sys.exit(1)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as program:
        listener = Listener(program)
        program.wait()
        assert listener.text() == "x" * (TAIL - 7) + "the end"
    assert capfd.readouterr().err == "x" * 5000 + "the end"
