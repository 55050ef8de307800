"""How often clients ask whether something is done: AWS's take minutes, and are asked as rarely; these take seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from botocore.loaders import Loader

from byoc_cli.emulator.state import MODELS

if TYPE_CHECKING:
    from pathlib import Path

SERVICE, KIND = "sagemaker", "waiters-2"
DELAY_SECONDS = 1


def write(state: Path) -> None:
    """Write botocore's own waiters with another delay; they wait as long as before in all."""
    loader = Loader()
    model = loader.load_service_model(SERVICE, KIND)
    for waiter in model["waiters"].values():
        waiter["maxAttempts"] *= waiter["delay"] // DELAY_SECONDS
        waiter["delay"] = DELAY_SECONDS
    file = state / MODELS / SERVICE / loader.determine_latest_version(SERVICE, KIND) / f"{KIND}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(model), encoding="utf-8")
