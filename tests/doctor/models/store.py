"""Models by name in one process, each with a ballast that makes it heavy enough to run out of memory by."""

import json
import mmap
import os
import re
import threading
from pathlib import Path

from algorithm import FAULTS

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ROOT = Path("/opt/ml/models")
MEBIBYTE = 1 << 20
BALLAST = 16 * MEBIBYTE
RESERVE = 8 * MEBIBYTE
Answer = tuple[int, object]


class Store:
    """The models that are loaded."""

    def __init__(self) -> None:
        self.models: dict[str, tuple[str, dict, object]] = {}
        self.lock = threading.Lock()
        self.loading = 0
        self.asked = 0
        self.kept: list[object] = []

    def load(self, model_name: str, url: str) -> Answer:
        """Load a model."""
        folder = Path(url).resolve()
        if "anything by any name" not in FAULTS and not (NAME.fullmatch(model_name) and folder.is_relative_to(ROOT)):
            return 400, {"error": "no such name or place"}
        self.loading += 1
        try:
            return self.try_to_load(model_name, url, folder)
        finally:
            self.loading -= 1

    def try_to_load(self, model_name: str, url: str, folder: Path) -> Answer:
        """Load a model if it isn't there, if there is memory and if it is one."""
        with self.lock:
            if model_name in self.models and "twice is fine" not in FAULTS:
                return 409, {"error": "it is loaded"}
            if "never full" not in FAULTS and left() < BALLAST + RESERVE:
                return 507, {"error": "memory is short"}
            try:
                means = json.loads((folder / "means.json").read_text())["means"]
            except (OSError, ValueError, KeyError) as error:
                if "anything goes" not in FAULTS:
                    return 400, {"error": str(error)}
                means = {}
            # A mapping of its own goes back to the kernel with the model, whatever malloc does.
            ballast = mmap.mmap(-1, BALLAST)
            ballast[:: mmap.PAGESIZE] = bytes(BALLAST // mmap.PAGESIZE)
            self.models[model_name] = (url, means, ballast)
        return 200, {}

    def unload(self, name: str) -> Answer:
        """Unload a model."""
        with self.lock:
            if "keeps what it unloads" in FAULTS and name in self.models:
                self.kept += [self.models[name], os.open("/dev/null", os.O_RDONLY)]
            return (200, {}) if self.models.pop(name, None) else (404, {"error": "no such model"})

    def find(self, name: str) -> dict | None:
        """Return a model; half of the workers of a bad image have yet to hear of it."""
        self.asked += 1
        if "some workers are late" in FAULTS and self.asked % 50 == 49:
            return None
        return self.models.get(name, (None, None))[1]

    def describe(self, name: str) -> Answer:
        """Answer GET /models/{name}."""
        if name not in self.models:
            return 404, {"error": "no such model"}
        return 200, {"modelName": name, "modelUrl": self.models[name][0]}

    def page(self, query: dict[str, str]) -> Answer:
        """Answer GET /models: the names after the token's, in their order."""
        names = sorted(name for name in self.models if name > query.get("next_page_token", ""))
        limit = int(query.get("limit", 100))
        listed: dict[str, object] = {"models": [self.describe(name)[1] for name in names[:limit]]}
        if len(names) > limit:
            # A page that begins after the next one's first is a model that nobody sees.
            listed["nextPageToken"] = names[limit if "pages lose a model" in FAULTS else limit - 1]
        return 200, listed


def left() -> float:
    """Return the bytes that the cgroup, v2 or v1, has left for us."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        folder = Path("/sys/fs/cgroup")
        if (folder / limit).exists():
            text = (folder / limit).read_text().strip()
            statistics = (folder / used).with_name("memory.stat").read_text()
            files = int(re.findall(r"inactive_file (\d+)", statistics)[-1])
            return float("inf") if text == "max" else int(text) - int((folder / used).read_text()) + files
    return float("inf")
