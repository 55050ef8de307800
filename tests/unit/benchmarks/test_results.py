"""From figures to ratios, targets, the table, the file, the picture and the guard."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from benchmarks import __main__ as command
from benchmarks import guard, picture, results
from benchmarks.runner import Figures
from benchmarks.servers import Load, ServerError, parse
from benchmarks.systems import OWN
from benchmarks.works import TARGETS, WORKS, Target


@pytest.fixture
def figures() -> Figures:
    """Three rounds in which the machine became slower and slower, and ours stayed as many times as fast."""
    figures = Figures()
    for machine in (1.0, 0.5, 0.25):
        for system, rate in {"classic": 100, "echo": 2000, "ours": 1500, "litserve": 90}.items():
            figures.add("iris-c64", "rate", system, rate * machine)
            figures.add("iris-c64", "tail", system, 2.5)
        figures.add("forest-c64", "ping", "ours", 7.0)
        figures.add("forest", "memory", "classic", 400.0)
        figures.add("forest", "memory", "ours", 100.0 / machine)
        figures.add("train", "time", "ours", 1.1)
    figures.add("iris-c64", "rate", "predict", 20_000)
    return figures


def row(found: list[results.Row], work: str, system: str, of: str) -> results.Row:
    return next(each for each in found if (each.work, each.system, each.of) == (work, system, of))


@pytest.mark.parametrize(
    ("work", "system", "of", "ratio", "target", "met"),
    [
        ("iris-c64", "ours", "classic", 15, "≥ 13", True),
        ("iris-c64", "ours", "echo", 0.75, "≥ 0.85", False),
        ("iris-c64", "litserve", "classic", 0.9, "", None),
        ("iris-c64", "echo", "classic", 20, "", None),
        ("iris-c64", "predict", "classic", 400, "", None),  # measured once: against the median
        ("iris-c64 tail", "ours", "p50", 2.5, "", None),
        ("forest-c64 ping", "ours", "ms", 7, "≤ 6", False),
        ("forest memory", "ours", "classic", 0.5, "≤ 0.4", False),
        ("train time", "ours", "a bare script", 1.1, "≤ 1.15", True),
    ],
)
def test_a_ratio_and_its_target(figures, work, system, of, ratio, target, met):
    found = row(results.rows(figures), work, system, of)
    assert (pytest.approx(found.ratio), found.target, found.met) == (ratio, target, met)


def test_ratios_are_of_the_same_round_and_have_a_range(figures):
    found = results.rows(figures)
    # Four times the load of the machine, and not a bit of it in the ratio.
    assert row(found, "iris-c64", "ours", "classic").low == row(found, "iris-c64", "ours", "classic").high
    memory = row(found, "forest memory", "ours", "classic")
    assert (memory.low, memory.high) == (0.25, 1.0)


def test_nothing_is_compared_with_itself(figures):
    assert not [each for each in results.rows(figures) if each.system == each.of]


def test_a_run_without_the_classic_is_compared_with_its_other_self():
    figures = Figures()
    for system, rate in {"classic1": 100, "ours": 1500}.items():
        figures.add("iris-c64", "rate", system, rate)
    assert [(each.system, each.of, each.ratio) for each in results.rows(figures)] == [("ours", "classic1", 15)]


@pytest.mark.parametrize("measure", ["rate", "memory"])
def test_a_bound_that_is_reached_is_met(measure):
    target = Target("iris-c64", measure, "ours", "classic", 2)
    assert target.is_met(2)
    assert target.is_met(3) is (measure == "rate")


def test_the_targets_name_what_there_is():
    names = {work.name for work in WORKS} | {work.kind for work in WORKS} | {"large", "train"}
    systems = {system.name for system in OWN}
    assert {target.work for target in TARGETS} <= names
    assert {target.system for target in TARGETS} <= systems
    assert {target.of for target in TARGETS} <= systems | set(results.ABSOLUTE.values())


def test_the_table_says_what_is_missed(figures):
    lines = list(results.table(results.rows(figures)))
    (missed,) = [line for line in lines if "echo" in line and "0.85" in line]
    assert missed.split()[-1] == "MISSED"
    assert "iris-c64" in lines[[line.startswith("iris-c64") for line in lines].index(True)]
    assert len(lines) == len(results.rows(figures)) + 1


def test_the_file_holds_rows_machine_and_failures(figures, tmp_path):
    figures.failures["iris-c64", "classic"] = 3
    figures.troubles["ray"] = "ray did not start: no port"
    file = tmp_path / "results" / "latest.json"
    results.save(file, figures, results.rows(figures), results.describe(3, 8))
    read = json.loads(file.read_text())
    assert {"work", "system", "ratio", "of", "target", "met"} <= read["rows"][0].keys()
    assert read["failures"] == {"iris-c64 classic": 3}
    assert read["troubles"] == {"ray": "ray did not start: no port"}
    assert read["machine"]["versions"]["scikit-learn"][0].isdigit()
    assert read["machine"]["tools"]["nginx"].startswith("nginx version")


def test_the_picture_shows_every_work_and_system(figures, tmp_path):
    file = tmp_path / "picture.svg"
    picture.draw(results.rows(figures), file, results.caption(results.describe(3, 8)))
    root = ET.parse(file).getroot()
    texts = ["".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert WORKS[0].about in texts
    assert any(text.startswith("Medians of 3 rounds of 8 s on ") for text in texts)
    assert "15 \u00d7" in texts
    drawn = [each.get("class") for each in root.iter("{http://www.w3.org/2000/svg}circle")]
    # One more each in the legend.
    assert (drawn.count("ours"), drawn.count("other")) == (2, 2)


# --- the guard


@pytest.mark.parametrize(("kept", "good"), [(15, True), (29, True), (31, False)])
def test_the_guard_is_alarmed_by_less_than_half(figures, tmp_path, kept, good):
    file = tmp_path / "guard.json"
    file.write_text(json.dumps({"iris-c64 of classic": kept}))
    lines, verdict = guard.judge(results.rows(figures), file)
    assert verdict is good
    assert ("FELL" in lines[0]) is not good


def test_the_guard_is_alarmed_by_what_was_not_measured(figures, tmp_path):
    file = tmp_path / "guard.json"
    file.write_text('{"forest-c64 of echo": 0.5}')
    assert guard.judge(results.rows(figures), file)[1] is False


def test_what_is_kept_passes(figures, tmp_path):
    file = tmp_path / "guard.json"
    guard.keep(results.rows(figures), file)
    assert json.loads(file.read_text()) == {"iris-c64 of classic": 15.0, "iris-c64 of echo": 0.75}
    assert guard.judge(results.rows(figures), file)[1]


def test_the_guard_measures_what_is_kept():
    plan = command.make_plan(command.parse(["--guard"]))
    baselines = {system.name for system in plan.systems}
    kept = [name.split(" of ") for name in json.loads(guard.KEPT.read_text())]
    assert kept
    assert {work for work, _ in kept} <= {work.name for work in plan.works}
    assert {of for _, of in kept} <= baselines


# --- what the client says


SAID = '{"good": 10, "wrong": 1, "refused": 2, "broken": 3, "seconds": 2.0, "p50": 1.5, "p99": 4.0}'


def test_what_the_client_says_is_read():
    load = parse(f"Running 2s test\n  Requests/sec: 5\n{SAID}\n")
    assert load == Load(10, 1, 2, 3, 2.0, 1.5, 4.0)
    assert (load.rate, load.failures) == (5.0, 6)


@pytest.mark.parametrize("said", ["", "unable to connect to 127.0.0.1:1 Connection refused\n"])
def test_a_client_that_fails_is_an_error(said):
    with pytest.raises(ServerError, match="wrk failed"):
        parse(said)


# --- the plan


@pytest.mark.parametrize(
    ("arguments", "works", "extras"),
    [
        (["--only", "forest-100"], ["forest-100-c16"], []),
        (["--only", "*-c1", "train"], ["forest-c1"], ["train"]),
        (["--quick", "--only", "boosting"], ["boosting-c16"], []),
    ],
)
def test_some_of_the_works(arguments, works, extras):
    plan = command.make_plan(command.parse([*arguments, "--peers"]))
    assert ([work.name for work in plan.works], list(plan.extras)) == (works, extras)


def test_peers_run_only_when_asked_for_or_installed(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.peers.CACHE", tmp_path)
    assert {system.name for system in command.make_plan(command.parse([])).systems} == {each.name for each in OWN}
