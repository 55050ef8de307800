"""What happens around `fit`: exit codes, the failure file, the model folder. Each case is a process of its own."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from byoc.env import Paths, TrainingEnvironment
from byoc.errors import DataError
from byoc.training import Job
from byoc.training.stop import StopNotice
from tests.program import PROGRAM, environ, write_job

CANARY = "canary-4711-do-not-tell"


def run(base, body, *arguments, **variables):
    """Run a job whose `fit` has the given lines."""
    lines = "\n    ".join(body.strip().splitlines())
    script = f"import os, sys\nfrom byoc.training import run\ndef fit(job):\n    {lines}\nsys.exit(run(fit, ['loss']))"
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environ(base, PYTHONPATH=str(PROGRAM), **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def model(base):
    return sorted(str(path.relative_to(base / "model")) for path in (base / "model").rglob("*"))


SAVE = '(job.model_dir / "model.bin").write_text("whole")'


def test_a_job_that_goes_well(tmp_path):
    """CONTRACT checks 3 and 22."""
    done = run(write_job(tmp_path), f"job.metric('loss', 0.25)\n{SAVE}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "loss=0.25;\n"
    assert model(tmp_path) == ["model.bin"]
    assert not (tmp_path / "output/failure").exists()
    assert "model.bin" in json.loads(done.stderr.splitlines()[-1])["message"]


FAILURES = {
    "a mistake of the user's": ("from byoc.errors import DataError\nraise DataError('no rows')", "DataError: no rows"),
    "a defect": ("1 / 0", "ZeroDivisionError: division by zero"),
    "no memory": ("raise MemoryError('too big')", "MemoryError: too big"),
    "an end without a model": ("sys.exit(0)", "SystemExit: 0"),
    "nothing written": ("pass", "ModelError: fit() wrote no model"),
    "a link": (f"{SAVE}\n(job.model_dir / 'l').symlink_to('/etc')", "ModelError: l is a link"),
    "a missing channel": ("job.channel('training', 'train')", "DataError: channel 'training' is missing"),
    "disk full": ("raise OSError(28, 'No space left on device')", "OSError: [Errno 28] No space left"),
}


@pytest.mark.parametrize(("body", "cause"), FAILURES.values(), ids=FAILURES)
def test_whatever_fails_is_told_cause_first(tmp_path, body, cause):
    """CONTRACT checks 28, 29, 30 and 34."""
    (write_job(tmp_path) / "model" / "old.bin").write_text("of an earlier run")
    failed = run(tmp_path, f"(job.model_dir / 'half').write_text('half')\n{body}" if "pass" not in body else body)
    assert failed.returncode == 1
    told = (tmp_path / "output/failure").read_text(encoding="utf-8")
    assert told.startswith(cause)
    assert len(told) <= 1024
    assert model(tmp_path) == ["old.bin"]
    assert cause in failed.stderr


def test_a_users_mistake_has_no_traceback_and_a_defect_has(tmp_path):
    user = run(write_job(tmp_path / "user"), "job.channel('training')")
    assert "Traceback" not in user.stderr + (tmp_path / "user/output/failure").read_text()
    run(write_job(tmp_path / "defect"), "1 / 0")
    assert "Traceback" in (tmp_path / "defect/output/failure").read_text()


def test_secrets_of_the_environment_are_not_told(tmp_path):
    """CONTRACT check 33."""
    run(write_job(tmp_path), "raise ValueError(os.environ['API_TOKEN'])", API_TOKEN=CANARY)
    told = (tmp_path / "output/failure").read_text()
    assert CANARY not in told
    assert told.startswith("ValueError: <API_TOKEN>")


def test_secret_hyperparameters_are_hidden_in_the_log(tmp_path):
    done = run(write_job(tmp_path, {"api_key": CANARY, "depth": "5"}), SAVE)
    assert CANARY not in done.stderr + done.stdout
    assert "'depth': 5" in done.stderr


def test_a_childs_failure_file_is_kept(tmp_path):
    """CONTRACT check 31."""
    body = "path = job.environment.paths.failure\npath.write_text('child: nearer to the fault')\n1 / 0"
    assert run(write_job(tmp_path), body).returncode == 1
    assert (tmp_path / "output/failure").read_text() == "child: nearer to the fault"


def test_a_bad_config_file_fails_the_job(tmp_path):
    """CONTRACT check 30."""
    (write_job(tmp_path) / "input/config/hyperparameters.json").write_text("{")
    assert run(tmp_path, SAVE).returncode == 1
    assert "hyperparameters.json cannot be read as JSON" in (tmp_path / "output/failure").read_text()
    assert model(tmp_path) == []


def test_a_model_folder_that_cannot_be_written_is_told_first(tmp_path):
    """CONTRACT check 30."""
    (write_job(tmp_path) / "model").rmdir()
    (tmp_path / "model").write_text("a file")
    failed = run(tmp_path, "print('fitting')")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert (tmp_path / "output/failure").read_text().startswith("ModelError: cannot write to the model folder")


def test_no_failure_file_still_tells_the_cause(tmp_path):
    (write_job(tmp_path) / "output").rmdir()
    (tmp_path / "output").write_text("a file")
    failed = run(tmp_path, "1 / 0")
    assert failed.returncode == 1
    assert "cannot write" in failed.stderr
    assert "ZeroDivisionError: division by zero" in failed.stderr


def test_only_the_leader_writes_the_model(tmp_path):
    """CONTRACT checks 17 and 20."""
    resources = {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]}
    body = f"{SAVE}\n(job.output_dir / 'notes').write_text('mine')"
    done = run(write_job(tmp_path, resourceconfig=resources), body)
    assert done.returncode == 0, done.stderr
    assert model(tmp_path) == []
    assert (tmp_path / "output/data/algo-2/notes").read_text() == "mine"


def test_a_distribution_that_is_not_known_fails_the_job(tmp_path):
    """It is read beside the image's own fit too."""
    script = "import sys\nfrom byoc.training import run\nDISTRIBUTION = 'mpi'\ndef fit(job): pass\nsys.exit(run(fit))"
    given = environ(write_job(tmp_path), PYTHONPATH=str(PROGRAM))
    done = subprocess.run([sys.executable, "-c", script], env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (tmp_path / "output/failure").read_text().startswith("UserError: DISTRIBUTION = 'mpi' is not known")


def test_one_process_on_one_host_needs_no_torchrun(tmp_path):
    given = {"sagemaker_torch_distributed_enabled": "true"}
    done = run(write_job(tmp_path, given), f"assert (job.rank, job.world_size) == (0, 1)\n{SAVE}")
    assert done.returncode == 0, done.stderr
    assert model(tmp_path) == ["model.bin"]


STOPS = {
    "one that never asks": ("signal.raise_signal(signal.SIGTERM)", 143, []),
    "one that asks": (
        "job.stopping\nsignal.raise_signal(signal.SIGTERM)\nassert job.stopping\n" + SAVE,
        0,
        ["model.bin"],
    ),
}


@pytest.mark.parametrize(("body", "code", "files"), STOPS.values(), ids=STOPS)
def test_a_stop_is_no_failure(tmp_path, body, code, files):
    """CONTRACT check 36."""
    stopped = run(write_job(tmp_path), f"import signal\n{body}")
    assert stopped.returncode == code, stopped.stderr
    assert model(tmp_path) == files
    assert not (tmp_path / "output/failure").exists()


ARGUMENTS = [
    ((), 0),
    (("train",), 0),
    (("--help",), 0),
    (("--metric-definitions",), 0),
    (("serve",), 2),
    (("--verbose",), 2),
]


@pytest.mark.parametrize(("arguments", "code"), ARGUMENTS)
def test_arguments(tmp_path, arguments, code):
    """CONTRACT checks 1 and 35."""
    done = run(write_job(tmp_path), SAVE, *arguments)
    assert done.returncode == code
    assert model(tmp_path) == (["model.bin"] if arguments in ((), ("train",)) else [])
    assert ("usage: train" in done.stderr) is (code == 2)


def test_metric_definitions_are_what_create_training_job_takes(tmp_path):
    done = run(write_job(tmp_path), SAVE, "--metric-definitions")
    assert [entry["Name"] for entry in json.loads(done.stdout)] == ["loss"]


def job(base, **environment):
    return Job(TrainingEnvironment(Paths(base), **environment), Path("model"), StopNotice())


def test_a_missing_channel_is_told_with_those_that_are_there(tmp_path):
    """CONTRACT check 28."""
    given = job(tmp_path, channels={"trian": {}, "code": {}})
    with pytest.raises(DataError) as refused:
        given.channel("training", "train")
    for word in (
        "'training' is missing",
        str(tmp_path / "input/data/training"),
        "'training' or 'train'",
        "code, trian",
    ):
        assert word in str(refused.value)
    assert given.optional_channel("validation") is None


def test_a_job_decodes_its_hyperparameters(tmp_path):
    given = job(tmp_path, hyperparameters={"depth": '"5"', "sagemaker_region": "eu-west-1"}, log_level=logging.INFO)
    assert given.hyperparameters == {"depth": 5}
    assert given.cpus >= 1
    assert given.output_dir == tmp_path / "output/data"
