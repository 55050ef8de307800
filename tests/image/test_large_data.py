"""More rows than any host's memory: three containers with a share each make the model that one makes of all files."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests import engine, program
from tests.image.test_hosts import HOSTS, network, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = pytest.mark.docker

# What a container may have, and what the files of all hold: on the first host, this has to do for Dask too.
MEMORY = 600 << 20
SHARE = 250 << 20
LIMITS = ["--memory", str(MEMORY), "--memory-swap", str(MEMORY), "--cpus", "1"]
HYPERPARAMETERS = {"target": "label", "passes": "1"}
SHARDED = {"training": {"S3DistributionType": "ShardedByS3Key", "TrainingInputMode": "File"}}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Three files that are larger together than a container's memory; rows differ, and come again and again."""
    folder = tmp_path_factory.mktemp("large")
    made = []
    for number in range(3):
        generator = np.random.default_rng(number)
        rows = generator.normal(size=(10_000, 12))
        labels = np.where(rows[:, :6].sum(axis=1) > rows[:, 6:].sum(axis=1), "yes", "no")
        colours = generator.choice(["red", "green", "", "blue"], len(rows))
        lines = [
            f"{label},{colour},{','.join(map(repr, row))}\n"
            for label, colour, row in zip(labels, colours, rows.tolist(), strict=True)
        ]
        block = "".join(lines).encode()
        made.append(folder / f"part-{number}.csv")
        with made[-1].open("wb") as file:
            file.write(b"label,colour," + ",".join(f"x{column}" for column in range(12)).encode() + b"\n")
            for _ in range(SHARE // len(block) + 1):
                file.write(block)
    assert sum(file.stat().st_size for file in made) > 1.2 * MEMORY
    yield made
    for file in made:
        file.unlink()


def write(base: Path, host: str, hosts: Sequence[str], files: Sequence[Path]) -> Path:
    resources = {"current_host": host, "hosts": list(hosts)}
    ml = program.write_job(base / host, HYPERPARAMETERS, resourceconfig=resources, inputdataconfig=SHARDED)
    (ml / "input/data/training").mkdir(parents=True)
    for file in files:
        os.link(file, ml / "input/data/training" / file.name)
    return ml


@contextmanager
def hosts(image: str, folder: Path, files: Sequence[Path]) -> Iterator[dict[str, engine.Container]]:
    """Start hosts that have a file each; give their containers by name."""
    with network() as net, ExitStack() as stack:
        containers = {}
        for host, file in zip(HOSTS, files, strict=True):
            options = [*place(net, host, write(folder, host, HOSTS, [file])), *LIMITS]
            containers[host] = stack.enter_context(engine.running(image, "train", options=options))
        yield containers


@pytest.mark.timeout(600)
def test_three_hosts_with_a_share_each_make_the_model_of_one_with_all(
    wide: str,
    files: list[Path],
    tmp_path: Path,
) -> None:
    try:
        with hosts(wide, tmp_path / "three", files) as containers:
            for container in containers.values():
                assert container.wait(240) == 0, container.log()
            log = containers["algo-1"].log()
        assert "3 files (1 on algo-1, 1 on algo-2, 1 on algo-3)" in log
        ml = write(tmp_path / "one", "algo-1", ["algo-1"], files)
        (ml / "input/config/hyperparameters.json").write_text(json.dumps({**HYPERPARAMETERS, "incremental": "true"}))
        with engine.running(wide, "train", options=["-v", f"{ml}:/opt/ml", *LIMITS]) as container:
            assert container.wait(240) == 0, container.log()
    finally:
        engine.give_back(wide, tmp_path)
    three, one = tmp_path / "three/algo-1/model", tmp_path / "one/algo-1/model"
    for name in ("model.onnx", "schema.json", "metrics.json"):
        assert (three / name).read_bytes() == (one / name).read_bytes()
    facts = json.loads((three / "metrics.json").read_bytes())
    assert facts["metrics"]["accuracy"] > 0.95
    assert sum(facts["rows"].values()) == sum(file.read_bytes().count(b"\n") - 1 for file in files)
    assert [list((tmp_path / "three" / host / "model").iterdir()) for host in HOSTS[1:]] == [[], []]
    with engine.serving(wide, three) as server:
        server.wait_ready()
        answer = server.post("red," + ",".join(["2"] * 6 + ["0"] * 6) + "\n,," + ",".join(["2"] * 11) + "\n")
        assert answer.status_code == 400  # a missing number, of which there was none
        answer = server.post("red," + ",".join(["2"] * 6 + ["0"] * 6) + "\n," + ",".join(["0"] * 6 + ["2"] * 6) + "\n")
        assert (answer.status_code, answer.text.split()) == (200, ["yes", "no"])


def test_a_host_that_is_lost_with_its_share_ends_the_job_everywhere(
    wide: str,
    files: list[Path],
    tmp_path: Path,
) -> None:
    try:
        with hosts(wide, tmp_path, files) as containers:
            containers["algo-1"].wait_for_log("blocks", 120)
            engine.docker("kill", containers["algo-3"].name)
            codes = [containers[host].wait(120) for host in HOSTS[:2]]
            log = containers["algo-1"].log()
        assert codes == [1, 1], log
    finally:
        engine.give_back(wide, tmp_path)
    lost = "host algo-3 is lost, and with it its share of channel 'training', which is ShardedByS3Key"
    assert (tmp_path / "algo-1/output/failure").read_text() == f"ClusterError: {lost}"
    assert lost in (tmp_path / "algo-2/output/failure").read_text()
