"""What the processes of all models share: imported once by the fork server, so that a model's start is a fork."""

from __future__ import annotations

import contextlib
import gc
import os

from byoc.entry import EntryPoint
from byoc.errors import UserError

entry = EntryPoint.from_environ(os.environ)
if entry.is_shared:
    with contextlib.suppress(UserError):
        # What is wrong with it is told by the process that needs it.
        entry.load()
# Objects that no collection touches stay on pages that all processes share.
gc.collect()
gc.freeze()
