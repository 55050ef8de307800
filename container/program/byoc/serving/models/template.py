"""What the processes of all models share: imported once by the fork server, so that a model's start is a fork."""

from __future__ import annotations

import contextlib
import gc

from byoc.errors import UserError
from byoc.serving.handler import load_module

with contextlib.suppress(UserError):
    # What is wrong with predictor.py is told by the process that needs it.
    load_module()
# Objects that no collection touches stay on pages that all processes share.
gc.collect()
gc.freeze()
