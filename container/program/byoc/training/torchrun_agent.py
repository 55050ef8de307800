"""torchrun's agent on one host: starts its ranks, with a PyTorch too that was built without libuv, as Debian's is.

As a file it is run with the name of one in which to leave, instead of printing a long report, which rank failed first;
then come torchrun's own arguments.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def torchrun(arguments: Sequence[str]) -> None:
    """Do what the command `torchrun` does."""
    from torch.distributed import run  # noqa: PLC0415 - takes seconds, and no other program here needs it

    if not _has_libuv():
        _do_without_libuv()
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


def _do_without_libuv() -> None:
    """Have agents and ranks meet without it: PyTorch's variable for that is heeded by a part of PyTorch only."""
    from torch.distributed import TCPStore  # noqa: PLC0415
    from torch.distributed.elastic.rendezvous import c10d_rendezvous_backend, static_tcp_rendezvous  # noqa: PLC0415

    def beside(host: str, port: int, *arguments: Any, **options: Any) -> Any:
        return TCPStore(host, port + 1, *arguments, use_libuv=False, **options)

    # The ranks heed it where they have a store of their own, which then has the port that agents would have.
    os.environ |= {"USE_LIBUV": "0", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    static_tcp_rendezvous.StaticTCPRendezvous.use_agent_store = False
    static_tcp_rendezvous.TCPStore = beside
    c10d_rendezvous_backend.TCPStore = partial(TCPStore, use_libuv=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
