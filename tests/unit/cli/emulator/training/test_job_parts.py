"""Hosts, metrics, checkpoints, status and outcome of a job."""

from __future__ import annotations

import itertools
import json

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.store import Table
from byoc_cli.emulator.training import hosts, outcome
from byoc_cli.emulator.training.checkpoints import Checkpoints
from byoc_cli.emulator.training.config import is_gpu
from byoc_cli.emulator.training.metrics import Metrics
from byoc_cli.emulator.training.progress import LOST, Progress, mark_lost
from tests.program import FULL_RESOURCES


def test_one_host_is_told_as_real_jobs_are():
    (host,) = hosts.of({"InstanceType": "ml.c5.xlarge", "InstanceCount": 1})
    assert hosts.resources([host], host) == FULL_RESOURCES


def test_hosts_are_sorted_as_text():
    many = hosts.of({"InstanceType": "ml.c5.xlarge", "InstanceCount": 11})
    told = hosts.resources(many, many[9])
    assert told["current_host"] == "algo-10"
    assert told["hosts"][:4] == ["algo-1", "algo-10", "algo-11", "algo-2"]


def test_groups_are_numbered_through():
    groups = [
        {"InstanceGroupName": name, "InstanceType": kind, "InstanceCount": 2}
        for name, kind in (("a", "ml.m5.large"), ("b", "ml.g5.xlarge"))
    ]
    many = hosts.of({"InstanceGroups": groups})
    told = hosts.resources(many, many[2])
    assert (told["current_host"], told["current_group_name"], told["current_instance_type"]) == (
        "algo-3",
        "b",
        "ml.g5.xlarge",
    )
    assert [(each["instance_group_name"], each["hosts"]) for each in told["instance_groups"]] == [
        ("a", ["algo-1", "algo-2"]),
        ("b", ["algo-3", "algo-4"]),
    ]


@pytest.mark.parametrize(
    ("kind", "expected"), [("ml.m5.large", False), ("ml.g5.xlarge", True), ("ml.p4d.24xlarge", True)]
)
def test_knows_machines_with_gpus(kind, expected):
    assert is_gpu(kind) is expected


DEFINITIONS = [{"Name": "loss", "Regex": r"loss=([0-9.e+-]+|nan)"}, {"Name": "val:acc", "Regex": r"acc: (\S+)"}]


def test_metrics_are_read_line_by_line_as_they_come(tmp_path):
    log, other, file = tmp_path / "log", tmp_path / "other", tmp_path / "metrics/job.jsonl"
    metrics = Metrics(DEFINITIONS, file)
    assert not metrics.read([log, other])
    with log.open("ab") as out:
        out.write(b"loss=1.5 loss=1.25\nacc: 0.5\nacc: none\nloss=nan\nloss=0.")
        out.flush()
        assert metrics.read([log, other])
        assert {name: each["Value"] for name, each in metrics.final.items()} == {"loss": 1.25, "val:acc": 0.5}
        assert not metrics.read([log, other])
        out.write(b"75")
    assert not metrics.read([log, other])
    other.write_bytes(b"acc: 0.75\xff\nacc: 0.875\n")
    assert metrics.read([log, other], to_the_end=True)
    assert {name: each["Value"] for name, each in metrics.final.items()} == {"loss": 0.75, "val:acc": 0.875}
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(each["name"], each["value"]) for each in kept] == [
        ("loss", 1.5), ("loss", 1.25), ("val:acc", 0.5), ("loss", 0.75), ("val:acc", 0.875),
    ]  # fmt: skip
    assert kept[0]["time"] <= kept[-1]["time"]


def test_without_definitions_nothing_is_written(tmp_path):
    (tmp_path / "log").write_text("loss=1\n")
    assert not Metrics([], tmp_path / "file").read([tmp_path / "log"])
    assert not (tmp_path / "file").exists()


def test_checkpoints_go_both_ways(s3, bucket, tmp_path):
    s3.write(f"{bucket}/c/old", b"1")
    s3.write(f"{bucket}/c/deep/older", b"0")
    s3.write(f"{bucket}/cc/not-ours", b"")
    one, two = tmp_path / "one", tmp_path / "two"
    checkpoints = Checkpoints(s3, {"S3Uri": f"{bucket}/c"}, [one, two])
    checkpoints.restore()
    assert [(one / "deep/older").read_bytes(), (two / "old").read_bytes()] == [b"0", b"1"]
    assert sorted(path.name for path in one.rglob("*")) == ["deep", "old", "older"]
    (one / "new").write_text("2")
    (two / "old").write_text("changed")
    (one / "deep/older").unlink()
    (one / "link").symlink_to("/etc/passwd")
    s3.write(f"{bucket}/c/by-another", b"")
    checkpoints.save()
    assert s3.keys(f"{bucket}/c/") == ["c/by-another", "c/new", "c/old"]
    assert s3.read(f"{bucket}/c/old") == b"changed"


def test_checkpoints_that_have_not_changed_are_left(s3, bucket, tmp_path):
    checkpoints = Checkpoints(s3, {"S3Uri": f"{bucket}/c/"}, [tmp_path / "one"])
    checkpoints.restore()
    (tmp_path / "one/a").write_text("1")
    checkpoints.save()
    s3.write(f"{bucket}/c/a", b"of another host")
    checkpoints.save()
    assert s3.read(f"{bucket}/c/a") == b"of another host"


@pytest.fixture
def jobs(tmp_path) -> Table:
    table = Table(tmp_path / "jobs", "training job", lambda name: f"arn:{name}")
    table.add("a", {"TrainingJobName": "a", "TrainingJobStatus": "InProgress", "SecondaryStatusTransitions": []})
    return table


def test_status_has_its_history(jobs):
    progress = Progress(jobs, "a")
    progress.move("Starting", "one")
    progress.move("Starting", "two")
    progress.move("Training", "three", TrainingStartTime=5)
    progress.stop()
    progress.stop()
    progress.end("Stopped", "Stopped", "four", {"Reason": "asked"})
    record = jobs.get("a")
    history = record["SecondaryStatusTransitions"]
    assert [(each["Status"], each["StatusMessage"]) for each in history] == [
        ("Starting", "two"),
        ("Training", "three"),
        ("Stopping", "Stopping the training job"),
        ("Stopped", "four"),
    ]
    assert all(before["EndTime"] <= after["StartTime"] for before, after in itertools.pairwise(history))
    assert history[-1]["EndTime"] == record["TrainingEndTime"]
    assert (record["TrainingJobStatus"], record["SecondaryStatus"], record["Reason"]) == ("Stopped", "Stopped", "asked")
    with pytest.raises(ApiError, match="rejected because the training job is in status Stopped"):
        progress.stop()


def test_lost_jobs_are_told_of(jobs):
    jobs.add("b", {"TrainingJobName": "b", "TrainingJobStatus": "Completed", "SecondaryStatusTransitions": []})
    mark_lost(jobs)
    assert (jobs.get("a")["TrainingJobStatus"], jobs.get("a")["FailureReason"]) == ("Failed", LOST)
    assert jobs.get("b")["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize(
    ("failure", "log", "code", "expected"),
    [
        ("the data are wrong", "last", 1, "AlgorithmError: the data are wrong, exit code: 1"),
        ("the data are wrong", "last", 137, "AlgorithmError: the data are wrong, exit code: 137"),
        ("", "first\nlast\n", 2, "AlgorithmError: last, exit code: 2"),
        (None, "", 2, "AlgorithmError: no output, exit code: 2"),
        (
            None,
            "last",
            137,
            (
                "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
                "instance., exit code: 137"
            ),
        ),
        (
            None,
            "docker: no such program.\nanother line",
            127,
            (
                "ClientError: CannotStartContainerError. Please make sure the container can be run with 'docker run IMAGE "
                "train': docker: no such program., exit code: 127"
            ),
        ),
    ],
)
def test_reasons_are_worded_as_awss(tmp_path, failure, log, code, expected):
    (tmp_path / "output").mkdir()
    if failure is not None:
        (tmp_path / "output/failure").write_text(failure)
    (tmp_path / "log").write_text(log)
    assert outcome.reason(tmp_path, tmp_path / "log", code, "train") == expected


def test_a_reason_has_its_limit_and_keeps_the_code(tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output/failure").write_bytes(b"\xff" + "ä".encode() * 5000)
    told = outcome.reason(tmp_path, tmp_path / "log", 3, "train")
    assert len(told) == 1024
    assert told.endswith("ä, exit code: 3")


def test_folders_of_all_hosts_are_merged(s3, bucket, tmp_path):
    for host in ("algo-1", "algo-2"):
        (tmp_path / host / "model/deep").mkdir(parents=True)
        (tmp_path / host / "model/same").write_text(host)
        (tmp_path / host / "model/deep" / host).write_text(host)
    folders = [tmp_path / host / "model" for host in ("algo-1", "algo-2")]
    uri = outcome.upload(s3, {"S3OutputPath": f"{bucket}/out/", "CompressionType": "NONE"}, "job", "model", folders)
    assert uri == f"{bucket}/out/job/output/model/"
    assert s3.keys(uri) == [f"out/job/output/model/{name}" for name in ("deep/algo-1", "deep/algo-2", "same")]
    assert s3.read(f"{uri}same") == b"algo-2"
    assert [each.name for each in (tmp_path / "algo-1").iterdir()] == ["model"]
    assert (
        outcome.upload(s3, {"S3OutputPath": bucket}, "job", "output", folders[:1])
        == f"{bucket}/job/output/output.tar.gz"
    )
