"""torchrun's agent on one host: starts its ranks, with a PyTorch too that was built without libuv, as Debian's is.

As a file it is run with the name of one in which to leave, instead of printing a long report, which rank failed first;
then come torchrun's own arguments.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RENDEZVOUS = "torch.distributed.elastic.rendezvous"


def torchrun(arguments: Sequence[str]) -> None:
    """Do what the command `torchrun` does."""
    from torch.distributed import TCPStore, run  # noqa: PLC0415 - takes seconds, and no other program here needs it

    if not _has_libuv():
        # What the ranks make stores of looks at this variable, what the agents make theirs of does not.
        os.environ["USE_LIBUV"] = "0"
        for name in ("static_tcp_rendezvous", "c10d_rendezvous_backend"):
            module = importlib.import_module(f"{RENDEZVOUS}.{name}")
            module.TCPStore = partial(TCPStore, use_libuv=False)  # type: ignore[attr-defined]
    run.main(list(arguments))


def main(told: str, arguments: Sequence[str]) -> int:
    """Run the ranks to their end; 1 where one failed."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415

    logging.disable(logging.ERROR)  # what it would say, the host says
    try:
        torchrun(arguments)
    except ChildFailedError as error:
        rank, first = error.get_first_failure()
        Path(told).write_text(json.dumps({"rank": rank, "status": first.exitcode}))
        return 1
    return 0


def _has_libuv() -> bool:
    from torch.distributed import TCPStore  # noqa: PLC0415

    try:
        TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    except RuntimeError as error:
        return "libuv" not in str(error)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
