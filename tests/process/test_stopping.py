"""SIGTERM to a training job, at any time: a loadable model and exit 0, or none and 143; never half a model."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from byoc.flavors import sklearn as flavor
from tests import datasets
from tests.program import PROGRAM, environ, wait_until, write_job, write_program

TERM = 128 + signal.SIGTERM
# Half of the platform's 120 seconds, which are for slower machines.
SOON = 60


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_program(tmp_path_factory.mktemp("endless"), Path(__file__).parent / "handlers/endless/train")


def start(base: Path, program: Path = PROGRAM) -> subprocess.Popen[bytes]:
    with (base / "log").open("w") as log:
        return subprocess.Popen([sys.executable, program / "train"], env=environ(base), stdout=log, stderr=log)


@pytest.mark.parametrize("turn", range(3))
def test_sigterm_at_any_time_of_a_long_fit(base: Path, turn: int) -> None:
    """Checks 34, 36, 38: the best model so far once there is one, within seconds."""
    write_job(base, {"max_iter": "5000", "learning_rate": "0.01", "max_leaf_nodes": "5"})
    datasets.digits().write(base / "input/data/training/digits.csv")
    job = start(base)
    wait_until(lambda: "fitting" in (base / "log").read_text(), 60, "the fit")
    time.sleep(random.Random(turn).uniform(0, 6))
    job.send_signal(signal.SIGTERM)
    code = job.wait(SOON)
    left = sorted(path.name for path in (base / "model").iterdir())
    assert not (base / "output/failure").exists()
    assert "keeping the model of" in (base / "log").read_text() or code == TERM
    if code == 0:
        assert set(left) - {"model.onnx"} == {"metrics.json", "model.skops", "schema.json"}
        assert flavor.load(base / "model").predict([[0.0] * 64]).shape == (1,)
    else:
        assert (code, left) == (TERM, [])


@pytest.mark.parametrize("milliseconds", [60, 120, 250, 500, 1000])
def test_sigterm_in_the_first_moments(base: Path, milliseconds: int) -> None:
    """Check 37: before Python has listened, while it imports, while it reads."""
    datasets.digits().write(base / "input/data/training/digits.csv")
    job = start(base)
    time.sleep(milliseconds / 1000)
    job.send_signal(signal.SIGTERM)
    code, left = job.wait(SOON), {path.name for path in (base / "model").iterdir()}
    if code == 0:  # A late signal, or a fast machine: there was a model by then.
        assert "keeping the model of" in (base / "log").read_text()
        assert left - {"model.onnx"} == {"metrics.json", "model.skops", "schema.json"}
    else:  # Before our first line runs it is the kernel that ends the process.
        assert code in (TERM, -signal.SIGTERM)
        assert left == set()


@pytest.mark.parametrize(
    ("way", "signals", "code", "left"),
    [
        ("python", [signal.SIGTERM], TERM, []),
        ("python", [signal.SIGINT], 128 + signal.SIGINT, []),
        ("threads", [signal.SIGTERM], TERM, []),
        ("mangled", [signal.SIGTERM], TERM, []),
        ("compiled", [signal.SIGTERM], TERM, []),
        ("compiled", [signal.SIGTERM, signal.SIGTERM], TERM, []),
        ("asking", [signal.SIGTERM], 0, ["best", "half"]),
    ],
)
def test_a_fit_of_ones_own(
    base: Path, endless: Path, way: str, signals: list[signal.Signals], code: int, left: list[str]
) -> None:
    """Checks 36-38: one that asks keeps its model; one that does not ends at once, even within compiled code."""
    write_job(base, {"way": way})
    job = start(base, endless)
    wait_until(lambda: "fitting" in (base / "log").read_text(), what="the fit")
    for signum in signals:
        job.send_signal(signum)
    assert job.wait(SOON) == code
    assert sorted(path.name for path in (base / "model").iterdir()) == left
    assert not (base / "output/failure").exists()


def test_a_second_sigterm_ends_a_job_that_still_undoes_things(tmp_path: Path) -> None:
    """Check 37: what the first one broke off may be compiled code, which another exception would crash."""
    (tmp_path / "handler.py").write_text(
        "import time\n"
        "def fit(job):\n"
        "    try:\n        print('fitting', flush=True)\n        time.sleep(100)\n"
        "    finally:\n        print('undoing', flush=True)\n        time.sleep(100)\n"
        "def handle(data, context): pass\n"
    )
    log = tmp_path / "log"
    variables = environ(write_job(tmp_path / "ml"), BYOC_ENTRY_POINT=str(tmp_path / "handler.py"))
    with log.open("w") as file:
        job = subprocess.Popen([sys.executable, str(PROGRAM / "train")], env=variables, stdout=file, stderr=file)
    for word in ("fitting", "undoing"):
        wait_until(lambda word=word: word in log.read_text(), what=word)
        job.send_signal(signal.SIGTERM)
    assert job.wait(SOON) == TERM
    assert "SIGTERM again: the job ends at once" in log.read_text()
