"""The simulation of many hosts, against closed forms; and what is made of measurements."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from benchmarks.wide import measures, picture, projection, simulation
from benchmarks.wide.hosts import CPUS, Ran
from benchmarks.wide.measures import COUNTS, WHOLES, Figures
from benchmarks.wide.probe import MEGABYTES, REACHING, TASKS
from benchmarks.wide.simulation import Costs, Job

FREE = Costs(alone=0, meeting=0, host=0, task=0, bandwidth=1e30)


@pytest.mark.parametrize("hosts", [1, 2, 4, 8, 128])
def test_without_overhead_n_hosts_are_n_times_as_fast_for_the_same_cost(hosts):
    job = Job("even", tasks=1280, seconds=3)
    assert simulation.duration(job, hosts, FREE) == pytest.approx(3840 / hosts)
    assert simulation.cost(job, hosts, FREE) == pytest.approx(1)


@pytest.mark.parametrize("hosts", [1, 2, 8, 64])
def test_what_does_not_spread_limits_by_amdahls_law(hosts):
    job = Job("a tenth is serial", tasks=640, seconds=9, serial=640)
    speedup = simulation.duration(job, 1, FREE) / simulation.duration(job, hosts, FREE)
    assert speedup == pytest.approx(1 / (0.1 + 0.9 / hosts))


def test_the_start_of_each_host_counts_once_there_are_several():
    costs = Costs(alone=2, meeting=5, host=0.5, task=0, bandwidth=1e30)
    job = Job("nothing", tasks=1, seconds=1)
    assert [simulation.duration(job, hosts, costs) for hosts in (1, 2, 10)] == [3, 7, 11]


@pytest.mark.parametrize(
    ("hosts", "sent"),
    # To the first worker once; each round every host that has it sends it to two more.
    [(1, 1), (2, 2), (3, 3), (4, 4), (6, 4), (7, 5), (9, 5), (27, 7), (81, 9), (128, 10)],
)
def test_a_broadcast_takes_a_tree(hosts, sent):
    assert simulation.broadcast(1e9, hosts, 1e8) == pytest.approx(10 * sent)


def test_large_data_bound_what_more_hosts_gain():
    """The data are brought in the time that the work takes: more hosts are slower in the end."""
    costs = Costs(alone=0, meeting=0, host=0, task=0, bandwidth=1e8)
    job = Job("large", tasks=128, seconds=1, data=1e9)
    times = [simulation.duration(job, hosts, costs) for hosts in (1, 2, 16, 128)]
    assert times == [128, 20 + 64, 60 + 8, 100 + 1]


@pytest.mark.parametrize("hosts", [16, 64, 128])
def test_who_hands_out_the_tasks_bounds_them(hosts):
    """100 a second, whatever the number of hosts: that is 10 of them for tasks of a tenth of a second."""
    assert simulation.queue([0.1] * 1000, hosts, handling=0.01) == pytest.approx(10.1, rel=0.01)
    assert simulation.queue([0.1] * 1000, 5, handling=0.01) == pytest.approx(20, rel=0.01)


def test_results_are_taken_back_by_the_first_host():
    costs = Costs(alone=0, meeting=0, host=0, task=0, bandwidth=1e6)
    job = Job("large results", tasks=1000, seconds=1, result=1e6)
    assert simulation.duration(job, 128, costs) == pytest.approx(1001)


def test_the_next_task_is_there_before_a_worker_is_done():
    """Only the first of each waits to be handed out, by turns."""
    assert simulation.queue([1.0] * 10, 2, handling=0.1) == pytest.approx(5.2)


def test_brief_tasks_results_come_in_batches():
    costs = Costs(alone=0, meeting=0, host=0, task=0, bandwidth=1e6)
    job = Job("brief", tasks=2000, seconds=0.01, result=1e5)
    assert simulation.duration(job, 64, costs) == pytest.approx(200, rel=0.01)


def test_brief_tasks_go_in_batches():
    costs = Costs(alone=0, meeting=0, host=0, task=0.1, bandwidth=1e30)
    brief, long = Job("brief", tasks=2000, seconds=0.01), Job("long", tasks=100, seconds=0.2)
    assert simulation.duration(brief, 8, costs) == pytest.approx(simulation.duration(long, 8, costs))


@pytest.mark.parametrize(("tasks", "waves"), [(8, 1), (9, 2), (16, 2), (17, 3)])
def test_the_last_tasks_leave_hosts_idle(tasks, waves):
    assert simulation.queue([1.0] * tasks, 8, handling=0) == waves


def test_a_host_that_is_lost_leaves_its_task_to_the_others():
    lengths = [1.0] * 4
    assert simulation.queue(lengths, 2, 0) == 2
    # The second of the other's is cut off at 1.5 and begun anew at 2, once the first has done its own.
    assert simulation.queue(lengths, 2, 0, lost={1: 1.5}) == 3
    assert simulation.queue(lengths, 2, 0, lost={1: 0.5}) == 4
    with pytest.raises(ValueError, match="lost"):
        simulation.queue(lengths, 2, 0, lost={0: 0.5, 1: 0.5})


def test_tasks_that_differ_take_as_long_in_all_and_the_same_each_time():
    job = Job("uneven", tasks=1000, seconds=1, spread=0.5)
    assert simulation.duration(job, 1, FREE) == simulation.duration(job, 1, FREE) == pytest.approx(1000, rel=0.05)
    assert simulation.duration(job, 1000, FREE) == pytest.approx(1.5, rel=0.01)


# --- from measurements to the simulation and back

KNOWN = Costs(alone=2, meeting=3, host=0.25, task=0.005, bandwidth=50e6)


@pytest.fixture
def figures() -> Figures:
    """What would be measured if the simulation were right; a second round was disturbed by others."""
    figures = Figures()
    for disturbed in (1.0, 1.7):

        def add(name: str, count: int, value: float, disturbed: float = disturbed) -> None:
            figures.add(name, count, value * disturbed)

        for count in COUNTS:
            add("start", count, 1.5)
            add("start cpu", count, (2.5 + 0.25 * count) * CPUS)
            add("end", count, 0.5)
            add("tasks of each", count, TASKS[0] * KNOWN.task)
            for milliseconds, tasks in TASKS.items():
                job = Job("", tasks, milliseconds / 1000 / CPUS)
                add(f"tasks of {milliseconds}", count, simulation.work(job, count, KNOWN) or 0.01)
            for whole in WHOLES:
                job = Job("", whole.tasks, 0.5, serial=10, data=measures.ROWS[whole.name] * measures.PIXELS * 8.0)
                add(whole.name, count, simulation.duration(job, count, KNOWN))
                add(f"{whole.name} spread", count, simulation.work(job, count, KNOWN))
        for count in COUNTS[1:]:
            for megabytes in MEGABYTES:
                given = simulation.broadcast(megabytes * 1e6, count, KNOWN.bandwidth)
                add(f"data {megabytes}", count, given + simulation.queue([0.0] * REACHING * count, count, KNOWN.task))
    return figures


def test_what_the_simulation_is_told_is_found_in_the_measurements(figures):
    found = measures.costs(figures)
    for name in ("alone", "meeting", "host", "task", "bandwidth"):
        assert getattr(found, name) == pytest.approx(getattr(KNOWN, name)), name
    assert [(job.seconds, job.serial) for job in measures.jobs(figures)] == [
        (pytest.approx(0.5), pytest.approx(10))
    ] * 2


def test_a_simulation_that_is_right_has_no_errors(figures):
    checks = measures.checks(figures)
    assert len(checks) == 3 * 2 + 3 * 2 + len(WHOLES) * 3
    assert max(abs(check.error) for check in checks) == pytest.approx(0, abs=1e-9)
    # Twice as slow a start: what is measured is less than what is simulated, and the error says by how much.
    for values in figures.values["start cpu", 2], figures.values["start cpu", 4]:
        values[:] = [2 * value for value in values]
    (check,) = [each for each in measures.checks(figures) if (each.what, each.hosts) == (WHOLES[0].about, 4)]
    assert check.error == pytest.approx(3.5 / check.measured, rel=0.05)


def test_ratios_are_of_the_same_round(figures):
    assert figures.ratios("search", 2) == pytest.approx(
        [figures.values["search", 2][0] / figures.values["search", 1][0]] * 2
    )


def test_figures_are_kept(figures):
    assert Figures.read(figures.document()).values == figures.values


def test_what_the_probe_says_becomes_figures():
    said = {"begun": 103.0, "cpu": 1.5, "ended": 110.0, "tasks": {"0": 0.5, "each": 2.0}}
    said["data"] = {"10": {"seconds": 0.25, "sent": [10_000_000, 11_000_000]}}
    found = dict(measures._tasks(Ran(started=100.0, seconds=11.0, said=said)))
    assert found == {
        "start": 3.0,
        "start cpu": 1.5,
        "end": 1.0,
        "tasks of 0": 0.5,
        "tasks of each": 2.0,
        "data 10": 0.25,
        "sent 10": 21.0,
    }


# --- beyond what can be measured


def test_how_wide_is_fair_and_how_wide_is_fastest():
    (free,) = [each for each in projection.all_jobs([Job("free", 1280, 60)], FREE) if each.job.name == "free"]
    assert (free.fair, free.fastest) == (128, 128)
    dear = Costs(alone=0, meeting=0, host=1, task=0, bandwidth=1e30)
    # 16 hosts: 16 + 64 / 16 = 20 s, 8: 16 s, which costs twice as much; 4: 20 s, for 1.25 times as much.
    (each,) = [each for each in projection.all_jobs([Job("dear", 64, 1)], dear) if each.job.name == "dear"]
    assert (each.fair, each.fastest) == (4, 8)
    brief = projection.all_jobs([Job("brief", 1, 1)], Costs(0, 5, 0, 0, 1e30))[0]
    assert (brief.fair, brief.fastest) == (1, 1)


def test_the_picture_shows_every_job_and_what_was_measured(figures, tmp_path):
    projected = projection.all_jobs(measures.jobs(figures), measures.costs(figures))
    file = tmp_path / "wide.svg"
    picture.draw(projected, measures.points(figures), file, "where and when")
    root = ET.parse(file).getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(each.itertext()) for each in root.iter(f"{space}text")]
    assert {each.job.name for each in projected} <= set(texts)
    assert {"where and when", "128", "1 min"} <= set(texts)
    assert len(list(root.iter(f"{space}polyline"))) == 2 * len(projected)
    # A point for each count of hosts in each panel, where it belongs: on the line, the simulation being right.
    points = [(float(each.get("cx")), float(each.get("cy"))) for each in root.iter(f"{space}circle")]
    assert len(points) == 2 * len(WHOLES) * len(COUNTS)
    first = [tuple(map(float, each.split(","))) for each in next(root.iter(f"{space}polyline")).get("points").split()]
    assert [first[number][0] for number in (0, -1)] == list(picture.TIME)
    assert points[:6:2] == [pytest.approx(each, abs=2) for each in first[:3]]


def test_the_tables_have_a_line_for_each(figures):
    assert len(measures.check_lines(measures.checks(figures))) == 19
    assert any(line.startswith("search ") and line.split()[1] == "4" for line in measures.lines(figures))
    projected = projection.all_jobs(measures.jobs(figures), measures.costs(figures))
    assert len(projection.lines(projected)) == 1 + len(projected)
