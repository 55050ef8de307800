"""How the doctor collects checks, and what becomes of what they see; checks of our own stand in for the real ones."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from byoc_cli.doctor import run
from byoc_cli.doctor.check import GROUPS

CHECKS = """
from byoc_cli.doctor.check import check, must, not_offered

def one(number, level="M"):
    return check(number, level, "looked", expected="good", advice="mend it")

@one(72)
def check_last(subject):
    return f"saw {subject}"

@one(39)
def check_failing(subject):
    must(False, "seen this")

@one(45)
def check_unclaimed(subject):
    not_offered("no claim")

@one(3)
def check_broken(subject):
    return 1 / 0
"""


@pytest.fixture
def checks(tmp_path, monkeypatch):
    (tmp_path / "invented.py").write_text(CHECKS)
    (tmp_path / "pytest.ini").write_text((run.CHECKS / "pytest.ini").read_text())
    monkeypatch.setattr(run, "CHECKS", tmp_path)
    return tmp_path


def test_each_way_to_end_has_its_status_in_the_order_of_the_numbers(checks):
    told = []
    plugin = run.Plugin([3, 39, 45, 72], "the subject", lambda *words: told.append(words))
    run.run(plugin, None)
    assert [(result.check.number, result.status, result.seen) for result in plugin.results] == [
        (3, "failed", "the doctor could not look: ZeroDivisionError: division by zero"),
        (39, "failed", "seen this"),
        (45, "not offered", "no claim"),
        (72, "passed", "saw the subject"),
    ]
    assert [(place, count, result is None) for place, count, _, result in told[:3]] == [
        (1, 4, True),
        (1, 4, False),
        (2, 4, True),
    ]


def test_only_what_is_chosen_runs(checks):
    plugin = run.Plugin([45])
    run.run(plugin, None)
    assert [result.check.number for result in plugin.results] == [45]


def test_junit_says_what_the_table_says(checks):
    run.run(run.Plugin([39, 45, 72]), checks / "junit.xml")
    suite = ET.parse(checks / "junit.xml").getroot().find("testsuite")
    assert [suite.get(name) for name in ("tests", "failures", "skipped")] == ["3", "1", "1"]
    failure = suite.find("testcase/failure")
    assert failure.text == "seen: seen this; expected: good; to change: mend it"


def test_the_settings_of_the_callers_folder_do_not_matter(checks, monkeypatch):
    (checks.parent / "pytest.ini").write_text("[pytest]\npython_functions = nothing\n")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    monkeypatch.chdir(checks.parent)
    plugin = run.Plugin([72])
    run.run(plugin, None)
    assert [result.status for result in plugin.results] == ["passed"]


def test_the_real_checks_have_numbers_of_their_files_groups():
    checks = run.collect()
    assert len(checks) >= 70
    assert max(Counter(check.number for check in checks).values()) == 1
    files = {path.stem for path in run.CHECKS.glob("[a-z]*.py")}
    assert {check.group for check in checks} == files <= set(GROUPS)
    for check in checks:
        name = f"def check_{check.number:02}_"
        assert (run.CHECKS / f"{check.group}.py").read_text().count(name) == 1
        assert check.level in {"M", "S"}
        assert check.done
        assert check.expected
        assert check.advice
