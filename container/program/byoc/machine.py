"""How much of the machine is ours: the container's cgroup, not the host, is what counts."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
# cgroup v1 writes "no limit" as a number near 2**63; no machine has an exbibyte.
UNLIMITED = 1 << 60


def cpus(cgroup: Path = CGROUP) -> int:
    """Return how many CPUs may be used at once: the affinity mask or the cgroup's quota, whichever is less.

    A quota of 1.5 CPUs gives 2. Reads cgroup v2 (``cpu.max``), then v1 (``cpu/cpu.cfs_quota_us``).
    """
    available = len(os.sched_getaffinity(0))
    quota = _cpu_quota(cgroup)
    return available if quota is None else max(1, min(available, math.ceil(quota)))


def _cpu_quota(cgroup: Path) -> float | None:
    v2 = _read(cgroup / "cpu.max")
    if v2 is not None:
        limit, period = v2.split()
        return None if limit == "max" else int(limit) / int(period)
    limit_v1 = _read(cgroup / "cpu" / "cpu.cfs_quota_us")
    period_v1 = _read(cgroup / "cpu" / "cpu.cfs_period_us")
    if limit_v1 is None or period_v1 is None or int(limit_v1) <= 0:
        return None
    return int(limit_v1) / int(period_v1)


def memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes of memory that may be used: the cgroup's limit or the machine's, whichever is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in (cgroup / "memory.max", cgroup / "memory" / "memory.limit_in_bytes"):
        limit = _read(file)
        if limit is not None and limit != "max" and int(limit) < UNLIMITED:
            return min(total, int(limit))
    return total


def memory_left(cgroup: Path = CGROUP, meminfo: Path = MEMINFO) -> int:
    """Return the bytes that may still be taken before the kernel kills: the cgroup's or the machine's, the less.

    What was read from files and not lately used counts as left, since the kernel gives it up first.
    """
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    machines = int(available[1]) * 1024 if available else UNLIMITED
    for folder, limit, used, cache in (
        (cgroup, "memory.max", "memory.current", "inactive_file"),
        (cgroup / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, now = _read(folder / limit), _read(folder / used)
        if most is None or now is None or most == "max" or int(most) >= UNLIMITED:
            continue
        reclaimable = re.search(rf"^{cache} (\d+)$", _read(folder / "memory.stat") or "", re.MULTILINE)
        return max(0, min(machines, int(most) - int(now) + int(reclaimable[1] if reclaimable else 0)))
    return machines


def devices(kind: str, dev: Path = Path("/dev")) -> int:
    """Return how many accelerators there are: device files ``nvidia0``, ``nvidia1``… or ``neuron0``…."""
    return sum(path.name.removeprefix(kind).isdecimal() for path in dev.glob(f"{kind}*"))


def take_gpu(number: int, dev: Path = Path("/dev")) -> None:
    """Set ``BYOC_GPU`` to the GPU that the process of this number is to use: they take turns. Leave it where set."""
    if gpus := devices("nvidia", dev):
        os.environ.setdefault("BYOC_GPU", str(number % gpus))


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except OSError:
        return None
