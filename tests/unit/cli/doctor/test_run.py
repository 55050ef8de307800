"""How the doctor collects checks, and what becomes of what they see; checks of our own stand in for the real ones."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import click
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

# The second and the third wait for one another; the first fails beside any other.
TOGETHER = """
import threading
import time
from byoc_cli.doctor.check import check, must

meeting, running = threading.Barrier(2, timeout=20), []
lock = threading.Lock()

@check(1, "M", "looked", expected="good", advice="mend it", alone=True)
def check_alone(subject):
    running.append(1)
    time.sleep(0.2)
    must(running == [2, 3, 1], "not alone")
    return "alone"

def meet(number):
    meeting.wait()
    with lock:
        running.append(number)
        running.sort()
    return "met"

@check(2, "M", "looked", expected="good", advice="mend it")
def check_second(subject):
    return meet(2)

@check(3, "M", "looked", expected="good", advice="mend it")
def check_third(subject):
    return meet(3)
"""

# At the first look the machine had a slow moment; the other one is as slow at the second.
SLOW = """
from byoc_cli.doctor.check import check, must

looks = []

@check(39, "M", "looked", expected="good", advice="mend it", timed=True)
def check_at_a_slow_moment(subject):
    looks.append(39)
    must(looks.count(39) > 1, "9 s")
    return "1 s"

@check(44, "M", "looked", expected="good", advice="mend it", alone=True)
def check_slow(subject):
    looks.append(44)
    must(False, f"{looks.count(44)} h")

@check(45, "M", "looked", expected="good", advice="mend it")
def check_that_goes_by_no_times(subject):
    looks.append(45)
    must(False, f"{looks.count(45)}")

@check(72, "M", "looked", expected="good", advice="mend it", timed=True)
def check_good(subject):
    looks.append(72)
    return str(looks.count(72))
"""


@pytest.fixture
def checks(tmp_path, monkeypatch):
    (tmp_path / "invented.py").write_text(CHECKS)
    (tmp_path / "pytest.ini").write_text((run.CHECKS / "pytest.ini").read_text())
    monkeypatch.setattr(run, "CHECKS", tmp_path)
    return tmp_path


def test_each_way_to_end_has_its_status_in_the_order_of_the_numbers(checks):
    plugin = run.Plugin([3, 39, 45, 72], "the subject", jobs=4)
    run.run(plugin, None)
    assert [(result.check.number, result.status, result.seen) for result in plugin.results] == [
        (3, "failed", "the doctor could not look: ZeroDivisionError: division by zero"),
        (39, "failed", "seen this"),
        (45, "not offered", "no claim"),
        (72, "passed", "saw the subject"),
    ]


def test_progress_is_a_line_a_check(checks, capsys):
    run.run(run.Plugin([3, 72], "the subject"), None)
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"\d\.\d s", "… s", line) for line in lines] == [
        "[  1/2]   3 training: looked: ERROR (… s)",
        "[  2/2]  72 errors: looked: passed (… s)",
    ]


def test_checks_run_side_by_side_but_for_those_that_must_be_alone(checks):
    (checks / "invented.py").unlink()
    (checks / "together.py").write_text(TOGETHER)
    plugin = run.Plugin([1, 2, 3], "the subject", jobs=2)
    run.run(plugin, None)
    assert [result.seen for result in plugin.results] == ["alone", "met", "met"]


@pytest.mark.parametrize("jobs", [1, 4])
def test_what_a_slow_moment_may_have_failed_is_looked_at_once_more(checks, capsys, jobs):
    (checks / "invented.py").unlink()
    # A name of its own: what is imported once stays so.
    (checks / f"slow_{jobs}.py").write_text(SLOW)
    plugin = run.Plugin([39, 44, 45, 72], "the subject", jobs)
    run.run(plugin, checks / "junit.xml")
    assert [(result.status, result.seen) for result in plugin.results] == [
        ("passed", "1 s; at a first look: 9 s"),
        ("failed", "2 h"),
        ("failed", "1"),
        ("passed", "1"),
    ]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 + 2
    assert lines[-1].startswith("[  4/4]  44 hosting: looked: ERROR")
    assert 'failures="2"' in (checks / "junit.xml").read_text()


def test_a_file_that_cannot_be_read_is_no_check_less(checks):
    (checks / "broken.py").write_text("import no_such_module")
    with pytest.raises(click.ClickException, match=r"(?s)the checks cannot be read.*broken\.py.*no_such_module"):
        run.collect()


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


def test_the_real_checks_are_those_of_the_checklist_in_files_of_their_groups():
    checks = run.collect()
    assert [check.number for check in checks] == list(range(1, 109))
    files = {path.stem: path.read_text() for path in run.CHECKS.glob("[a-z]*.py")}
    assert {name.partition("_")[0] for name in files} == set(GROUPS)
    for check in checks:
        places = [name for name, text in files.items() if f"def check_{check.number:02}_" in text]
        assert [name.partition("_")[0] for name in places] == [check.group]
        assert check.level in {"M", "S"}
        assert check.done
        assert check.expected
        assert check.advice
