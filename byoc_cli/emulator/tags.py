"""Tags of anything that has an ARN."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from byoc_cli.emulator.api import Operation


class Tags:
    """The tags.

    Args:
        folder: of their file.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "tags.json"
        self._lock = threading.Lock()
        self._of: dict[str, dict[str, str]] = json.loads(self._file.read_bytes()) if self._file.exists() else {}

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Return the operations."""
        return {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def add(self, arn: str, tags: Iterable[Mapping[str, str]] | None) -> list[dict[str, str]]:
        """Add tags, as a Create operation brings them; return all there are."""
        with self._lock:
            own = self._of.setdefault(arn, {})
            own.update({tag["Key"]: tag["Value"] for tag in tags or ()})
            self._save()
            return [{"Key": key, "Value": value} for key, value in own.items()]

    def remove(self, arn: str) -> None:
        """Forget all tags of something that is gone."""
        with self._lock:
            self._of.pop(arn, None)
            self._save()

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self.add(request["ResourceArn"], request["Tags"])}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        return {
            "Tags": [{"Key": key, "Value": value} for key, value in self._of.get(request["ResourceArn"], {}).items()]
        }

    def _delete(self, request: dict[str, Any]) -> None:
        with self._lock:
            own = self._of.get(request["ResourceArn"], {})
            for key in request["TagKeys"]:
                own.pop(key, None)
            self._save()

    def _save(self) -> None:
        self._file.write_text(json.dumps(self._of), encoding="utf-8")
