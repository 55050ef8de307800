"""A rank: one of the processes that torchrun runs `fit` in, on each host one or, with GPUs, one for each of them."""

from __future__ import annotations

import atexit
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from byoc.env import TrainingEnvironment

# Names the folder in which a host's ranks find their plan and leave why they failed.
FOLDER = "BYOC_RANKS"
PLAN = "plan.json"
FAILURE = "failure."


@dataclass(frozen=True)
class Rank:
    """Which of the processes this is; without torchrun it is the only one.

    Attributes:
        number: 0 leads: its model is kept, it reports the metrics and keeps the checkpoints.
        count: how many there are, on all hosts.
        local_number: which one on this host.
        local_count: how many there are on this host.
        folder: the host's, for its ranks.

    """

    number: int = 0
    count: int = 1
    local_number: int = 0
    local_count: int = 1
    folder: Path | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Rank | None:
        """Return which one this process is, None where it is none of torchrun's."""
        if FOLDER not in environ:
            return None
        return cls(
            number=int(environ["RANK"]),
            count=int(environ["WORLD_SIZE"]),
            local_number=int(environ["LOCAL_RANK"]),
            local_count=int(environ["LOCAL_WORLD_SIZE"]),
            folder=Path(environ[FOLDER]),
        )

    def plan(self) -> dict[str, Any]:
        """Return what the host has laid down: ``model_dir``, and ``checkpoints`` that all hosts have."""
        assert self.folder is not None
        plan: dict[str, Any] = json.loads((self.folder / PLAN).read_bytes())
        return plan

    def model_dir(self) -> Path:
        """Return where the rank's model goes, which only the first one's is kept of."""
        assert self.folder is not None
        if self.local_number == 0:
            return Path(self.plan()["model_dir"])
        scratch = self.folder / f"model.{self.number}"
        scratch.mkdir()
        return scratch

    def tell_failure(self, text: str) -> None:
        """Leave the reason of a failure, cause first, to the host."""
        assert self.folder is not None
        # By a rename: the host looks at any time.
        unfinished = self.folder / f".{FAILURE}{self.number}"
        unfinished.write_text(text, encoding="utf-8", errors="replace")
        unfinished.rename(self.folder / f"{FAILURE}{self.number}")

    @staticmethod
    def leave(code: int) -> NoReturn:
        """End the process with what was to be done at its end, but for taking PyTorch's connections down.

        That may wait forever: gloo's threads are waited for with Python's lock held, which they may themselves want.
        """
        atexit._run_exitfuncs()  # noqa: SLF001 - as the interpreter does; there is no other name for it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


ALONE = Rank()


def checkpoints(environment: TrainingEnvironment) -> tuple[Path | None, str]:
    """Return the folder of checkpoints and whose part of it all ranks use: that of the host of the first one."""
    return environment.checkpoints, environment.hosts[0] if len(environment.hosts) > 1 else ""


def failures(folder: Path) -> Iterator[str]:
    """Yield why ranks of this host failed, the earliest first."""
    for file in sorted(folder.glob(f"{FAILURE}*"), key=lambda file: file.stat().st_mtime_ns):
        yield file.read_text(encoding="utf-8")
