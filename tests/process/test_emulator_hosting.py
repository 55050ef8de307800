"""One endpoint's whole life without Docker: the program itself stands for the image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.emulator import REGION, ROLE, Running, emulating
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROW = b"5.1,3.5,1.4,0.2\n"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> Iterator[Running]:
    """An emulator with a model of iris, and an endpoint of it."""
    with emulating(tmp_path_factory.mktemp("emulator"), native=True) as running:
        url = running.put_model(trained / "model", "iris/model.tar.gz")
        make_endpoint(running, "iris", url)
        yield running


def make_endpoint(
    emulator: Running, name: str, url: str = "", instances: int = 1, source: Any = None, **variables: str
) -> None:
    sagemaker = emulator.client("sagemaker")
    data = {"ModelDataUrl": url} if url else {"ModelDataSource": source}
    container = {"Image": "byoc", **data, "Environment": {"MODEL_SERVER_WORKERS": "1", **variables}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    variant["InitialInstanceCount"] = instances
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    wait(emulator, name)


def wait(emulator: Running, name: str, waiter: str = "endpoint_in_service") -> None:
    emulator.client("sagemaker").get_waiter(waiter).wait(
        EndpointName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 900}
    )


def ask(emulator: Running, name: str, body: bytes = ROW, **more: Any) -> dict[str, Any]:
    runtime = emulator.client("sagemaker-runtime")
    answer: dict[str, Any] = runtime.invoke_endpoint(
        EndpointName=name, Body=body, **{"ContentType": "text/csv", **more}
    )
    return answer


def refused(emulator: Running, name: str = "iris", body: bytes = ROW, **more: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        ask(emulator, name, body, **more)
    response: dict[str, Any] = caught.value.response
    return response


def test_an_endpoint_predicts(emulator: Running) -> None:
    answer = ask(emulator, "iris")
    assert (answer["Body"].read(), answer["ContentType"]) == (b"setosa\n", "text/csv")
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_accept_and_custom_attributes_reach_the_container(emulator: Running) -> None:
    answer = ask(emulator, "iris", Accept="application/json", CustomAttributes="trace=1", InferenceId="mine-1")
    assert answer["ContentType"] == "application/json"
    assert json.loads(answer["Body"].read())["predictions"][0]["predicted_label"] == "setosa"
    wait_until(lambda: '"inference_id":"mine-1"' in emulator.written("Endpoints/iris"), what="the request's log line")


def test_it_is_described(emulator: Running) -> None:
    told = emulator.client("sagemaker").describe_endpoint(EndpointName="iris")
    assert told["EndpointArn"] == f"arn:aws:sagemaker:{REGION}:123456789012:endpoint/iris"
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "iris")
    (variant,) = told["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentWeight"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1.0, 1)
    assert variant["DeployedImages"][0]["SpecifiedImage"] == "byoc"
    # botocore drops what its model has not.
    headers = {"X-Amz-Target": "SageMaker.DescribeEndpoint"}
    raw = requests.post(emulator.address, json={"EndpointName": "iris"}, headers=headers, timeout=20).json()
    assert raw.keys() == told.keys() - {"ResponseMetadata"}


def test_an_error_of_the_container_is_a_model_error(emulator: Running) -> None:
    told = refused(emulator, body=b"nonsense\n")
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (told["Error"]["Code"], told["OriginalStatusCode"]) == ("ModelError", 400)
    assert "row 1: has 1 values, not the 4 expected" in told["OriginalMessage"]
    assert told["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/iris")
    assert told["Error"]["Message"].startswith('Received client error (400) from primary with message "{"error"')


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"TargetVariant": "Other"}, "Variant Other not found for Endpoint"),
        ({"TargetModel": "a.tar.gz"}, "it takes no TargetModel"),
        ({"TargetContainerHostname": "second"}, "TargetContainerHostname needs InferenceExecutionConfig.Mode Direct"),
        ({"InferenceComponentName": "component"}, "InferenceComponentName is not emulated here"),
        ({"TargetVariant": "-"}, "failed to satisfy constraint: Member must satisfy regular expression pattern"),
    ],
)
def test_what_a_request_cannot_ask_for(emulator: Running, more: dict[str, str], message: str) -> None:
    told = refused(emulator, **more)
    assert (told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"]) == ("ValidationError", 400)
    assert message in told["Error"]["Message"]


def test_an_unknown_endpoint(emulator: Running) -> None:
    told = refused(emulator, "other")["Error"]
    assert (told["Code"], told["Message"]) == ("ValidationError", "Endpoint other of account 123456789012 not found.")


def test_a_body_that_is_too_large(emulator: Running) -> None:
    told = refused(emulator, body=bytes(25 * 1024 * 1024 + 1))
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert told["Error"]["Message"] == "HTTP content length exceeded 26214400 bytes."


def test_names_are_taken_once(emulator: Running) -> None:
    sagemaker = emulator.client("sagemaker")
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_endpoint(EndpointName="iris", EndpointConfigName="iris")


def test_an_update_that_fails_leaves_the_endpoint_serving(emulator: Running) -> None:
    sagemaker = emulator.client("sagemaker")
    container = {"Image": "byoc", "Environment": {"MODEL_SERVER_WORKERS": "many"}}
    sagemaker.create_model(ModelName="broken", ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": "broken", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="broken", ProductionVariants=[{**variant, "InstanceType": "ml.m5.large"}]
    )
    sagemaker.update_endpoint(EndpointName="iris", EndpointConfigName="broken")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        sagemaker.delete_endpoint(EndpointName="iris")
    wait(emulator, "iris")
    told = sagemaker.describe_endpoint(EndpointName="iris")
    assert told["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health check."
    )
    assert "the environment has 1 mistakes" in told["FailureReason"]
    assert told["EndpointConfigName"] == "iris"
    assert ask(emulator, "iris")["Body"].read() == b"setosa\n"


def test_a_session_stays_with_the_instance_that_opened_it(emulator: Running) -> None:
    make_endpoint(
        emulator, "talks", "s3://a-bucket/iris/model.tar.gz", instances=2, SAGEMAKER_ENABLE_STATEFUL_SESSIONS="true"
    )
    opened = ask(emulator, "talks", b'{"requestType": "NEW_SESSION"}', SessionId="NEW_SESSION")
    session = opened["NewSessionId"].partition(";")[0]
    for _ in range(10):
        assert ask(emulator, "talks", SessionId=session)["Body"].read() == b"setosa\n"
    closed = ask(emulator, "talks", b'{"requestType": "CLOSE"}', SessionId=session)
    assert closed["ClosedSessionId"] == session
    emulator.client("sagemaker").delete_endpoint(EndpointName="talks")
    wait(emulator, "talks", "endpoint_deleted")


def test_a_model_may_lie_on_s3_unpacked(emulator: Running, trained: Path) -> None:
    for file in (trained / "model").iterdir():
        emulator.client("s3").upload_file(str(file), "a-bucket", f"open/iris/{file.name}")
    uri = {"S3Uri": "s3://a-bucket/open/iris/", "S3DataType": "S3Prefix", "CompressionType": "None"}
    make_endpoint(emulator, "open", source={"S3DataSource": uri})
    assert ask(emulator, "open")["Body"].read() == b"setosa\n"
    emulator.client("sagemaker").delete_endpoint(EndpointName="open")
    wait(emulator, "open", "endpoint_deleted")


def test_an_endpoint_that_is_deleted_is_gone(emulator: Running) -> None:
    make_endpoint(emulator, "brief", "s3://a-bucket/iris/model.tar.gz")
    sagemaker = emulator.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName="brief")
    wait(emulator, "brief", "endpoint_deleted")
    assert "brief" not in {each["EndpointName"] for each in sagemaker.list_endpoints()["Endpoints"]}
    assert refused(emulator, "brief")["Error"]["Code"] == "ValidationError"
    wait_until(lambda: len(list(emulator.state.glob("work/hosting-*"))) == 1, 30, "the removal of its files")


def test_endpoints_are_started_again_with_the_emulator(tmp_path: Path, trained: Path) -> None:
    with emulating(tmp_path, native=True) as first:
        make_endpoint(first, "iris", first.put_model(trained / "model", "iris/model.tar.gz"))
    with emulating(tmp_path, native=True) as second:
        wait(second, "iris")
        assert ask(second, "iris")["Body"].read() == b"setosa\n"
