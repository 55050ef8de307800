"""Asynchronous endpoints: a queue for each, input from S3, answers and failures to S3."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug import Response

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import limits, requests
from byoc_cli.emulator.hosting.calls import ContainerError
from byoc_cli.emulator.hosting.instances import Invocation
from byoc_cli.emulator.storage import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoc_cli.emulator.emulator import Emulator
    from byoc_cli.emulator.hosting.deployments import Live

log = logging.getLogger(__name__)

# Where the configuration does not say how many an instance answers at a time, SageMaker decides by itself.
CONCURRENT = 4


@dataclass(frozen=True)
class Job:
    """A request in the queue.

    Attributes:
        asked: the request.
        body: that it brought; None is what is at its InputLocation.
        output: URI of the answer.
        failure: URI of what went wrong; "" where nobody asks for it.
        expires: when it is too late to begin.
        seconds: that it may take.
    """

    asked: requests.Asked
    body: bytes | None
    output: str
    failure: str
    expires: float
    seconds: float


class Queue:
    """The queue of one endpoint."""

    def __init__(self) -> None:
        self.jobs: deque[Job] = deque()
        self.workers = 0
        self.lock = threading.Lock()


class AsyncInvocations:
    """The queues of all asynchronous endpoints; they end with the emulator.

    Args:
        emulator: whose S3 holds inputs and answers.
    """

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self._queues: dict[str, Queue] = {}
        self._lock = threading.Lock()

    def take(self, asked: requests.Asked, body: bytes, live: Live, config: Mapping[str, Any]) -> Response:
        """Take a request into the queue; tell where its answer will be.

        Raises:
            ApiError: it has not just one input.
        """
        values = asked.values
        if bool(body) == ("InputLocation" in values):
            raise ApiError("ValidationError", "Provide exactly one of Body and InputLocation.")
        if not body and not values["InputLocation"].startswith("s3://"):
            raise ApiError("ValidationError", "InputLocation must be an S3 URI here: s3://bucket/key")
        inference_id = values.get("InferenceId") or str(uuid.uuid4())
        job = _job(asked, body or None, config["OutputConfig"])
        with self._lock:
            queue = self._queues.setdefault(asked.endpoint, Queue())
        with queue.lock:
            queue.jobs.append(job)
            # One more than there may be ends by itself.
            queue.workers += 1
        self._emulator.background(
            lambda: self._work(queue, live, config), f"asynchronous invocations of {asked.endpoint}"
        )
        headers = {"X-Amzn-SageMaker-OutputLocation": job.output, "x-amzn-RequestId": str(uuid.uuid4())}
        if job.failure:
            headers["X-Amzn-SageMaker-FailureLocation"] = job.failure
        return Response(json.dumps({"InferenceId": inference_id}), 202, headers, mimetype="application/json")

    def _work(self, queue: Queue, live: Live, config: Mapping[str, Any]) -> None:
        """Do jobs until there are none, or more workers than the instances are for."""
        while True:
            with queue.lock:
                too_many = queue.workers > max(1, _capacity(live, config))
                if not queue.jobs or too_many or self._emulator.closing.is_set():
                    queue.workers -= 1
                    return
                job = queue.jobs.popleft()
            try:
                self._do(job, live)
            except Exception:
                log.exception("asynchronous invocation of %s", job.asked.endpoint)

    def _do(self, job: Job, live: Live) -> None:
        try:
            content, media_type = self._answer(job, live)
            self._emulator.storage.write(job.output, content, media_type)
        except ContainerError as error:
            told = requests.model_error(job.asked.endpoint, self._emulator.region, error).message
            self._fail(job, told)
        except (ApiError, StorageError) as error:
            self._fail(job, error.message if isinstance(error, ApiError) else str(error))

    def _answer(self, job: Job, live: Live) -> tuple[bytes, str]:
        """Return the answer to a request, and its media type.

        Raises:
            ApiError: it waited too long, or nothing can answer.
            StorageError: its input is not there.
            ContainerError: the container answered an error, or not in time.
        """
        if time.monotonic() > job.expires:
            raise ApiError("ValidationError", "the request has expired: RequestTTLSeconds is over")
        body = self._emulator.storage.read(job.asked.values["InputLocation"]) if job.body is None else job.body
        if len(body) > limits.ASYNC_PAYLOAD:
            raise ApiError("ValidationError", f"the input has {len(body)} bytes; {limits.ASYNC_PAYLOAD} are the most")
        with live.lent() as (_, instance):
            answer = instance.answer(Invocation(body, job.asked.headers(), job.seconds))
        return answer.body, answer.headers.get("content-type", "application/octet-stream")

    def _fail(self, job: Job, message: str) -> None:
        log.warning("asynchronous invocation of %s: %s", job.asked.endpoint, message)
        if job.failure:
            self._emulator.storage.write(job.failure, message.encode(), "text/plain")


def _job(asked: requests.Asked, body: bytes | None, output: Mapping[str, Any]) -> Job:
    values, name = asked.values, uuid.uuid4()
    folder = output["S3OutputPath"].rstrip("/")
    if extension := values.get("S3OutputPathExtension"):
        folder = f"{folder}/{extension.strip('/')}"
    failure = output.get("S3FailurePath", "").rstrip("/")
    return Job(
        asked,
        body,
        f"{folder}/{values.get('Filename') or f'{name}.out'}",
        f"{failure}/{name}-error.out" if failure else "",
        time.monotonic() + values.get("RequestTTLSeconds", limits.ASYNC_TTL_SECONDS),
        values.get("InvocationTimeoutSeconds", limits.ASYNC_SECONDS),
    )


def _capacity(live: Live, config: Mapping[str, Any]) -> int:
    """Return how many requests the instances answer at a time."""
    each = config.get("ClientConfig", {}).get("MaxConcurrentInvocationsPerInstance", CONCURRENT)
    deployment = live.deployment
    return each * len(deployment.variants[0].instances) if deployment is not None else 0
