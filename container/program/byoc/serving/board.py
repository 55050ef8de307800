"""The workers' notice board: what each of them is doing, in a file that they and the supervisor map into memory.

A worker writes its own slot and nobody else's, the gunicorn master hands slots out and counts deaths, and the
supervisor reads. So the health check knows the truth about the workers without asking, and so waiting for, any of them.
"""

from __future__ import annotations

import math
import mmap
import struct
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Monotonic seconds are the same clock in every process of a machine.
# pid · ready · last sign of life · when the running prediction began, 0 when idle · predictions failed in a row
SLOT = struct.Struct("=qqddq")
# boots that ended before the worker was ready · workers that died later (both the master's) · ever ready (workers')
DEATHS = struct.Struct("=qq")
EVER_READY = struct.Struct("=q")
HEADER_SIZE = DEATHS.size + EVER_READY.size

# Seconds between two signs of life, and without one after which an idle worker counts as dead.
BEAT = 1.0
SILENCE = 15.0


@dataclass(frozen=True)
class Slot:
    """One worker's state."""

    pid: int
    ready: bool
    beat: float
    busy_since: float
    failures: int

    @property
    def left(self) -> bool:
        """Whether the worker ended in order."""
        return self.beat == math.inf

    def is_able(self, deadline: float, now: float) -> bool:
        """Whether the worker can take requests: loaded, and alive or at work on a prediction within its deadline."""
        if not self.ready:
            return False
        if self.left:
            return False
        if self.busy_since:
            return now - self.busy_since < deadline
        return now - self.beat < SILENCE


class Board:
    """The mapped file. Open it with `create` in the supervisor and with `open` everywhere else."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 0)
        self._slots = (len(self._map) - HEADER_SIZE) // SLOT.size

    @classmethod
    def create(cls, file: Path, workers: int) -> Board:
        """Make an empty board; twice the workers, since a new one starts while an old one still ends."""
        file.write_bytes(bytes(HEADER_SIZE + SLOT.size * (2 * workers + 2)))
        return cls(file)

    def take_slot(self) -> int:
        """Return a free slot's number; only the gunicorn master may ask, just before it forks."""
        taken = {number for number, slot in self._read() if slot.pid}
        free = next((number for number in range(self._slots) if number not in taken), self._slots - 1)
        self.write(free, Slot(-1, ready=False, beat=time.monotonic(), busy_since=0.0, failures=0))
        return free

    def free_slot(self, number: int) -> Slot:
        """Return what the ended worker last wrote, and free its slot."""
        slot = dict(self._read())[number]
        self.write(number, Slot(0, ready=False, beat=0.0, busy_since=0.0, failures=0))
        return slot

    def leave(self, number: int) -> None:
        """Note that the worker of this slot ends in order."""
        slot = dict(self._read())[number]
        self.write(number, replace(slot, beat=math.inf))

    def write(self, number: int, slot: Slot) -> None:
        """Write a slot."""
        SLOT.pack_into(
            self._map,
            HEADER_SIZE + number * SLOT.size,
            slot.pid,
            slot.ready,
            slot.beat,
            slot.busy_since,
            slot.failures,
        )
        if slot.ready:
            EVER_READY.pack_into(self._map, DEATHS.size, 1)

    def workers(self) -> list[Slot]:
        """Return the slots of the workers that live."""
        return [slot for _, slot in self._read() if slot.pid]

    def count_death(self, *, was_ready: bool) -> None:
        """Count a worker that ended without being asked to."""
        failed, died = DEATHS.unpack_from(self._map, 0)
        DEATHS.pack_into(self._map, 0, failed + (not was_ready), died + was_ready)

    def counts(self) -> tuple[int, int, bool]:
        """Return boots that failed, deaths later on, and whether a worker was ever ready."""
        failed, died = DEATHS.unpack_from(self._map, 0)
        (ever_ready,) = EVER_READY.unpack_from(self._map, DEATHS.size)
        return failed, died, bool(ever_ready)

    def _read(self) -> Iterator[tuple[int, Slot]]:
        for number in range(self._slots):
            pid, ready, beat, busy_since, failures = SLOT.unpack_from(self._map, HEADER_SIZE + number * SLOT.size)
            yield number, Slot(pid, bool(ready), beat, busy_since, failures)
