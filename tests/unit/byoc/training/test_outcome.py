"""One end for all hosts: the cause, not what followed from it, and heard on every host."""

import select
import threading

import pytest

from byoc.env import Paths, TrainingEnvironment
from byoc.training import meeting, outcome
from byoc.training.cluster import ClusterError
from byoc.training.outcome import Outcome, RankError, gathered
from byoc.training.stop import Stopped
from tests.program import free_port, wait_until

HOSTS = ("localhost", "algo-10", "algo-2")
GLOO = "RuntimeError: [../gloo/transport/tcp/pair.cc:534] Connection closed by peer [172.18.0.3]:34567"
CAUSE = Outcome("failed", "ValueError: enough\n\nTraceback (most recent call last):")
CONSEQUENCE = Outcome("failed", GLOO)
DONE = Outcome("done")

SAID = {
    GLOO: False,
    "RuntimeError: [../gloo/transport/tcp/pair.cc:534] Connection reset by peer": False,
    "DistNetworkError: failed to recv, got 0 bytes": False,
    "DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/NCCLUtils.hpp:268": False,
    "RuntimeError: Broken pipe": False,
    "ValueError: enough": True,
    "rank 1 was killed by SIGKILL, perhaps for want of memory": True,
    "DataError: channel 'training' is missing": True,
}


@pytest.mark.parametrize(("line", "cause"), SAID.items())
def test_what_may_be_a_cause(line, cause):
    assert outcome.is_cause(line) is cause


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Grace is as long as a test may take, unless a test says otherwise; each test has a port of its own."""
    monkeypatch.setattr(outcome, "GRACE", 60.0)
    port = free_port()
    for function in (meeting.Meeting.__init__, meeting.Seat.__init__):
        defaults = tuple(port if each == meeting.PORT else each for each in function.__defaults__)
        monkeypatch.setattr(function, "__defaults__", defaults)


class Host(threading.Thread):
    """A host of a job in a thread: it tells its end when it is given one, and waits for the job's."""

    def __init__(self, host, hosts=HOSTS, checkpoints=(), timeout=5):
        super().__init__(daemon=True)
        self.environment = TrainingEnvironment(Paths(), hosts=hosts, current_host=host, hosts_timeout=timeout)
        self.checkpoints = checkpoints
        self.common = self.verdict = self.error = self.given = None
        self.start()

    def run(self):
        try:
            with gathered(self.environment, self.checkpoints) as hosts:
                self.common = hosts.checkpoints
                told = None
                while not (found := hosts.verdict()):
                    if isinstance(self.given, BaseException):
                        raise self.given
                    if self.given and not told:
                        told = self.given
                        hosts.tell(told)
                self.verdict = found
                if found[1].end == "stopped":
                    raise Stopped(15)
                if found[1].end == "failed":
                    raise RankError(found[0], found[1].reason)
        except BaseException as error:  # noqa: BLE001 - of a thread
            self.error = error

    def over(self):
        self.join(10)
        assert not self.is_alive()
        return self.verdict and (self.verdict[0], self.verdict[1].end, self.verdict[1].reason.partition("\n")[0])


def start(**checkpoints):
    hosts = {host: Host(host, checkpoints=checkpoints.get(host.replace("-", "_"), ())) for host in HOSTS}
    wait_until(lambda: all(each.common is not None for each in hosts.values()), 10)
    return hosts


def give(hosts, **outcomes):
    for name, given in outcomes.items():
        hosts[name.replace("_", "-")].given = given


def test_a_job_is_done_when_all_hosts_are():
    hosts = start()
    give(hosts, localhost=DONE, algo_10=DONE)
    assert all(each.is_alive() for each in hosts.values())
    give(hosts, algo_2=DONE)
    assert {each.over() for each in hosts.values()} == {("localhost", "done", "")}


ENDS = {
    "the cause is heard last": (CONSEQUENCE, CONSEQUENCE, CAUSE),
    "the others are done": (DONE, DONE, CAUSE),
    "the others still run": (None, None, CAUSE),
}


@pytest.mark.parametrize("ends", ENDS.values(), ids=ENDS)
def test_a_failure_is_told_everywhere_with_its_host_and_cause(ends):
    hosts = start()
    for host, given in zip(HOSTS, ends, strict=True):
        if given is not CAUSE:
            give(hosts, **{host: given})
    give(hosts, algo_2=CAUSE)
    assert {each.over() for each in hosts.values()} == {("algo-2", "failed", "ValueError: enough")}
    assert str(hosts["algo-10"].error) == "training failed on host algo-2: ValueError: enough"


def test_where_nothing_but_consequences_is_heard_the_first_of_them_is_told(monkeypatch):
    monkeypatch.setattr(outcome, "GRACE", 0.3)
    hosts = start()
    give(hosts, algo_10=CONSEQUENCE)
    assert {each.over() for each in hosts.values()} == {("algo-10", "failed", GLOO)}


def test_a_host_that_goes_without_a_word_is_the_cause():
    hosts = start()
    give(hosts, localhost=CONSEQUENCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meeting.Seat, "tell", lambda *_: None)
        give(hosts, algo_2=KeyError("killed"))
        hosts["algo-2"].over()
    assert hosts["localhost"].over() == hosts["algo-10"].over() == ("algo-2", "failed", outcome.LOST)


def test_whatever_else_happens_on_a_host_is_told_too():
    hosts = start()
    give(hosts, algo_2=OSError("no room"))
    assert hosts["localhost"].over() == ("algo-2", "failed", "OSError: no room")
    hosts["algo-10"].over()


def test_an_error_of_the_first_host_is_told_to_all():
    hosts = start()
    give(hosts, localhost=OSError("no room"))
    assert hosts["algo-2"].over() == ("localhost", "failed", "OSError: no room")
    hosts["algo-10"].over()


@pytest.mark.parametrize("host", ["localhost", "algo_10"])
def test_a_stop_of_one_stops_all(host):
    hosts = start()
    give(hosts, **{host: Stopped(15)})
    others = [each for name, each in hosts.items() if name != host.replace("_", "-")]
    assert {each.over()[1] for each in others} == {"stopped"}


def test_they_go_on_from_what_all_of_them_have():
    hosts = start(localhost=["3.c", "2.b", "1.a"], algo_10=["1.a", "3.c"], algo_2=["3.c", "2.b", "4.d"])
    assert [each.common for each in hosts.values()] == [["3.c"]] * 3
    give(hosts, localhost=DONE, algo_10=DONE, algo_2=DONE)
    for each in hosts.values():
        each.over()


def test_where_the_first_host_keeps_no_checkpoints_nobody_does():
    first, second = Host(HOSTS[0], HOSTS[:2], None), Host(HOSTS[1], HOSTS[:2], ["1.a"])
    for each in (first, second):
        each.given = DONE
    for each in (first, second):
        assert each.over() == (HOSTS[0], "done", "")
        assert each.common is None


def test_a_host_that_never_comes_fails_those_that_wait(monkeypatch):
    gather = meeting.Meeting.gather

    def gather_late(self, patience):
        # With algo-10 at the door only algo-2 can be late.
        assert select.select([self._door], (), (), 10)[0]
        return gather(self, patience)

    monkeypatch.setattr(meeting.Meeting, "gather", gather_late)
    first = Host("localhost", timeout=1)
    second = Host("algo-10")
    for each in (first, second):
        each.over()
        assert isinstance(each.error, ClusterError)
        assert "host algo-2 did not come within" in str(each.error)


def test_one_host_decides_alone():
    alone = Host("localhost", ("localhost",), ["1.a"])
    alone.given = CAUSE
    assert alone.over() == ("localhost", "failed", "ValueError: enough")
    assert alone.common == ["1.a"]
