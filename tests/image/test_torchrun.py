"""PyTorch over hosts by torchrun, each host a container with limits: one model, one failure, one end for all."""

from __future__ import annotations

import re
import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import datasets, engine, program
from tests.image.test_hosts import HOSTS, network, place
from tests.image.test_torch import WEIGHTS, check_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]

LIMITS = ["--memory", "1g", "--cpus", "1"]
RANKS = Path(__file__).with_name("ranks")
STEPS = ["-v", f"{RANKS}/steps.py:/opt/program/code/steps.py:ro", "-e", "BYOC_ENTRY_POINT=steps.py"]
# Ten comes before two, as the platform sorts them: rank 1 is on algo-10.
SORTED = ["algo-1", "algo-10", "algo-2"]
# What a machine that is busy with other tests may take.
SECONDS = 180


@contextmanager
def job(
    image: str,
    base: Path,
    hyperparameters: Mapping[str, Any],
    options: Sequence[str] = (),
    hosts: Sequence[str] = HOSTS,
    absent: str = "",
) -> Iterator[dict[str, engine.Container]]:
    """Run a job on its hosts, but an absent one; give their containers by name.

    All are gone and their files ours afterwards.
    """
    given = {name: str(value) for name, value in hyperparameters.items()}
    try:
        with network() as net, ExitStack() as stack:
            containers = {}
            for host in [each for each in hosts if each != absent]:
                ml = program.write_job(base / host, given, resourceconfig={"current_host": host, "hosts": hosts})
                datasets.digits().write(ml / "input/data/training/digits.csv")
                (ml / "checkpoints").mkdir(exist_ok=True)
                words = [*place(net, host, ml), *LIMITS, *options]
                containers[host] = stack.enter_context(engine.running(image, "train", options=words))
            yield containers
    finally:
        engine.give_back(image, base)


def ends(containers: Mapping[str, engine.Container]) -> list[int]:
    return [container.wait(SECONDS) for container in containers.values()]


def logs(containers: Mapping[str, engine.Container]) -> str:
    return "\n".join(f"--- {host}\n{container.log()}" for host, container in containers.items())


def failure(base: Path, host: str) -> str:
    return (base / host / "output/failure").read_text()


def left(base: Path, hosts: Sequence[str] = HOSTS) -> list[list[str]]:
    """Return the names in each host's model folder."""
    return [sorted(path.name for path in (base / host / "model").iterdir()) for host in hosts]


def term(containers: Mapping[str, engine.Container]) -> None:
    engine.docker("kill", "--signal", "TERM", *(container.name for container in containers.values()))


def train(image: str, base: Path, epochs: int) -> dict[str, str]:
    """Train the example to its end; return what each host printed."""
    with job(image, base, {"epochs": epochs, "hidden": 64}) as containers:
        assert ends(containers) == [0, 0, 0], logs(containers)
        return {host: container.log() for host, container in containers.items()}


def metrics(log: str) -> list[str]:
    return [line for line in log.splitlines() if re.fullmatch(r"[\w:]+=\S+;", line)]


def test_a_stop_keeps_the_model_and_the_job_goes_on_to_the_same_one(lightning: str, tmp_path: Path) -> None:
    """Three hosts stop after the same batch; what goes on from their checkpoint ends as what was never stopped."""
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with job(lightning, stopped, {"epochs": 500, "hidden": 64}) as containers:
        containers["algo-1"].wait_for_log("epoch 2 of 500", SECONDS)
        term(containers)
        assert ends(containers) == [0, 0, 0], logs(containers)
        assert "stopping after the current step" in containers["algo-2"].log()
    assert left(stopped) == [["model.safetensors", "schema.json"], [], []]
    assert not list(stopped.glob("*/output/failure"))
    saved = stopped / "algo-1" / "checkpoints"
    assert [len(list((stopped / host / "checkpoints").rglob("*.checkpoint"))) for host in HOSTS] == [2, 0, 0]
    done = max(int(file.name.partition(".")[0]) for file in saved.rglob("*.checkpoint")) + 1
    for host in HOSTS[1:]:  # as the platform does, which gives every host what any of them saved
        shutil.copytree(saved, stopped / host / "checkpoints", dirs_exist_ok=True)
    went_on = train(lightning, stopped, done + 8)
    straight = train(lightning, whole, done + 8)
    assert all(f"going on after epoch {done}" in log for log in went_on.values())
    assert metrics(went_on["algo-1"]) == metrics(straight["algo-1"])[2 * done :] != []
    assert [metrics(log[host]) for log in (went_on, straight) for host in HOSTS[1:]] == [[]] * 4
    files = [f"/opt/ml/{name}/algo-1/model/model.safetensors" for name in ("stopped", "whole")]
    compared = engine.run(lightning, "python3", "-c", WEIGHTS, *files, options=["-v", f"{tmp_path}:/opt/ml:ro"])
    assert compared.stdout == "True\n", compared.stderr
    check_answers(lightning, whole / "algo-1")


def test_ranks_of_all_hosts_work_together(lightning: str, tmp_path: Path) -> None:
    with job(lightning, tmp_path, {}, [*STEPS, "-e", "BYOC_PROCESSES_PER_HOST=2"], SORTED) as containers:
        assert ends(containers) == [0, 0, 0], logs(containers)
        assert metrics(containers["algo-1"].log()) == [f"steps={step};" for step in range(5)]
    assert left(tmp_path, SORTED) == [["steps"], [], []]
    assert (tmp_path / "algo-1/model/steps").read_text() == "30 of rank 0 of 6"
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.glob("*/output/data/*/*")}
    assert found == {
        f"{host}/output/data/{host}/rank-{2 * number + local}": f"{local} 1"
        for number, host in enumerate(SORTED)
        for local in range(2)
    }


TROUBLES = {
    "error": "ValueError: the second rank has had enough",
    "exit": "SystemExit: 3",
    "killed": "rank 1 was killed by SIGKILL, perhaps for want of memory",
}


@pytest.mark.parametrize(("kind", "cause"), TROUBLES.items())
def test_a_rank_that_fails_fails_the_job_everywhere_with_its_cause(
    lightning: str, tmp_path: Path, kind: str, cause: str
) -> None:
    with job(lightning, tmp_path, {"trouble": kind, "steps": 100_000}, STEPS, SORTED) as containers:
        assert [code > 0 for code in ends(containers)] == [True] * 3, logs(containers)
    assert failure(tmp_path, "algo-10").startswith(cause)
    for host in ("algo-1", "algo-2"):
        assert failure(tmp_path, host).startswith(f"RankError: training failed on host algo-10: {cause}")
    assert left(tmp_path, SORTED) == [[], [], []]


@pytest.mark.parametrize("lost", ["algo-1", "algo-3"])
def test_a_host_that_is_lost_in_mid_training_ends_the_others(lightning: str, tmp_path: Path, lost: str) -> None:
    rest = [host for host in HOSTS if host != lost]
    with job(lightning, tmp_path, {"steps": 100_000}, STEPS) as containers:
        containers["algo-1"].wait_for_log("steps=5;", SECONDS)
        engine.docker("kill", containers[lost].name)
        assert [containers[host].wait(SECONDS) for host in rest] == [1, 1], logs(containers)
    for host in rest:
        assert f"host {lost}" in failure(tmp_path, host)
        assert "lost" in failure(tmp_path, host)


def test_a_host_that_never_comes_is_named_by_all_others(lightning: str, tmp_path: Path) -> None:
    options = [*STEPS, "-e", "BYOC_HOSTS_TIMEOUT=20"]
    with job(lightning, tmp_path, {}, options, absent="algo-3") as containers:
        assert ends(containers) == [1, 1], logs(containers)
    for host in HOSTS[:2]:
        assert "host algo-3 did not come within 20 s" in failure(tmp_path, host)


@pytest.mark.parametrize(("asks", "code", "files"), [("true", 0, ["steps"]), ("false", 143, [])])
def test_a_stop_of_all_hosts(lightning: str, tmp_path: Path, asks: str, code: int, files: list[str]) -> None:
    with job(lightning, tmp_path, {"steps": 100_000, "asks": asks}, STEPS) as containers:
        containers["algo-1"].wait_for_log("steps=5;", SECONDS)
        term(containers)
        assert ends(containers) == [code] * 3, logs(containers)
    assert left(tmp_path) == [files, [], []]
    assert not list(tmp_path.glob("*/output/failure"))


def test_a_second_signal_ends_at_once(lightning: str, tmp_path: Path) -> None:
    """Ranks that have asked go on to the next step, which never comes to one whose first host hangs."""
    with job(lightning, tmp_path, {"steps": 100_000}, STEPS, HOSTS[:2]) as containers:
        containers["algo-1"].wait_for_log("steps=5;", SECONDS)
        engine.docker("pause", containers["algo-2"].name)
        engine.docker("kill", "--signal", "TERM", containers["algo-1"].name)
        containers["algo-1"].wait_for_log("stopping after the current step")
        engine.docker("kill", "--signal", "TERM", containers["algo-1"].name)
        assert containers["algo-1"].wait(60) == 143, containers["algo-1"].log()
        engine.docker("unpause", containers["algo-2"].name)


def write_script(base: Path) -> dict[str, str]:
    """Put the script where both hosts have it; return the hyperparameters that name it, as the SDK writes them."""
    for host in HOSTS[:2]:
        (base / host / "input/data/code").mkdir(parents=True)
        shutil.copy(RANKS / "script.py", base / host / "input/data/code/script.py")
    return {
        "sagemaker_program": '"script.py"',
        "sagemaker_submit_directory": '"/opt/ml/input/data/code"',
        "sagemaker_torch_distributed_enabled": "true",
    }


def test_a_script_of_the_sdks_runs_under_torchrun(lightning: str, tmp_path: Path) -> None:
    options = ["-e", "BYOC_PROCESSES_PER_HOST=2"]
    with job(lightning, tmp_path, write_script(tmp_path), options, HOSTS[:2]) as containers:
        assert ends(containers) == [0, 0], logs(containers)
    assert (tmp_path / "algo-1/model/total").read_text() == "10 by 4 on algo-1"


def test_a_script_that_fails_tells_its_own_cause(lightning: str, tmp_path: Path) -> None:
    given = {**write_script(tmp_path), "trouble": "nothing to learn"}
    with job(lightning, tmp_path, given, (), HOSTS[:2]) as containers:
        assert ends(containers) == [1, 1], logs(containers)
    cause = "rank 1 of script.py ended with exit code 1: ValueError: nothing to learn"
    assert failure(tmp_path, "algo-2").startswith(cause)
    assert failure(tmp_path, "algo-1") == f"RankError: training failed on host algo-2: {cause}"


def test_the_command_that_sdk_v3s_driver_calls(lightning: str) -> None:
    """It finds the packages of the image, and ranks that meet, with a PyTorch without libuv too."""
    mount = ["-v", f"{RANKS}/script.py:/tmp/script.py:ro", "-e", "SM_CURRENT_HOST=here", "-e", "SM_MODEL_DIR=/tmp"]
    for shape in (["--standalone"], []):
        words = ["torchrun", *shape, "--nproc-per-node", "2", "/tmp/script.py"]
        done = engine.run(lightning, "sh", "-c", f"{' '.join(words)} && cat /tmp/total", options=mount)
        assert done.stdout == "3 by 2 on here", done.stderr


def test_several_ranks_on_one_host_need_no_others(lightning: str, tmp_path: Path) -> None:
    options = [*STEPS, "-e", "BYOC_PROCESSES_PER_HOST=2", "--network", "none"]
    ml = program.write_job(tmp_path, {"trouble": "none"})
    done = engine.run(lightning, "train", options=["-v", f"{ml}:/opt/ml", *options])
    engine.give_back(lightning, ml)
    assert done.returncode == 0, done.stderr
    assert (ml / "model/steps").read_text() == "10 of rank 0 of 2"


def test_an_image_without_pytorch_says_so(image: str, tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text('DISTRIBUTION = "torchrun"\n\n\ndef fit(job):\n    pass\n')
    ml = program.write_job(tmp_path / "ml", resourceconfig={"current_host": "algo-1", "hosts": HOSTS})
    mount = ["-v", f"{tmp_path}/plain.py:/opt/program/code/plain.py:ro", "-e", "BYOC_ENTRY_POINT=plain.py"]
    done = engine.run(image, "train", options=["-v", f"{ml}:/opt/ml", *mount])
    engine.give_back(image, ml)
    assert done.returncode == 1
    assert "build it with --extra torch" in (ml / "output/failure").read_text()
