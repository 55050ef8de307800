"""Everything that can be set about serving, resolved once from the environment.

From one time-out and one payload limit every other limit is derived, so that they cannot contradict each other: the
model's deadline comes before gunicorn's, gunicorn's before nginx's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from byoc import machine
from byoc.env import Paths, Reader

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from byoc.env import Engine

MEBIBYTE = 1 << 20
DEFAULT_PAYLOAD_MB = 25
LARGEST_PAYLOAD_MB = 1024
# What batch transform may have under way at a time: requests times their largest size.
BATCH_TRANSFORM_MB = 100
STRATEGIES = ("MULTI_RECORD", "SINGLE_RECORD")
# A worker with scikit-learn and its model's arrays shared; 1 GB serverless endpoints get one worker.
MEMORY_PER_WORKER = 768 * MEBIBYTE
MOST_WORKERS = 512
# What may be named in SAGEMAKER_INFERENCE_OUTPUT.
OUTPUTS = ("predicted_label", "probability", "probabilities", "labels")
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")

# The platform's notice before SIGKILL is 30 seconds.
NOTICE = 30.0


@dataclass(frozen=True)
class BatchTransform:
    """How batch transform is to send its requests, as ``GET /execution-parameters`` tells it.

    Attributes:
        concurrent: requests at a time.
        strategy: ``MULTI_RECORD`` or ``SINGLE_RECORD``, records in a request.
        payload_mb: largest body in MB; 0 sends whole files, in chunks without a length.

    """

    concurrent: int
    strategy: str
    payload_mb: int

    @classmethod
    def read(cls, reader: Reader, workers: int, payload: int | None) -> BatchTransform:
        """Take what the job has set, and for the rest as much as the workers and SageMaker's limit allow."""
        concurrent = reader.optional(["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"], 1, BATCH_TRANSFORM_MB)
        strategy = reader.value(["SAGEMAKER_BATCH_STRATEGY"], STRATEGIES[0], _strategy)
        if concurrent and payload and concurrent * payload > BATCH_TRANSFORM_MB:
            reader.problems.append(
                f"SAGEMAKER_MAX_CONCURRENT_TRANSFORMS={concurrent} times SAGEMAKER_MAX_PAYLOAD_IN_MB={payload} is more "
                f"than the {BATCH_TRANSFORM_MB} MB that batch transform allows; lower one of them"
            )
        if payload is None:
            payload = min(DEFAULT_PAYLOAD_MB, BATCH_TRANSFORM_MB // (concurrent or min(workers, BATCH_TRANSFORM_MB)))
        # Payloads above the limit are for asynchronous endpoints.
        payload = min(payload, BATCH_TRANSFORM_MB)
        return cls(concurrent or min(workers, BATCH_TRANSFORM_MB // max(1, payload)), strategy, payload)


@dataclass(frozen=True)
class Settings:
    """How this container serves.

    Attributes:
        model_dir: the folder of the model, read only.
        port: where requests arrive, on all interfaces.
        workers: processes that predict.
        threads: BLAS and OpenMP threads of each of them.
        timeout: seconds within which a request is answered, whatever happens.
        startup_timeout: seconds within which the first worker must be ready.
        max_payload: bytes of a request's body, also once it is unpacked.
        queue: requests that may wait in a worker; more are answered 503 at once.
        batch_rows: rows that one call of the model may be given from several requests.
        default_accept: the answer's media type where the request asks for none; "" answers in the request's own.
        outputs: what an answer holds; () is the media type's usual.
        most_failures: predictions that may fail one after the other before /ping tells of it; 0 is any number.
        sessions: whether requests may share values in stateful sessions.
        session_lifetime: seconds that a session lasts.
        session_folder: where they are kept; "" is the server's own folder.
        metrics_namespace: of CloudWatch metrics in the log (embedded metric format); "" leaves them out.
        engine: ``auto``, ``onnx`` or ``sklearn``: what predicts for the sample algorithm.
        allow_pickle: whether models may be pickles.
        use_nginx: whether nginx stands in front.
        multi_model: whether models come and go by requests, each in a process of its own; none is there at the start.
        batch_transform: whether this is a batch transform job.
        batch: what batch transform is to send where the job does not say.
        log_level: of Python's logging.

    """

    model_dir: Path
    port: int
    workers: int
    threads: int
    timeout: int
    startup_timeout: int
    max_payload: int
    queue: int
    batch_rows: int
    default_accept: str
    outputs: tuple[str, ...]
    most_failures: int
    sessions: bool
    session_lifetime: int
    session_folder: str
    metrics_namespace: str
    engine: Engine
    allow_pickle: bool
    use_nginx: bool
    multi_model: bool
    batch_transform: bool
    batch: BatchTransform
    log_level: int

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], cpus: int | None = None, memory: int | None = None) -> Settings:
        """Resolve the settings; the first name of each list is the documented one, the others are aliases.

        Raises:
            ConfigurationError: with every malformed or contradictory variable.

        """
        cpus = cpus or machine.cpus()
        reader = Reader(environ)
        workers = reader.integer(
            [
                "MODEL_SERVER_WORKERS",
                "SAGEMAKER_MODEL_SERVER_WORKERS",
                "SAGEMAKER_GUNICORN_WORKERS",
                "SAGEMAKER_NUM_MODEL_WORKERS",
                "WEB_SERVER_WORKERS",
            ],
            default=default_workers(cpus, memory or machine.memory()),
            low=1,
            high=MOST_WORKERS,
        )
        multi_model = reader.flag(["SAGEMAKER_MULTI_MODEL"], default=False)
        if multi_model:
            # A process for each model: one that is asked alone may use every CPU.
            workers = 1
        use_nginx = reader.flag(["SAGEMAKER_USE_NGINX"], default=True)
        if multi_model and not use_nginx:
            reader.problems.append("SAGEMAKER_MULTI_MODEL=true needs nginx; leave SAGEMAKER_USE_NGINX=false out")
        payload = reader.optional(["SAGEMAKER_MAX_PAYLOAD_IN_MB"], 0, LARGEST_PAYLOAD_MB)
        settings = cls(
            model_dir=Paths.from_environ(environ).model,
            port=reader.integer(["SAGEMAKER_BIND_TO_PORT"], 8080, 1, 65535),
            workers=workers,
            threads=reader.integer(["OMP_NUM_THREADS"], max(1, cpus // workers), 1, 1024),
            timeout=reader.integer(
                [
                    "MODEL_SERVER_TIMEOUT",
                    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS",
                    "SAGEMAKER_MODEL_SERVER_TIMEOUT",
                ],
                default=60,
                low=1,
                high=3600,
            ),
            startup_timeout=reader.integer(["SAGEMAKER_STARTUP_TIMEOUT"], 600, 1, 3600),
            # Batch transform's word for a body of any size is 0.
            max_payload=_max_payload(reader, payload),
            queue=reader.integer(["SAGEMAKER_MODEL_JOB_QUEUE_SIZE"], 256, 1, 1_000_000),
            batch_rows=reader.integer(["SAGEMAKER_MAX_BATCH_ROWS"], 1024, 1, 1_000_000),
            default_accept=reader.value(["SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"], "", _media_type),
            outputs=reader.value(["SAGEMAKER_INFERENCE_OUTPUT"], (), _outputs),
            most_failures=reader.integer(["SAGEMAKER_MAX_FAILURES_IN_A_ROW"], 20, 0, 1_000_000),
            sessions=reader.flag(["SAGEMAKER_ENABLE_STATEFUL_SESSIONS"], default=False),
            session_lifetime=reader.integer(["SAGEMAKER_SESSIONS_EXPIRATION"], 1200, 1, 31_536_000),
            session_folder=reader.value(["SAGEMAKER_SESSIONS_PATH"], "", str),
            metrics_namespace=reader.value(["AWS_EMF_NAMESPACE"], "", str),
            use_nginx=use_nginx,
            multi_model=multi_model,
            engine=reader.engine(),
            allow_pickle=reader.allow_pickle(),
            batch_transform=reader.flag(["SAGEMAKER_BATCH"], default=False),
            batch=BatchTransform.read(reader, workers, payload),
            log_level=reader.log_level(),
        )
        reader.finish()
        return settings

    @cached_property
    def deadline(self) -> float:
        """Seconds after which a request is given up, a little before the platform gives it up."""
        return self.timeout - min(3.0, self.timeout * 0.05)

    @property
    def gunicorn_timeout(self) -> int:
        """Seconds without a sign of life after which gunicorn's master replaces a worker."""
        return self.timeout + 5

    @property
    def nginx_timeout(self) -> int:
        """Seconds that nginx waits for an answer."""
        return self.timeout + 10

    @property
    def nginx_startup_timeout(self) -> int:
        """Seconds that nginx waits for one of many models to be loaded or unloaded."""
        return max(self.startup_timeout, self.timeout) + 10

    @property
    def drain(self) -> float:
        """Seconds that requests in flight may still take when the container is told to stop."""
        return NOTICE - 5.0


def _max_payload(reader: Reader, payload: int | None) -> int:
    """Return the bytes of the largest body: by SageMaker's variable in MB, or multi-model-server's in bytes."""
    size = reader.optional(["SAGEMAKER_MAX_REQUEST_SIZE"], 1, LARGEST_PAYLOAD_MB * MEBIBYTE)
    limit = (DEFAULT_PAYLOAD_MB if payload is None else payload or LARGEST_PAYLOAD_MB) * MEBIBYTE
    if size is not None and payload is not None and size != limit:
        reader.problems.append(
            f"SAGEMAKER_MAX_REQUEST_SIZE={size} bytes and SAGEMAKER_MAX_PAYLOAD_IN_MB={payload} contradict each other; "
            "set one of them"
        )
    return limit if size is None else size


def default_workers(cpus: int, memory: int) -> int:
    """Return one worker a CPU, as far as the memory goes."""
    return max(1, min(cpus, memory // MEMORY_PER_WORKER))


def _media_type(text: str) -> str:
    if not MEDIA_TYPE.fullmatch(text.partition(";")[0].strip()):
        raise ValueError("must be a media type such as text/csv")
    return text


def _strategy(text: str) -> str:
    if text not in STRATEGIES:
        raise ValueError(f"must be {' or '.join(STRATEGIES)}")
    return text


def _outputs(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not set(names) <= set(OUTPUTS):
        raise ValueError(f"must be some of {','.join(OUTPUTS)}, with commas between")
    return names
