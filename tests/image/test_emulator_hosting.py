"""Endpoints of the emulator, with real containers: what boto3 asks of them is done as SageMaker does it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from tests import engine
from tests.emulator import BUCKET, ROLE, Running, emulating
from tests.program import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.docker

HANDLERS = Path(__file__).parent / "handlers"
SCRIPTED = ROOT / "tests/process/handlers/scripted/predictor.py"
INSTANCE = {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
LABEL = "label=byoc.emulator"
# Of each instance: enough for some models that take 50 MB each, not for many.
MEMORY_MB = 700
MODEL_MB = 50


@pytest.fixture(scope="module")
def many_image(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image whose models take as much memory as their files say."""
    context = tmp_path_factory.mktemp("many")
    (context / "predictor.py").write_bytes(SCRIPTED.read_bytes())
    (context / "Dockerfile").write_text(f"FROM {image}\nCOPY predictor.py /opt/program/predictor.py\n")
    name = engine.unique()
    build = engine.build(name, context)
    assert build.returncode == 0, build.stdout + build.stderr
    yield name
    engine.docker("rmi", "-f", name, check=False)


class Host:
    """Somebody who has endpoints on an emulator.

    Args:
        emulator: that runs.
        image: for their containers.
        url: of a model with the handlers.
    """

    def __init__(self, emulator: Running, image: str, url: str) -> None:
        self.emulator = emulator
        self.image = image
        self.url = url
        self.sagemaker = emulator.client("sagemaker")
        self.runtime = emulator.client("sagemaker-runtime")
        self._number = 0

    def name(self) -> str:
        self._number += 1
        return f"n{self._number}"

    def container(self, handler: str = "stamping", url: str = "", **variables: str) -> dict[str, Any]:
        own = {"BYOC_ENTRY_POINT": f"/opt/ml/model/{handler}.py", "MODEL_SERVER_WORKERS": "1"}
        return {"Image": self.image, "ModelDataUrl": url or self.url, "Environment": own | variables}

    def model(self, *containers: dict[str, Any], **more: Any) -> str:
        name = self.name()
        given = {"PrimaryContainer": containers[0]} if len(containers) == 1 else {"Containers": [*containers]}
        self.sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, **given, **more)
        return name

    def config(self, *variants: dict[str, Any], **more: Any) -> str:
        name = self.name()
        named = [{"VariantName": f"V{number}", **each} for number, each in enumerate(variants)]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=named, **more)
        return name

    def endpoint(self, config: str) -> str:
        name = self.name()
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        assert self.wait(name)["EndpointStatus"] == "InService"
        return name

    def wait(self, endpoint: str, waiter: str = "endpoint_in_service") -> dict[str, Any]:
        self.sagemaker.get_waiter(waiter).wait(EndpointName=endpoint, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900})
        return {} if "deleted" in waiter else self.describe(endpoint)

    def describe(self, endpoint: str) -> dict[str, Any]:
        told: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=endpoint)
        return told

    def delete(self, endpoint: str) -> None:
        self.sagemaker.delete_endpoint(EndpointName=endpoint)
        self.wait(endpoint, "endpoint_deleted")

    def ask(self, endpoint: str, body: str = "hello", **more: Any) -> str:
        given = {"ContentType": "text/plain", **more}
        return str(self.runtime.invoke_endpoint(EndpointName=endpoint, Body=body, **given)["Body"].read().decode())

    def refused(self, endpoint: str, body: str = "hello", **more: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as caught:
            self.ask(endpoint, body, **more)
        response: dict[str, Any] = caught.value.response
        return response


@pytest.fixture(scope="module")
def host(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A running emulator with a model that holds the handlers."""
    folder = tmp_path_factory.mktemp("emulator")
    with emulating(folder, BYOC_EMULATOR_MEMORY_MB=str(MEMORY_MB)) as emulator:
        yield Host(emulator, image, emulator.put_model(HANDLERS, "handlers/model.tar.gz"))


@pytest.fixture
def kept(host: Host) -> Iterator[Callable[[str], str]]:
    """Returns a function that makes an endpoint of a configuration; it is deleted after the test."""
    names: list[str] = []

    def make(config: str) -> str:
        names.append(host.endpoint(config))
        return names[-1]

    yield make
    for name in names:
        host.delete(name)


def containers(emulator: Running) -> set[str]:
    """Return the names of all containers of an emulator, by what they have of its folder."""
    names = engine.docker("ps", "--all", "--quiet", "--filter", LABEL).stdout.split()
    form = "{{.Name}}{{range .Mounts}} {{.Source}}{{end}}"
    # One that ends meanwhile is a failure of inspect's, which prints the others.
    lines = engine.docker("inspect", "-f", form, *names, check=False).stdout.splitlines() if names else []
    return {line.split()[0].removeprefix("/") for line in lines if str(emulator.state) in line}


def test_traffic_goes_by_weights(host: Host, kept: Callable[[str], str]) -> None:
    models = [host.model(host.container(NAME=name)) for name in ("one", "two")]
    variants = [{**INSTANCE, "ModelName": model, "InitialVariantWeight": 1.0} for model in models]
    endpoint = kept(host.config(*variants))
    answers = {host.ask(endpoint) for _ in range(40)}
    assert answers == {"hello one(text/plain, text/plain)", "hello two(text/plain, text/plain)"}
    answer = host.runtime.invoke_endpoint(EndpointName=endpoint, Body="x", TargetVariant="V1", ContentType="text/plain")
    assert (answer["InvokedProductionVariant"], answer["Body"].read()) == ("V1", b"x two(text/plain, text/plain)")

    changes = [{"VariantName": "V0", "DesiredWeight": 0.0}, {"VariantName": "V1", "DesiredInstanceCount": 2}]
    host.sagemaker.update_endpoint_weights_and_capacities(EndpointName=endpoint, DesiredWeightsAndCapacities=changes)
    told = {each["VariantName"]: each for each in host.wait(endpoint)["ProductionVariants"]}
    assert (told["V0"]["CurrentWeight"], told["V1"]["CurrentInstanceCount"]) == (0.0, 2)
    assert {host.ask(endpoint) for _ in range(20)} == {"hello two(text/plain, text/plain)"}
    logs = list((host.emulator.state / "logs/Endpoints" / endpoint / "V1").rglob("*.log"))
    assert len(logs) == 2
    wait_until(lambda: all("POST /invocations" in file.read_text() for file in logs), what="requests of both instances")


def test_an_update_under_load_loses_no_request(host: Host, kept: Callable[[str], str]) -> None:
    blue, green = (host.model(host.container(NAME=name)) for name in ("blue", "green"))
    endpoint = kept(host.config({**INSTANCE, "ModelName": blue}))
    before = containers(host.emulator)
    answers: list[str] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            answers.append(host.ask(endpoint, "0.05"))

    with ThreadPoolExecutor(4) as threads:
        loads = [threads.submit(load) for _ in range(4)]
        try:
            config = host.config({**INSTANCE, "ModelName": green})
            host.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
            # Or it is over already, where this machine is slow to ask.
            assert host.describe(endpoint)["EndpointStatus"] in ("Updating", "InService")
            assert host.wait(endpoint)["EndpointConfigName"] == config
            wait_until(lambda: not before & containers(host.emulator), 60, "the end of the old container")
        finally:
            stop.set()
        for each in loads:
            each.result()
    assert {answer.split()[1] for answer in answers} == {"blue(text/plain,", "green(text/plain,"}
    assert answers[-1].startswith("0.05 green")


def test_an_update_that_fails_rolls_back(host: Host, kept: Callable[[str], str], tmp_path: Path) -> None:
    endpoint = kept(host.config({**INSTANCE, "ModelName": host.model(host.container(NAME="good"))}))
    before = containers(host.emulator)
    for file in HANDLERS.glob("*.py"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "broken").touch()
    url = host.emulator.put_model(tmp_path, "broken/model.tar.gz")
    broken = {**INSTANCE, "ModelName": host.model(host.container(url=url))}
    host.sagemaker.update_endpoint(
        EndpointName=endpoint,
        EndpointConfigName=host.config({**broken, "ContainerStartupHealthCheckTimeoutInSeconds": 60}),
    )
    told = host.wait(endpoint)
    assert "V0 did not pass the ping health check" in told["FailureReason"]
    assert "the model is broken" in told["FailureReason"]
    assert host.ask(endpoint) == "hello good(text/plain, text/plain)"
    wait_until(lambda: containers(host.emulator) == before, 60, "the removal of the failed container")


def test_an_instance_that_ends_is_replaced(host: Host, kept: Callable[[str], str]) -> None:
    endpoint = kept(host.config({**INSTANCE, "ModelName": host.model(host.container())}))
    (name,) = containers(host.emulator)
    engine.docker("kill", name)
    wait_until(lambda: name not in containers(host.emulator), 20, "the end of the instance")
    wait_until(lambda: outcome(host, endpoint, "x") == "answered", 60, "a new instance")
    assert len(containers(host.emulator) - {name}) == 1


def test_an_instance_whose_ping_fails_is_replaced(host: Host, kept: Callable[[str], str]) -> None:
    """What SageMaker does with a container that answers /ping with 503 after a prediction that failed."""
    container = host.container(NAME="frail", SAGEMAKER_MAX_FAILURES_IN_A_ROW="1")
    before = containers(host.emulator)
    endpoint = kept(host.config({**INSTANCE, "ModelName": host.model(container)}))
    first = containers(host.emulator) - before
    # No number of seconds, but it looks like one to the handler.
    assert outcome(host, endpoint, "1.2.3") == "424 ModelError"
    wait_until(lambda: not first & containers(host.emulator), 90, "the end of the instance")
    assert host.ask(endpoint) == "hello frail(text/plain, text/plain)"
    assert len(containers(host.emulator) - before) == 1


def test_an_archive_that_leads_out_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    url = host.emulator.put_model(tmp_path, "hostile/model.tar.gz")
    endpoint = host.name()
    config = host.config({**INSTANCE, "ModelName": host.model(host.container(url=url))})
    host.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    with pytest.raises(Exception, match="Failed"):
        host.wait(endpoint)
    assert "outside its folder" in host.describe(endpoint)["FailureReason"]
    host.delete(endpoint)


def test_a_serverless_endpoint(host: Host, kept: Callable[[str], str]) -> None:
    before = containers(host.emulator)
    serverless = {"MemorySizeInMB": 1024, "MaxConcurrency": 1}
    variant = {"ModelName": host.model(host.container(NAME="less")), "ServerlessConfig": serverless}
    endpoint = kept(host.config(variant))
    assert host.ask(endpoint) == "hello less(text/plain, text/plain)"
    (name,) = containers(host.emulator) - before
    told = json.loads(engine.docker("inspect", "-f", "{{json .}}", name).stdout)
    assert (told["HostConfig"]["Memory"], told["HostConfig"]["ReadonlyRootfs"]) == (1 << 30, True)
    assert told["Config"]["User"] not in ("", "0", "root")
    with ThreadPoolExecutor(4) as threads:
        codes = sorted(threads.map(lambda _: outcome(host, endpoint, "8"), range(4)))
    assert codes == ["400 ThrottlingException"] * 3 + ["answered"]
    large = host.refused(endpoint, "x" * ((4 << 20) + 1))["Error"]
    assert large["Code"] == "ValidationError"
    assert "has oversize body" in large["Message"]


def outcome(host: Host, endpoint: str, body: str) -> str:
    """Return how a request ended."""
    try:
        host.ask(endpoint, body)
    except ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
    return "answered"


def test_an_asynchronous_endpoint(host: Host, kept: Callable[[str], str]) -> None:
    s3 = host.emulator.client("s3")
    output = {"S3OutputPath": f"s3://{BUCKET}/out", "S3FailurePath": f"s3://{BUCKET}/failed"}
    variant = {**INSTANCE, "ModelName": host.model(host.container(NAME="later"))}
    client = {"MaxConcurrentInvocationsPerInstance": 1}
    endpoint = kept(host.config(variant, AsyncInferenceConfig={"OutputConfig": output, "ClientConfig": client}))
    assert host.refused(endpoint)["Error"]["Code"] == "ValidationError"
    s3.put_object(Bucket=BUCKET, Key="in/data", Body=b"hello")

    def ask(**more: Any) -> dict[str, Any]:
        given = {"InputLocation": f"s3://{BUCKET}/in/data", "ContentType": "text/csv", "Accept": "text/plain", **more}
        answer: dict[str, Any] = host.runtime.invoke_endpoint_async(EndpointName=endpoint, **given)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
        return answer

    good = ask(InferenceId="mine")
    assert good["InferenceId"] == "mine"
    assert read(s3, good["OutputLocation"]) == "hello later(text/csv, text/plain)"
    s3.put_object(Bucket=BUCKET, Key="in/slow", Body=b"5")
    late = ask(InputLocation=f"s3://{BUCKET}/in/slow", InvocationTimeoutSeconds=1)
    assert "Your invocation timed out while waiting for a response from container primary" in read(
        s3, late["FailureLocation"]
    )
    gone = ask(InputLocation=f"s3://{BUCKET}/in/nothing")
    assert "cannot be read" in read(s3, gone["FailureLocation"])


def read(s3: Any, uri: str) -> str:
    """Return an object's text, once it is there."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")

    def found() -> str | None:
        try:
            return str(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode())
        except s3.exceptions.NoSuchKey:
            return None

    return str(wait_until(found, 60, uri))


def test_many_models_take_turns_in_the_memory(
    host: Host, many_image: str, kept: Callable[[str], str], tmp_path: Path
) -> None:
    names = [f"m{number}.tar.gz" for number in range(14)]
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "while_loading").write_text(f"allocate,{MODEL_MB}")
        host.emulator.put_model(folder, f"many/{name}")
    container = {"Image": many_image, "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/many/"}
    endpoint = kept(host.config({**INSTANCE, "ModelName": host.model(container)}))
    assert "TargetModel must be given" in host.refused(endpoint)["Error"]["Message"]
    for name in names:
        assert host.ask(endpoint, f"echo,{name}", TargetModel=name, ContentType="text/csv") == f"{name}\n"
    for word in ('"status": 507', "DELETE /models/"):
        wait_until(lambda word=word: word in host.emulator.written(f"Endpoints/{endpoint}"), what=word)  # type: ignore[misc]
    # The first has long gone, and comes again.
    assert host.ask(endpoint, "echo,back", TargetModel=names[0], ContentType="text/csv") == "back\n"
    missing = host.refused(endpoint, "echo,x", TargetModel="none.tar.gz")["Error"]
    assert missing["Message"].startswith(f"Failed to download model data(bucket: {BUCKET}, key: many/none.tar.gz).")


def test_a_chain_hands_media_types_on(host: Host) -> None:
    before = containers(host.emulator)
    first = {**host.container(NAME="one", ANSWERS="text/csv"), "ContainerHostname": "first"}
    second = {**host.container(NAME="two"), "ContainerHostname": "second"}
    model = host.model(first, second, InferenceExecutionConfig={"Mode": "Serial"})
    endpoint = host.endpoint(host.config({**INSTANCE, "ModelName": model}))
    assert len(containers(host.emulator) - before) == 2
    answer = host.ask(endpoint, ContentType="application/x-mine", Accept="text/x-yours")
    assert answer == "hello one(application/x-mine, application/x-mine) two(text/csv, text/x-yours)"
    host.delete(endpoint)
    assert containers(host.emulator) == before


def test_a_direct_model_is_asked_by_host_name(host: Host, kept: Callable[[str], str]) -> None:
    parts = [{**host.container(NAME=name), "ContainerHostname": name} for name in ("left", "right")]
    model = host.model(*parts, InferenceExecutionConfig={"Mode": "Direct"})
    endpoint = kept(host.config({**INSTANCE, "ModelName": model}))
    assert host.ask(endpoint, TargetContainerHostname="right") == "hello right(text/plain, text/plain)"
    assert "must be one of left, right" in host.refused(endpoint)["Error"]["Message"]


def test_a_stream_comes_in_pieces(host: Host, kept: Callable[[str], str]) -> None:
    endpoint = kept(host.config({**INSTANCE, "ModelName": host.model(host.container("streaming"))}))

    def stream(body: str) -> Any:
        return host.runtime.invoke_endpoint_with_response_stream(
            EndpointName=endpoint, Body=body, ContentType="text/plain"
        )

    answer = stream("abcdefghij")
    assert (answer["InvokedProductionVariant"], answer["ContentType"].partition(";")[0]) == ("V0", "text/plain")
    times, pieces = [], []
    for event in answer["Body"]:
        times.append(time.monotonic())
        pieces.append(event["PayloadPart"]["Bytes"])
    assert b"".join(pieces) == b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n"
    assert len(pieces) > 1
    # The last letter is written 0.9 s after the first: what is held back comes at once.
    assert times[-1] > times[0]
    with closing(stream("ab.")["Body"]) as body, pytest.raises(EventStreamError) as caught:
        list(body)
    assert caught.value.response["Error"]["Code"] == "ModelStreamError"


def test_nothing_is_left_of_an_emulator_that_is_killed(image: str, tmp_path: Path) -> None:
    with emulating(tmp_path) as emulator:
        host = Host(emulator, image, emulator.put_model(HANDLERS, "handlers/model.tar.gz"))
        host.endpoint(host.config({**INSTANCE, "ModelName": host.model(host.container())}))
        assert len(containers(emulator)) == 1
        os.kill(json.loads((emulator.state / "emulator.json").read_text())["pid"], signal.SIGKILL)
        wait_until(lambda: not containers(emulator), 60, "the removal of its container")
