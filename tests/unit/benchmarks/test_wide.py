"""The simulation of many hosts, against closed forms; and what is made of measurements."""

from __future__ import annotations

import pytest

from benchmarks.wide import simulation
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
