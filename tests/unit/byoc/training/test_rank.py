"""What a rank knows of itself, and leaves to its host; `train` run as one, without PyTorch."""

import json
import os
import subprocess
import sys

import pytest

from byoc.training import rank
from byoc.training.rank import ALONE, Rank
from tests.program import PROGRAM, environ, write_job

VARIABLES = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
FIT = """
import atexit, sys, threading, time, warnings
from byoc.training import run

def fit(job):
    warnings.warn("of every rank")
    atexit.register(print, "at exit")
    threading.Thread(target=time.sleep, args=(600,)).start()
    job.metric("loss", 0.5)
    job.checkpoints.save(1, lambda file: (file.write_text("state"), print("takes part in saving")))
    print(job.rank, job.world_size, job.model_dir, job.cpus)
    (job.model_dir / "model").write_text("whole")
    if job.hyperparameters.get("fails"):
        raise ValueError("enough")

sys.exit(run(fit))
"""


def test_without_torchrun_there_is_one():
    assert Rank.from_environ(VARIABLES) is None
    assert (ALONE.number, ALONE.count, ALONE.local_count) == (0, 1, 1)


def test_it_is_what_torchrun_says(tmp_path):
    own = Rank.from_environ({**VARIABLES, rank.FOLDER: str(tmp_path)})
    assert own == Rank(3, 4, 1, 2, tmp_path)


def test_the_earliest_failure_comes_first(tmp_path):
    for number, seconds in ((0, 20), (1, 10), (10, 30)):
        Rank(number, 11, folder=tmp_path).tell_failure(f"of {number}")
        os.utime(tmp_path / f"failure.{number}", (seconds, seconds))
    assert list(rank.failures(tmp_path)) == ["of 1", "of 0", "of 10"]


def run(base, place, hyperparameters=None, **variables):
    """Run a job of two hosts as a rank of one of them, as torchrun's agent does."""
    place.mkdir()
    (base / "checkpoints").mkdir(parents=True)
    (base / "staging").mkdir()
    (place / rank.PLAN).write_text(json.dumps({"model_dir": str(base / "staging"), "checkpoints": []}))
    write_job(base, hyperparameters, resourceconfig={"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]})
    given = {**VARIABLES, **variables, rank.FOLDER: str(place), "PYTHONPATH": str(PROGRAM)}
    return subprocess.run(
        [sys.executable, "-c", FIT], env=environ(base, **given), capture_output=True, text=True, check=False, timeout=60
    )


def test_the_first_rank_keeps_model_metrics_and_checkpoints(tmp_path):
    done = run(tmp_path / "ml", tmp_path / "ranks", RANK="0", LOCAL_RANK="0")
    assert done.returncode == 0, done.stderr
    reported, saving, told, last = done.stdout.splitlines()
    assert (reported, last) == ("loss=0.5;", "at exit")
    assert saving == "takes part in saving"
    assert told.startswith(f"0 4 {tmp_path / 'ml/staging'} ")
    assert (tmp_path / "ml/staging/model").read_text() == "whole"
    (saved,) = (tmp_path / "ml/checkpoints/algo-1").iterdir()
    assert saved.name.startswith("000000000001.")
    assert json.loads(done.stderr.splitlines()[-1])["rank"] == 0


def test_another_rank_takes_part_and_keeps_nothing(tmp_path):
    done = run(tmp_path / "ml", tmp_path / "ranks")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("takes part in saving\n3 4 ")
    assert [*(tmp_path / "ml/staging").iterdir(), *(tmp_path / "ml/checkpoints").iterdir()] == []
    assert (tmp_path / "ranks/model.3/model").read_text() == "whole"


@pytest.mark.parametrize("number", ["0", "3"])
def test_a_failure_is_left_to_the_host_cause_first(tmp_path, number):
    done = run(tmp_path / "ml", tmp_path / "ranks", {"fails": "yes"}, RANK=number, LOCAL_RANK="0")
    assert done.returncode == 1
    (told,) = rank.failures(tmp_path / "ranks")
    assert told.startswith("ValueError: enough\n\nTraceback")
    assert not (tmp_path / "ml/output/failure").exists()
    assert json.loads(done.stderr.splitlines()[-1])["rank"] == int(number)
