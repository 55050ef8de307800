"""CPUs and memory as the container's cgroup grants them, in both versions of cgroups."""

import os

import pytest

from byoc import machine

HOST_CPUS = len(os.sched_getaffinity(0))
HOST_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

CPUS = {
    "v2 unlimited": ({"cpu.max": "max 100000"}, HOST_CPUS),
    "v2 one": ({"cpu.max": "100000 100000"}, 1),
    "v2 half": ({"cpu.max": "50000 100000"}, 1),
    "v2 one and a half": ({"cpu.max": "150000 100000"}, min(2, HOST_CPUS)),
    "v2 more than the host": ({"cpu.max": "99900000 100000"}, HOST_CPUS),
    "v1 unlimited": ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, HOST_CPUS),
    "v1 one": ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    "v1 a tenth": ({"cpu/cpu.cfs_quota_us": "10000", "cpu/cpu.cfs_period_us": "100000"}, 1),
    "no cgroup": ({}, HOST_CPUS),
}
MEMORY = {
    "v2 unlimited": ({"memory.max": "max"}, HOST_MEMORY),
    "v2 limited": ({"memory.max": "268435456"}, 256 << 20),
    "v2 more than the host": ({"memory.max": str(HOST_MEMORY * 4)}, HOST_MEMORY),
    "v1 unlimited": ({"memory/memory.limit_in_bytes": "9223372036854771712"}, HOST_MEMORY),
    "v1 limited": ({"memory/memory.limit_in_bytes": "268435456"}, 256 << 20),
    "no cgroup": ({}, HOST_MEMORY),
}
# MemAvailable is 1 GiB.
MEMINFO = "MemTotal:        4194304 kB\nMemFree:          102400 kB\nMemAvailable:    1048576 kB\n"
MEBIBYTE = 1 << 20
V1 = {"memory/memory.limit_in_bytes": str(512 * MEBIBYTE), "memory/memory.usage_in_bytes": str(300 * MEBIBYTE)}
LEFT = {
    "v2": ({"memory.max": str(512 * MEBIBYTE), "memory.current": str(300 * MEBIBYTE)}, 212),
    "v2 with files read": (
        {
            "memory.max": str(512 * MEBIBYTE),
            "memory.current": str(300 * MEBIBYTE),
            "memory.stat": f"anon 7\ninactive_anon 9\ninactive_file {100 * MEBIBYTE}\nactive_file 5",
        },
        312,
    ),
    "v2 full": ({"memory.max": str(MEBIBYTE), "memory.current": str(2 * MEBIBYTE)}, 0),
    "v2 more than the machine has": ({"memory.max": str(1 << 40), "memory.current": "0"}, 1024),
    "v2 unlimited": ({"memory.max": "max", "memory.current": "0"}, 1024),
    "v1": (V1, 212),
    "v1 with files read": (V1 | {"memory/memory.stat": f"inactive_file 9\ntotal_inactive_file {100 * MEBIBYTE}"}, 312),
    "v1 unlimited": (V1 | {"memory/memory.limit_in_bytes": "9223372036854771712"}, 1024),
    "no cgroup": ({}, 1024),
}


def write(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text + "\n")


@pytest.mark.parametrize(("files", "cpus"), CPUS.values(), ids=CPUS)
def test_cpus(tmp_path, files, cpus):
    write(tmp_path, files)
    assert machine.cpus(tmp_path) == cpus


@pytest.mark.parametrize(("files", "memory"), MEMORY.values(), ids=MEMORY)
def test_memory(tmp_path, files, memory):
    write(tmp_path, files)
    assert machine.memory(tmp_path) == memory


@pytest.mark.parametrize(("files", "megabytes"), LEFT.values(), ids=LEFT)
def test_memory_left(tmp_path, files, megabytes):
    write(tmp_path, {**files, "meminfo": MEMINFO})
    assert machine.memory_left(tmp_path, tmp_path / "meminfo") == megabytes * MEBIBYTE


def test_a_process_bound_to_one_cpu_has_one(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3})
    write(tmp_path, {"cpu.max": "400000 100000"})
    assert machine.cpus(tmp_path) == 1


def test_accelerators_are_counted_by_their_device_files(tmp_path):
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "neuron0", "null"):
        (tmp_path / name).touch()
    assert [machine.devices(kind, tmp_path) for kind in ("nvidia", "neuron", "tpu")] == [2, 1, 0]
