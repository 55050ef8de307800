"""Hosts of a training job: containers on a network of their own, each with the same CPU time and memory."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.wide.probe import SAYS
from tests import engine

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBE = Path(__file__).with_name("probe.py")
# Four hosts of half a CPU each have what they are promised on a machine of two.
CPUS = 0.5
LIMITS = ("--cpus", str(CPUS), "--memory", "1g")
# Of this machine's CPUs, what others may use while we measure; and the seconds that we wait for them.
OTHERS = 0.2
PATIENCE = 20.0


class HostsError(Exception):
    """A job failed."""


@dataclass(frozen=True)
class Ran:
    """What a job on several hosts showed.

    Attributes:
        started: when the containers were started, in seconds since 1970.
        seconds: from then until the first host's container ended.
        said: what the probe in it found.

    """

    started: float
    seconds: float
    said: dict[str, Any]


def run(image: str, count: int, probe: str, base: Path, hyperparameters: Mapping[str, str], data: Path) -> Ran:
    """Run a job on so many hosts, its folders below ``base``; what the containers wrote is gone afterwards.

    Raises:
        HostsError: it failed.

    """
    name = f"byoc-wide-{uuid.uuid4().hex[:8]}"
    hosts = [f"algo-{number}" for number in range(1, count + 1)]
    engine.docker("network", "create", name)
    try:
        for host in hosts:
            ml = _lay_out(base / name / host, host, hosts, hyperparameters, data)
            engine.docker(
                *("create", "--name", f"{name}-{host}", "--network", name, "--network-alias", host, "--hostname", host),
                *("-v", f"{ml}:/opt/ml", "-v", f"{PROBE}:/opt/probe/probe.py:ro", *LIMITS),
                *("-e", "BYOC_ENTRY_POINT=/opt/probe/probe.py", "-e", f"BYOC_PROBE={probe}", image, "train"),
            )
        containers = [f"{name}-{host}" for host in hosts]
        _wait_for_rest()
        began = time.time()
        engine.docker("start", *containers)
        code = engine.docker("wait", containers[0]).stdout.strip()
        seconds = time.time() - began
        log = engine.Container(containers[0]).log()
        said = [line for line in log.splitlines() if line.startswith(SAYS)]
        if code != "0" or not said:
            raise HostsError(f"{probe} on {count} hosts ended with {code}: {log[-2000:]}")
        return Ran(began, seconds, json.loads(said[0].removeprefix(SAYS)))
    finally:
        engine.docker("rm", "-f", "-v", *(f"{name}-{host}" for host in hosts), check=False)
        engine.docker("network", "rm", name, check=False)
        engine.give_back(image, base / name)
        shutil.rmtree(base / name)


def _wait_for_rest() -> None:
    """Wait until this machine has little else to do, or no longer."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        before = _idle()
        time.sleep(1)
        if _idle() - before > 1 - OTHERS:
            return


def _idle() -> float:
    """Return the seconds that this machine's CPUs were idle, on average."""
    words = Path("/proc/stat").read_text().split()
    return int(words[4]) / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def _lay_out(ml: Path, host: str, hosts: list[str], hyperparameters: Mapping[str, str], data: Path) -> Path:
    config = ml / "input" / "config"
    for folder in (config, ml / "input" / "data" / "training", ml / "model", ml / "output"):
        folder.mkdir(parents=True)
    resources = {"current_host": host, "hosts": hosts, "network_interface_name": "eth0"}
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    (config / "hyperparameters.json").write_text(json.dumps(dict(hyperparameters)))
    shutil.copy(data, ml / "input" / "data" / "training")
    return ml
