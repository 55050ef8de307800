"""What there is: jobs, models, endpoints, each a record in a JSON file of the state folder."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

from byoc_cli.emulator.errors import exists, invalid, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    Record = dict[str, Any]

PAGE = 10


class Table:
    """The records of one kind, by name.

    Args:
        folder: of their files.
        what: their kind, as AWS's messages call it: ``training job``.
        arn: makes a record's ARN of its name.
    """

    def __init__(self, folder: Path, what: str, arn: Callable[[str], str]) -> None:
        self.what = what
        self.arn = arn
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._changed = threading.Condition()
        self._records: dict[str, Record] = {
            file.stem: json.loads(file.read_bytes()) for file in sorted(folder.glob("*.json"))
        }

    def add(self, name: str, record: Record) -> Record:
        """Add a record, with its times.

        Raises:
            ApiError: the name is taken.
        """
        with self._changed:
            if name in self._records:
                raise exists(self.what, self.arn(name))
            now = time.time()
            self._records[name] = {**record, "CreationTime": now, "LastModifiedTime": now}
            self._save(name)
            return dict(self._records[name])

    def get(self, name: str) -> Record:
        """Return a copy of a record.

        Raises:
            ApiError: there is none of that name.
        """
        with self._changed:
            if name not in self._records:
                raise missing(self.what, self.arn(name))
            return dict(self._records[name])

    def update(self, name: str, **values: Any) -> Record:
        """Change a record; a value of None takes a member away. One that is gone meanwhile stays so."""
        with self._changed:
            if name not in self._records:
                return dict(values)
            record = {**self._records[name], **values, "LastModifiedTime": time.time()}
            self._records[name] = {key: value for key, value in record.items() if value is not None}
            self._save(name)
            return dict(self._records[name])

    def remove(self, name: str) -> Record:
        """Take a record away and return it.

        Raises:
            ApiError: there is none of that name.
        """
        record = self.get(name)
        with self._changed:
            self._records.pop(name, None)
            (self._folder / f"{name}.json").unlink(missing_ok=True)
            self._changed.notify_all()
        return record

    def all(self) -> list[Record]:
        """Return copies of all records, the oldest first."""
        with self._changed:
            return sorted((dict(record) for record in self._records.values()), key=lambda each: each["CreationTime"])

    def names(self) -> list[str]:
        """Return the names of all records."""
        with self._changed:
            return list(self._records)

    def wait(self, name: str, condition: Callable[[Record], bool], seconds: float) -> Record:
        """Return a record once a condition holds of it, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: name not in self._records or condition(self._records[name]), seconds)
            return dict(self._records.get(name, {}))

    def _save(self, name: str) -> None:
        file = self._folder / f"{name}.json"
        beside = file.with_suffix(".new")
        beside.write_text(json.dumps(self._records[name], indent=1), encoding="utf-8")
        beside.replace(file)
        self._changed.notify_all()


def page(
    records: Iterable[Record], request: Mapping[str, Any], list_name: str, members: Iterable[str], name: str
) -> dict[str, Any]:
    """Answer a List operation: filtered, sorted and cut into pages as its request says.

    Args:
        records: all there are.
        request: with NameContains, StatusEquals, SortBy, SortOrder, MaxResults, NextToken, CreationTimeAfter and more.
        list_name: the answer's member that holds the list.
        members: what is told of each record.
        name: the member that holds a record's name.

    Raises:
        ApiError: the NextToken is not one of ours.
    """
    status = next((member for member in members if member.endswith("Status")), "")
    found = [
        record
        for record in records
        if request.get("NameContains", "") in record[name]
        and request.get("StatusEquals", record.get(status)) == record.get(status)
        and _is_between(record, request)
    ]
    keys = {"Name": name, "Status": status}
    order = keys.get(request.get("SortBy", ""), request.get("SortBy") or "CreationTime")
    found.sort(key=lambda record: record.get(order, ""), reverse=request.get("SortOrder", "Descending") == "Descending")
    token = request.get("NextToken") or "0"
    if not token.isdecimal():
        raise invalid(f"The NextToken {token!r} is none of this operation's")
    start = int(token)
    end = start + int(request.get("MaxResults") or PAGE)
    answer: dict[str, Any] = {
        list_name: [{key: record[key] for key in members if key in record} for record in found[start:end]]
    }
    if end < len(found):
        answer["NextToken"] = str(end)
    return answer


def _is_between(record: Record, request: Mapping[str, Any]) -> bool:
    """Whether a record's times are within those that a request names."""
    return all(
        request.get(f"{time}After", 0) <= record[time] <= request.get(f"{time}Before", float("inf"))
        for time in ("CreationTime", "LastModifiedTime")
    )
