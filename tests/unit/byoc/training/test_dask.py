"""Dask over hosts: how each is sized, and that a fit is broken off when the cluster cannot go on."""

import contextlib
import signal
import subprocess
import threading
import time

import pytest

from byoc.env import Paths, TrainingEnvironment
from byoc.training import dask, dask_programs
from byoc.training.cluster import ClusterError
from byoc.training.dask_programs import Size
from byoc.training.stop import StopNotice, Stopped
from tests.program import is_running, wait_until

GIB = 1 << 30

# CPUs · memory · whether it leads · processes, threads of each
SIZES = [
    (1, GIB, False, (1, 1)),
    (1, GIB // 2, True, (1, 1)),
    (4, 8 * GIB, False, (4, 1)),
    (4, 8 * GIB, True, (4, 1)),
    (4, 4 * GIB, True, (2, 2)),
    (4, 4 * GIB, False, (3, 1)),
    (96, 192 * GIB, False, (96, 1)),
    (8, GIB, False, (1, 8)),
]


@pytest.mark.parametrize(("cpus", "memory", "leads", "shape"), SIZES)
def test_a_host_is_sized_by_its_cgroup(cpus, memory, leads, shape):
    size = Size.of_host(cpus, memory, leads=leads)
    assert (size.processes, size.threads) == shape
    assert size.processes * size.memory <= memory * (0.5 if leads else 0.9)
    assert size.processes == 1 or size.memory >= GIB


def wait_and_raise(error):
    """Wait to be broken off, and then raise what a library might."""
    try:
        time.sleep(60)
    except dask.Broken:
        raise error from None


def test_a_fit_is_broken_off_with_the_reason():
    """Whatever the fit raises by then is a consequence of it."""
    began = time.monotonic()
    reasons = iter(["", "the scheduler ended"])
    with pytest.raises(ClusterError, match=r"^the scheduler ended$"), dask._interrupted_if(lambda: next(reasons)):
        wait_and_raise(ValueError())
    assert time.monotonic() - began < 50


def test_a_consequence_that_comes_before_its_cause_is_known_is_told_by_the_cause(monkeypatch):
    monkeypatch.setattr(dask, "POLL", 0.1)
    ended = []
    with pytest.raises(ClusterError, match=r"^the scheduler ended$"), dask._interrupted_if(lambda: "".join(ended)):
        fail_after(lambda: ended.append("the scheduler ended"))
    with pytest.raises(ValueError, match="cancelled"), dask._interrupted_if(lambda: ""):
        fail_after(lambda: None)


def fail_after(happening):
    happening()
    raise ValueError("cancelled")


def test_a_stop_stays_a_stop():
    with pytest.raises(Stopped), dask._interrupted_if(lambda: "the scheduler ended"):
        wait_and_raise(Stopped(signal.SIGTERM))


def test_nothing_is_left_behind():
    before = signal.getsignal(signal.SIGUSR1)
    with dask._interrupted_if(lambda: ""):
        assert signal.getsignal(signal.SIGUSR1) != before
    assert signal.getsignal(signal.SIGUSR1) == before
    assert "cluster" not in [thread.name for thread in threading.enumerate()]


class Leader:
    """Stands for the connection to the first host, which says what it is told to, and then nothing."""

    def __init__(self, *told):
        self.told = [*told]

    def word(self, _seconds):
        said = self.told.pop(0) if self.told else ""
        if isinstance(said, ClusterError):
            raise said
        return said

    def close(self):
        pass


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (["", ClusterError("the scheduler ended")], "the scheduler ended"),
        (["", ""], "the Dask worker of algo-2 ended with code 3"),
        (["", "done"], ""),
    ],
)
def test_a_worker_that_ends_may_be_a_consequence_of_what_the_first_host_tells(monkeypatch, tmp_path, told, reason):
    environment = TrainingEnvironment(Paths(tmp_path), hosts=("algo-1", "algo-2"), current_host="algo-2")
    ended = subprocess.Popen(["sh", "-c", "exit 3"])
    ended.wait()
    monkeypatch.setattr(dask, "Seat", lambda *_: Leader(*told))
    monkeypatch.setattr(dask_programs, "worker", lambda *_: ended)
    with pytest.raises(ClusterError, match=f"^{reason}$") if reason else contextlib.nullcontext():
        dask.serving(environment, StopNotice())


def test_a_program_ends_with_all_that_it_started(monkeypatch, tmp_path):
    """Even where it does not listen: a worker in a long call of compiled code cannot."""
    (tmp_path / "distributed" / "cli").mkdir(parents=True)
    note = tmp_path / "child"
    code = (
        "import pathlib, signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen(['sleep', '600'])\npathlib.Path({str(note)!r}).write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    (tmp_path / "distributed/cli/dask_scheduler.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(dask_programs, "ENDING", 0.2)
    program = dask_programs.scheduler("lo")
    child = int(wait_until(lambda: note.exists() and note.read_text()))
    dask_programs.end(program)
    assert program.returncode == -signal.SIGKILL
    wait_until(lambda: not is_running(child))
