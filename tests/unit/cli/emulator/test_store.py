from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.store import Table, page
from byoc_cli.emulator.tags import Tags

if TYPE_CHECKING:
    from pathlib import Path


def table(folder: Path) -> Table:
    return Table(folder, "training job", lambda name: f"arn:{name}")


def test_keeps_records_across_a_restart(tmp_path):
    first = table(tmp_path)
    first.add("a", {"Status": "InProgress", "Reason": "none"})
    first.update("a", Status="Failed", Reason=None)
    first.add("b", {})
    first.remove("b")
    again = table(tmp_path)
    record = again.get("a")
    assert record["Status"] == "Failed"
    assert "Reason" not in record
    assert record["LastModifiedTime"] >= record["CreationTime"]
    assert again.names() == ["a"]
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_record_is_a_copy(tmp_path):
    made = table(tmp_path)
    made.add("a", {"Status": "InProgress"})
    made.get("a")["Status"] = "Failed"
    assert made.get("a")["Status"] == "InProgress"


def test_names_are_unique_and_must_be_there(tmp_path):
    made = table(tmp_path)
    made.add("a", {})
    with pytest.raises(ApiError) as caught:
        made.add("a", {})
    assert caught.value.code == "ResourceInUse"
    with pytest.raises(ApiError, match='Could not find training job "arn:b"'):
        made.get("b")
    with pytest.raises(ApiError):
        made.remove("b")


def test_what_is_gone_stays_gone(tmp_path):
    made = table(tmp_path)
    made.add("a", {})
    made.remove("a")
    made.update("a", Status="Failed")
    assert made.names() == []
    assert list(tmp_path.iterdir()) == []


def test_waits_for_a_condition(tmp_path):
    made = table(tmp_path)
    made.add("a", {"Status": "Creating"})
    timer = threading.Timer(0.05, lambda: made.update("a", Status="InService"))
    timer.start()
    assert made.wait("a", lambda record: record["Status"] == "InService", 30)["Status"] == "InService"
    timer.join()
    assert made.wait("a", lambda record: record["Status"] == "Failed", 0.01)["Status"] == "InService"


RECORDS = [
    {"Name": name, "JobStatus": status, "CreationTime": time, "LastModifiedTime": time + 10}
    for name, status, time in [("ab", "Failed", 1.0), ("b", "Completed", 2.0), ("abc", "Completed", 3.0)]
]


def listed(**request) -> list[str]:
    return [each["Name"] for each in page(RECORDS, request, "Jobs", ("Name", "JobStatus"), "Name")["Jobs"]]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, ["abc", "b", "ab"]),
        ({"SortOrder": "Ascending"}, ["ab", "b", "abc"]),
        ({"SortBy": "Name", "SortOrder": "Ascending"}, ["ab", "abc", "b"]),
        ({"SortBy": "Status", "SortOrder": "Descending", "NameContains": "a"}, ["ab", "abc"]),
        ({"NameContains": "a"}, ["abc", "ab"]),
        ({"StatusEquals": "Completed"}, ["abc", "b"]),
        ({"CreationTimeAfter": 2}, ["abc", "b"]),
        ({"CreationTimeBefore": 2}, ["b", "ab"]),
        ({"LastModifiedTimeAfter": 12.5}, ["abc"]),
        ({"MaxResults": 2}, ["abc", "b"]),
        ({"MaxResults": 2, "NextToken": "2"}, ["ab"]),
    ],
)
def test_lists_what_is_asked_for(request_, expected):
    assert listed(**request_) == expected


def test_pages_are_ten_long_and_told_of():
    many = [{"Name": str(number), "CreationTime": number, "LastModifiedTime": number} for number in range(11)]
    first = page(many, {}, "Jobs", ("Name",), "Name")
    assert (len(first["Jobs"]), first["NextToken"]) == (10, "10")
    assert page(many, {"NextToken": "10"}, "Jobs", ("Name",), "Name") == {"Jobs": [{"Name": "0"}]}
    with pytest.raises(ApiError, match="NextToken"):
        page(many, {"NextToken": "mine"}, "Jobs", ("Name",), "Name")


def test_tags_are_kept_by_arn(tmp_path):
    tags = Tags(tmp_path)
    tags.add("arn:a", [{"Key": "x", "Value": "1"}, {"Key": "y", "Value": "2"}])
    tags.operations["AddTags"]({"ResourceArn": "arn:a", "Tags": [{"Key": "y", "Value": "3"}]})
    tags.operations["DeleteTags"]({"ResourceArn": "arn:a", "TagKeys": ["x", "none"]})
    again = Tags(tmp_path)
    assert again.operations["ListTags"]({"ResourceArn": "arn:a"}) == {"Tags": [{"Key": "y", "Value": "3"}]}
    again.remove("arn:a")
    assert Tags(tmp_path).operations["ListTags"]({"ResourceArn": "arn:a"}) == {"Tags": []}
