"""Why a build failed, found in what builders really print."""

import pytest

from byoc_cli.docker.failure import complaint, reason

RECORD = (
    '{"time": "2026-01-01T00:00:00.000Z", "level": "ERROR", "message": "stopped: handler.py cannot be imported: x"}'
)
# The client of 20.10, and buildx.
OLD_END = """\
#7 ERROR: executor failed running [/bin/sh -c serve --check]: exit code: 1
------
 > [3/3] RUN serve --check:
------
executor failed running [/bin/sh -c serve --check]: exit code: 1"""
NEW_END = """\
#7 ERROR: process "/bin/sh -c serve --check" did not complete successfully: exit code: 1
------
 > [3/3] RUN serve --check:
0.405 said
------
Dockerfile:4
--------------------
   2 |     COPY . /opt/program/code
   4 | >>> RUN serve --check
--------------------
ERROR: failed to solve: process "/bin/sh -c serve --check" did not complete successfully: exit code: 1"""


@pytest.mark.parametrize("end", [OLD_END, NEW_END], ids=["20.10", "buildx"])
@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        (["#7 0.4 hello", f"#7 0.41 {RECORD}"], "handler.py cannot be imported: x"),
        ([f"#7 0.41 {RECORD}", "#8 0.5 another step goes on"], "handler.py cannot be imported: x"),
        (["#5 1.2 + set +x", "#5 1.3 byoc: the base image has no apt-get"], "the base image has no apt-get"),
        (
            ["#5 1.2 ERROR: Could not find nosuch==9", "#5 1.2 ERROR: No matching distribution found"],
            "pip: Could not find nosuch==9",
        ),
        (["#5 1.2 ERROR: pip's resolver grumbles", "#5 1.3 byoc: change the pins"], "change the pins"),
        (["#5 1.2 sh: 1: nosuch: not found"], "sh: 1: nosuch: not found"),
        (['#5 1.2 {"level": "INFO", "message": "fine"}', "#5 1.2 Killed"], "Killed"),
    ],
)
def test_the_programs_own_word_comes_first(printed, cause, end):
    assert reason([*printed, *end.splitlines()]) == cause


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (
            ["#3 ERROR: docker.io/library/nosuch: not found", "------", "ERROR: failed to solve: nosuch: not found"],
            "failed to solve: nosuch: not found",
        ),
        (["#1 DONE 0.0s", "#4 0.1 hello", "failed to solve: no such file"], "failed to solve: no such file"),
        ([], "docker said nothing"),
    ],
)
def test_a_fault_of_the_builders_is_its_last_line(lines, cause):
    assert reason(lines) == cause


@pytest.mark.parametrize("line", ["", "{", "[1]", '{"level": "INFO", "message": "x"}', "null"])
def test_what_is_no_complaint(line):
    assert complaint(line) == ""
