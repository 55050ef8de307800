"""Training jobs of the emulator in real containers, asked for by boto3."""

from __future__ import annotations

import io
import json
import os
import signal
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from tests import emulator, engine, program

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.emulator import Running

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def running(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An emulator with the iris table in its bucket, and no container left behind at its end."""
    with emulator.emulating(tmp_path_factory.mktemp("emulator")) as made:
        emulator.put_iris(made)
        yield made
    assert containers(made.state) == []


def containers(state: Path) -> list[str]:
    """Return the ids of all containers that have a folder of an emulator's."""
    found = engine.docker("ps", "--all", "--quiet", "--filter", "name=byoc-emulator-").stdout.split()
    return [
        each
        for each in found
        if str(state) in engine.docker("inspect", "-f", "{{json .Mounts}}", each, check=False).stdout
    ]


def begin(made: Running, image: str, name: str, code: str, channels: Sequence[Any] = (), **more: Any) -> None:
    """Begin a job that has the image run Python code in place of `train`; a channel brings the code."""
    more.setdefault("AlgorithmSpecification", {})["ContainerEntrypoint"] = [
        "python3",
        "-u",
        "/opt/ml/input/data/code/main.py",
    ]
    brings = made.channel("code", made.put(f"code/{name}/main.py", code).rpartition("/")[0])
    made.sagemaker.create_training_job(**made.job(name, image, InputDataConfig=[brings, *channels], **more))


def wait_for_log(made: Running, name: str, text: str, seconds: float = 60) -> None:
    """Wait until a job has printed something."""
    program.wait_until(
        lambda: made.state.joinpath("logs").exists() and text in made.logs(name),
        seconds,
        f"{text!r} in the log of {name}",
    )


def statuses(described: dict[str, Any]) -> list[str]:
    """Return the SecondaryStatuses that a job went through."""
    return [each["Status"] for each in described["SecondaryStatusTransitions"]]


def test_trains_the_image_as_the_cloud_does(running: Running, image: str) -> None:
    described = running.train(
        "whole",
        f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{image}",
        InputDataConfig=[running.channel("training", "s3://a-bucket/iris", ContentType="text/csv")],
        HyperParameters={"max_iter": "10"},
        AlgorithmSpecification={
            "MetricDefinitions": [{"Name": "accuracy", "Regex": "validation:accuracy=([0-9.]+)"}],
        },
        Tags=[{"Key": "team", "Value": "flowers"}],
    )
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert statuses(described) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == "s3://a-bucket/jobs/whole/output/model.tar.gz"
    assert {"model.onnx", "schema.json"} <= set(running.untar("s3://a-bucket/jobs/whole/output/model.tar.gz"))
    assert "report.html" in running.untar("s3://a-bucket/jobs/whole/output/output.tar.gz")
    (metric,) = described["FinalMetricDataList"]
    assert metric["MetricName"] == "accuracy"
    assert metric["Value"] > 0.9
    assert described["BillableTimeInSeconds"] >= 1
    kept = [json.loads(line) for line in (running.state / "metrics/whole.jsonl").read_text().splitlines()]
    assert [(each["name"], round(each["value"], 4)) for each in kept] == [("accuracy", round(metric["Value"], 4))]
    assert "validation:accuracy=" in running.logs("whole")
    tags = running.sagemaker.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "flowers"}]


TELL = """
import json, os, pathlib
ml = pathlib.Path("/opt/ml")
told = {file.stem: json.loads(file.read_text()) for file in (ml / "input/config").iterdir()}
told["files"] = sorted(str(path.relative_to(ml / "input/data")) for path in (ml / "input/data").rglob("*"))
told["environment"] = dict(os.environ)
for channel in (ml / "input/data").iterdir():
    try:
        (channel / "mine").write_text("")
        told[channel.name] = "written"
    except OSError as error:
        told[channel.name] = error.strerror
(ml / "model/told.json").write_text(json.dumps(told))
"""


def test_containers_are_told_what_the_cloud_tells(running: Running, image: str) -> None:
    begin(
        running,
        image,
        "told",
        TELL,
        [
            running.channel("a", "s3://a-bucket/iris", ContentType="text/csv"),
            running.channel("b", "s3://a-bucket/iris/1", InputMode="FastFile"),
        ],
        HyperParameters={"depth": "5"},
        Environment={"MINE": "yes", "TRAINING_JOB_NAME": "no"},
        CheckpointConfig={"S3Uri": "s3://a-bucket/told", "LocalPath": "/opt/ml/mine"},
        OutputDataConfig={"CompressionType": "NONE"},
        ResourceConfig={"InstanceType": "ml.c5.xlarge"},
    )
    described = running.ended("told")
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert described["ModelArtifacts"]["S3ModelArtifacts"] == "s3://a-bucket/jobs/told/output/model/"
    told = json.loads(running.get("s3://a-bucket/jobs/told/output/model/told.json"))
    assert told["hyperparameters"] == {"depth": "5"}
    file = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
    assert told["inputdataconfig"] == {"a": {"ContentType": "text/csv", **file}, "b": file, "code": file}
    assert told["resourceconfig"] == program.FULL_RESOURCES
    assert told["checkpointconfig"] == {"S3Uri": "s3://a-bucket/told", "LocalPath": "/opt/ml/mine"}
    assert told["files"] == ["a", "a/0.csv", "a/1.csv", "a/2.csv", "b", "b/1.csv", "code", "code/main.py"]
    assert told["a"] == "written"
    assert told["b"] == "Read-only file system"
    expected = {
        "MINE": "yes",
        "TRAINING_JOB_NAME": "told",
        "TRAINING_JOB_ARN": described["TrainingJobArn"],
        "AWS_REGION": emulator.REGION,
        "NVIDIA_VISIBLE_DEVICES": "void",
    }
    assert {name: told["environment"].get(name) for name in expected} == expected


MEET = """
import json, pathlib, signal, socket, sys, threading, time
ml = pathlib.Path("/opt/ml")
resources = json.loads((ml / "input/config/resourceconfig.json").read_text())
me, hosts = resources["current_host"], resources["hosts"]
asked = threading.Semaphore(0)
listening = socket.create_server(("", 7777))
def greet():
    while True:
        peer, _ = listening.accept()
        peer.sendall(me.encode())
        peer.close()
        asked.release()
threading.Thread(target=greet, daemon=True).start()
heard = {}
while len(heard) < len(hosts):
    for host in set(hosts) - set(heard):
        try:
            heard[host] = socket.create_connection((host, 7777), 5).recv(100).decode()
        except OSError:
            time.sleep(0.1)
for _ in hosts:
    asked.acquire()
files = sorted(path.name for path in (ml / "input/data/data").iterdir())
told = [heard, files, resources["current_group_name"]]
(ml / "model" / (me + ".json")).write_text(json.dumps(told))
(ml / "model/same").write_text(me)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print(me, "has met all", flush=True)
signal.pause()
"""


def test_isolated_hosts_of_two_groups_meet_and_share_the_data(running: Running, image: str) -> None:
    """They reach one another, on a network without a way out."""
    groups = [
        {"InstanceGroupName": "one", "InstanceType": "ml.m5.large", "InstanceCount": 1},
        {"InstanceGroupName": "two", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
    ]
    begin(
        running,
        image,
        "meet",
        MEET,
        [running.channel("data", "s3://a-bucket/iris", S3DataDistributionType="ShardedByS3Key")],
        EnableNetworkIsolation=True,
        ResourceConfig={"InstanceType": None, "InstanceCount": None, "InstanceGroups": groups},
    )
    wait_for_log(running, "meet", "algo-1 has met all")
    wait_for_log(running, "meet", "algo-2 has met all")
    names = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"
    (network,) = set(engine.docker("inspect", "-f", names, *containers(running.state)).stdout.split())
    assert engine.docker("network", "inspect", "-f", "{{.Internal}}", network).stdout.strip() == "true"
    running.sagemaker.stop_training_job(TrainingJobName="meet")
    described = running.ended("meet")
    assert described["TrainingJobStatus"] == "Stopped", described.get("FailureReason")
    model = running.untar(described["ModelArtifacts"]["S3ModelArtifacts"])
    everyone = {"algo-1": "algo-1", "algo-2": "algo-2"}
    assert json.loads(model["algo-1.json"]) == [everyone, ["0.csv", "2.csv"], "one"]
    assert json.loads(model["algo-2.json"]) == [everyone, ["1.csv"], "two"]
    assert model["same"] in (b"algo-1", b"algo-2")
    assert engine.docker("network", "inspect", network, check=False).returncode == 1


@pytest.mark.parametrize("wrapper", ["None", "RecordIO"])
def test_pipes_are_read_by_the_image(running: Running, image: str, wrapper: str) -> None:
    described = running.train(
        f"piped-{wrapper}",
        image,
        InputDataConfig=[
            running.channel(
                "training", "s3://a-bucket/iris", ContentType="text/csv", InputMode="Pipe", RecordWrapperType=wrapper
            )
        ],
        HyperParameters={"max_iter": "10"},
    )
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert "150 rows" in running.logs(f"piped-{wrapper}")


def test_a_script_on_s3_is_fetched_from_within(running: Running, image: str) -> None:
    """Script mode, as SageMaker's SDKs send it: the container itself reads S3, which is the emulator's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        text = b"import os\nopen(os.environ['SM_MODEL_DIR'] + '/mine', 'w').write('made by a script')\n"
        member = tarfile.TarInfo("mine.py")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    uri = running.put("sourcedir.tar.gz", packed.getvalue())
    described = running.train(
        "scripted", image, HyperParameters={"sagemaker_program": "mine.py", "sagemaker_submit_directory": uri}
    )
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert running.untar(described["ModelArtifacts"]["S3ModelArtifacts"]) == {"mine": b"made by a script"}


REACH = """
import json, os, pathlib, urllib.error, urllib.request
def post(target):
    call = urllib.request.Request(os.environ["AWS_ENDPOINT_URL_S3"], b"{}", {"X-Amz-Target": target})
    try:
        return urllib.request.urlopen(call).status
    except urllib.error.HTTPError as error:
        return error.code
told = [post("SageMaker.ListTrainingJobs"), post("Emulator.InterruptTrainingJob")]
pathlib.Path("/opt/ml/model/told.json").write_text(json.dumps(told))
"""


def test_containers_have_s3_but_not_the_emulators_sagemaker(running: Running, image: str) -> None:
    begin(running, image, "reach", REACH)
    described = running.ended("reach")
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert json.loads(running.untar(described["ModelArtifacts"]["S3ModelArtifacts"])["told.json"]) == [403, 403]


ALONE = """
import json, os, pathlib, socket
told = [[name for _, name in socket.if_nameindex()], sorted(name for name in os.environ if name.startswith("AWS_"))]
pathlib.Path("/opt/ml/model/told.json").write_text(json.dumps(told))
"""


def test_an_isolated_container_has_neither_network_nor_credentials(running: Running, image: str) -> None:
    begin(running, image, "alone", ALONE, EnableNetworkIsolation=True)
    described = running.ended("alone")
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    told = json.loads(running.untar(described["ModelArtifacts"]["S3ModelArtifacts"])["told.json"])
    assert told == [["lo"], ["AWS_REGION"]]


FAIL = """
import pathlib
pathlib.Path("/opt/ml/output/failure").write_text("the data are wrong: " + "x" * 2000)
pathlib.Path("/opt/ml/output/data/seen").write_text("it")
raise SystemExit(3)
"""


def test_a_failure_is_told_as_the_cloud_tells_it(running: Running, image: str) -> None:
    begin(running, image, "failing", FAIL)
    begin(running, image, "silent", "print('no such column')\nraise SystemExit(1)")
    running.sagemaker.create_training_job(
        **running.job("absent", image, AlgorithmSpecification={"ContainerEntrypoint": ["no-such-program"]})
    )
    failing, silent, absent = (running.ended(name) for name in ("failing", "silent", "absent"))
    assert failing["TrainingJobStatus"] == failing["SecondaryStatus"] == "Failed"
    assert failing["FailureReason"].startswith("AlgorithmError: the data are wrong: xxx")
    assert failing["FailureReason"].endswith("x, exit code: 3")
    assert len(failing["FailureReason"]) == 1024
    assert "ModelArtifacts" not in failing
    assert running.untar("s3://a-bucket/jobs/failing/output/output.tar.gz") == {"seen": b"it"}
    assert silent["FailureReason"] == "AlgorithmError: no such column, exit code: 1"
    assert "CannotStartContainerError" in absent["FailureReason"]
    assert "no-such-program" in absent["FailureReason"]


def test_one_host_that_fails_ends_the_others(running: Running, image: str) -> None:
    code = """
import json, pathlib, time
me = json.loads(pathlib.Path("/opt/ml/input/config/resourceconfig.json").read_text())["current_host"]
if me == "algo-2":
    raise SystemExit("algo-2 has had enough")
time.sleep(600)
"""
    begin(running, image, "half", code, ResourceConfig={"InstanceCount": 2})
    assert running.ended("half")["FailureReason"] == "AlgorithmError: algo-2 has had enough, exit code: 1"


STOPPABLE = """
import pathlib, signal, sys, time
def end(*_):
    pathlib.Path("/opt/ml/model/best").write_text("so far")
    print("stopping", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


def test_a_job_that_is_stopped_keeps_its_model(running: Running, image: str) -> None:
    begin(running, image, "stopped", STOPPABLE)
    wait_for_log(running, "stopped", "ready")
    running.sagemaker.stop_training_job(TrainingJobName="stopped")
    described = running.ended("stopped")
    assert described["TrainingJobStatus"] == described["SecondaryStatus"] == "Stopped"
    assert statuses(described) == ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert running.untar(described["ModelArtifacts"]["S3ModelArtifacts"]) == {"best": b"so far"}


def test_a_job_may_not_run_longer_than_it_said(running: Running, image: str) -> None:
    begin(running, image, "long", STOPPABLE, StoppingCondition={"MaxRuntimeInSeconds": 15})
    described = running.ended("long")
    assert (described["TrainingJobStatus"], described["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert running.untar(described["ModelArtifacts"]["S3ModelArtifacts"]) == {"best": b"so far"}


COUNT = """
import pathlib, signal, sys, time
folder = pathlib.Path("/checkpoints")
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
steps = sorted(int(path.name) for path in folder.iterdir())
print("begins at", steps[-1] if steps else 0, flush=True)
for step in range(steps[-1] if steps else 0, 2 if not steps else 5):
    (folder / str(step + 1)).write_text("state")
    (folder / str(step)).unlink(missing_ok=True)
    print("step", step + 1, flush=True)
if not steps:
    time.sleep(600)
pathlib.Path("/opt/ml/model/steps").write_text("5")
"""


def test_a_spot_job_goes_on_from_its_checkpoints_after_an_interruption(running: Running, image: str) -> None:
    begin(
        running,
        image,
        "spot",
        COUNT,
        EnableManagedSpotTraining=True,
        StoppingCondition={"MaxWaitTimeInSeconds": 600},
        CheckpointConfig={"S3Uri": "s3://a-bucket/checkpoints/spot", "LocalPath": "/checkpoints"},
    )
    wait_for_log(running, "spot", "step 2")
    program.wait_until(lambda: running.keys("checkpoints/spot/") == ["checkpoints/spot/2"], 30, "a checkpoint on S3")
    interrupted = emulator.command("interrupt", "spot", state=running.state)
    assert interrupted.returncode == 0, interrupted.stderr
    described = running.ended("spot")
    assert described["TrainingJobStatus"] == "Completed", described.get("FailureReason")
    assert statuses(described) == [
        "Starting",
        "Downloading",
        "Training",
        "Interrupted",
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert "begins at 2" in running.logs("spot")
    assert running.keys("checkpoints/spot/") == ["checkpoints/spot/5"]
    refused = emulator.command("interrupt", "spot", state=running.state)
    assert refused.returncode == 1
    assert "the training job is in status Completed" in refused.stderr


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_the_emulator_and_its_jobs_are_told_of(image: str, tmp_path: Path, signum: int) -> None:
    state = tmp_path / "emulator"
    with emulator.emulating(tmp_path) as made:
        begin(made, image, "orphan", STOPPABLE, ResourceConfig={"InstanceCount": 2})
        program.wait_until(lambda: len(containers(state)) == 2, 60, "two containers")
        os.kill(json.loads((state / "emulator.json").read_text())["pid"], signum)
        program.wait_until(lambda: not containers(state), 60, "the end of the containers")
        program.wait_until(lambda: emulator.command("stop", state=state).returncode == 1, 30, "the emulator's end")
        # Another one, with the same state.
        again = emulator.command("start", "--background", "--port", str(made.port), state=state)
        assert again.returncode == 0, again.stderr
        described = made.describe("orphan")
        assert described["TrainingJobStatus"] == "Failed"
        assert described["FailureReason"] == "InternalServerError: the emulator ended while this job ran"
    assert containers(state) == []
