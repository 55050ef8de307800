"""What a program says on stderr: passed on at once, and its end kept, which tells the reason of a failure."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

# Bytes that are kept for the failure file, which has 1,024 characters.
TAIL = 700
# Seconds to wait for the end of what is said: what the program left running may hold its stderr open.
LEFT_OPEN = 2.0


class Listener:
    """Listens to the stderr of a program, which has to be a pipe."""

    def __init__(self, program: subprocess.Popen[bytes]) -> None:
        assert program.stderr is not None
        self._source = program.stderr.fileno()
        self._said = bytearray()
        self._thread = threading.Thread(target=self._pass_on, name="stderr", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Return the end of what was said, once the program has ended."""
        self._thread.join(LEFT_OPEN)
        return self._said.decode("utf-8", "replace")

    def _pass_on(self) -> None:
        while chunk := os.read(self._source, 1 << 16):
            os.write(sys.stderr.fileno(), chunk)
            self._said += chunk
            del self._said[:-TAIL]


def explain(name: str, status: int, said: str, is_cause: Callable[[str], bool] = lambda _: True) -> str:
    """Return the cause first, which in most languages is the last line, then what stood before it.

    Args:
        name: the program's.
        status: as `subprocess` has it, the negative of a signal that killed it.
        said: on stderr.
        is_cause: whether a line may be the cause, where others may not.

    """
    lines = said.strip().splitlines()
    if status < 0:
        ended = f"was killed by {signal.Signals(-status).name}"
        ended += ", perhaps for want of memory" if status == -signal.SIGKILL else ""
    else:
        ended = f"ended with exit code {status}"
    if not lines:
        return f"{name} {ended}, and said nothing on stderr"
    last = next((number for number in reversed(range(len(lines))) if is_cause(lines[number])), len(lines) - 1)
    before = lines[:last]
    return f"{name} {ended}: {lines[last].strip()}" + "".join(f"\n{line}" for line in ["", *before] if before)
