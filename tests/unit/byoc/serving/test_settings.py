"""Every variable of serving: its names, its limits, and what is derived from it."""

import logging
from pathlib import Path

import pytest

from byoc.errors import ConfigurationError
from byoc.serving.settings import MEBIBYTE, MEMORY_PER_WORKER, NOTICE, BatchTransform, Settings, default_workers

GIBIBYTE = 1024 * MEBIBYTE


def settings(**environ):
    return Settings.from_environ(environ, cpus=4, memory=16 * GIBIBYTE)


def test_defaults():
    resolved = settings()
    assert resolved == Settings(
        model_dir=Path("/opt/ml/model"),
        port=8080,
        workers=4,
        threads=1,
        timeout=60,
        startup_timeout=600,
        max_payload=25 * MEBIBYTE,
        queue=256,
        batch_rows=1024,
        default_accept="",
        outputs=(),
        most_failures=20,
        sessions=False,
        session_lifetime=1200,
        session_folder="",
        metrics_namespace="",
        engine="auto",
        allow_pickle=False,
        use_nginx=True,
        multi_model=False,
        batch_transform=False,
        batch=BatchTransform(4, "MULTI_RECORD", 25),
        log_level=logging.INFO,
    )


# variable · text · field · value
GOOD = [
    ("MODEL_SERVER_WORKERS", "3", "workers", 3),
    ("SAGEMAKER_MODEL_SERVER_WORKERS", "3", "workers", 3),
    ("SAGEMAKER_GUNICORN_WORKERS", "3", "workers", 3),
    ("SAGEMAKER_NUM_MODEL_WORKERS", "3", "workers", 3),
    ("WEB_SERVER_WORKERS", " 3 ", "workers", 3),
    ("MODEL_SERVER_TIMEOUT", "5", "timeout", 5),
    ("SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS", "300", "timeout", 300),
    ("SAGEMAKER_MODEL_SERVER_TIMEOUT", "3600", "timeout", 3600),
    ("SAGEMAKER_STARTUP_TIMEOUT", "30", "startup_timeout", 30),
    ("SAGEMAKER_BIND_TO_PORT", "9123", "port", 9123),
    ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "100", "max_payload", 100 * MEBIBYTE),
    ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "0", "max_payload", GIBIBYTE),
    ("SAGEMAKER_MAX_REQUEST_SIZE", "6553500", "max_payload", 6553500),
    ("SAGEMAKER_MODEL_JOB_QUEUE_SIZE", "1", "queue", 1),
    ("SAGEMAKER_MAX_BATCH_ROWS", "64", "batch_rows", 64),
    ("OMP_NUM_THREADS", "2", "threads", 2),
    ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "application/json", "default_accept", "application/json"),
    ("SAGEMAKER_INFERENCE_OUTPUT", "labels, probability", "outputs", ("labels", "probability")),
    ("SAGEMAKER_MAX_FAILURES_IN_A_ROW", "0", "most_failures", 0),
    ("SAGEMAKER_ENABLE_STATEFUL_SESSIONS", "True", "sessions", True),
    ("SAGEMAKER_SESSIONS_EXPIRATION", "60", "session_lifetime", 60),
    ("SAGEMAKER_SESSIONS_PATH", "/dev/shm", "session_folder", "/dev/shm"),
    ("AWS_EMF_NAMESPACE", "models", "metrics_namespace", "models"),
    ("SERVE_ENGINE", "ONNX", "engine", "onnx"),
    ("SERVE_ENGINE", "sklearn", "engine", "sklearn"),
    ("SAGEMAKER_USE_NGINX", "false", "use_nginx", False),
    ("SAGEMAKER_MULTI_MODEL", "True", "multi_model", True),
    ("SAGEMAKER_BATCH", "True", "batch_transform", True),
    ("SAGEMAKER_BATCH", "true", "batch_transform", True),
    ("SAGEMAKER_BATCH", "false", "batch_transform", False),
    ("SAGEMAKER_CONTAINER_LOG_LEVEL", "10", "log_level", 10),
    ("SAGEMAKER_CONTAINER_LOG_LEVEL", "error", "log_level", 40),
    ("SAGEMAKER_BASE_DIR", "/elsewhere", "model_dir", Path("/elsewhere/model")),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_every_variable(name, text, field, value):
    """CONTRACT checks 54, 58, 75, 81, 99 and 107."""
    resolved = settings(**{name: text})
    assert getattr(resolved, field) == value
    if field == "workers":
        assert resolved.threads == 1


BAD = [
    *(
        (name, text)
        for name in ("MODEL_SERVER_WORKERS", "WEB_SERVER_WORKERS")
        for text in ("0", "-1", "two", "513", "1.5")
    ),
    *(("MODEL_SERVER_TIMEOUT", text) for text in ("0", "3601", "60s")),
    ("SAGEMAKER_BIND_TO_PORT", "0"),
    ("SAGEMAKER_BIND_TO_PORT", "65536"),
    ("SAGEMAKER_STARTUP_TIMEOUT", "never"),
    ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "1025"),
    ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "6MB"),
    ("SAGEMAKER_MAX_REQUEST_SIZE", "0"),
    ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "0"),
    ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "101"),
    ("SAGEMAKER_BATCH_STRATEGY", "MultiRecord"),
    ("SAGEMAKER_MODEL_JOB_QUEUE_SIZE", "0"),
    ("SAGEMAKER_MAX_BATCH_ROWS", "0"),
    ("OMP_NUM_THREADS", "0"),
    ("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "csv"),
    ("SAGEMAKER_INFERENCE_OUTPUT", "label"),
    ("SAGEMAKER_INFERENCE_OUTPUT", "predicted_label;probability"),
    ("SAGEMAKER_USE_NGINX", "maybe"),
    ("SAGEMAKER_BATCH", "2"),
    ("SAGEMAKER_CONTAINER_LOG_LEVEL", "51"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_told_with_its_name_and_what_is_allowed(name, text):
    with pytest.raises(ConfigurationError, match=f"^{name}='{text}' must be "):
        settings(**{name: text})


def test_all_problems_are_told_at_once():
    bad = dict(
        {"MODEL_SERVER_TIMEOUT": "soon"}, SAGEMAKER_BIND_TO_PORT="x", MODEL_SERVER_WORKERS="2", WEB_SERVER_WORKERS="3"
    )
    with pytest.raises(ConfigurationError) as refused:
        settings(**bad)
    assert len(refused.value.problems) == 3
    assert "MODEL_SERVER_WORKERS=2 and WEB_SERVER_WORKERS=3 contradict each other" in str(refused.value)


@pytest.mark.parametrize("timeout", [1, 2, 5, 10, 59, 60, 61, 300, 3600])
def test_the_models_deadline_comes_before_gunicorns_before_nginxs(timeout):
    """CONTRACT checks 58, 62 and 85."""
    resolved = settings(MODEL_SERVER_TIMEOUT=str(timeout))
    assert 0 < resolved.deadline < timeout < resolved.gunicorn_timeout < resolved.nginx_timeout
    assert resolved.deadline >= timeout * 0.9
    assert resolved.drain < NOTICE


WORKERS = [
    (1, GIBIBYTE, 1),
    (2, GIBIBYTE, 1),
    (64, GIBIBYTE, 1),
    (4, 256 * MEBIBYTE, 1),
    (4, 2 * MEMORY_PER_WORKER, 2),
    (4, 64 * GIBIBYTE, 4),
    (96, 384 * GIBIBYTE, 96),
]


@pytest.mark.parametrize(("cpus", "memory", "workers"), WORKERS)
def test_one_worker_a_cpu_as_far_as_the_memory_goes(cpus, memory, workers):
    """CONTRACT checks 59 and 60; the CPUs are shared out among the workers' threads."""
    assert default_workers(cpus, memory) == workers
    resolved = Settings.from_environ({}, cpus=cpus, memory=memory)
    assert resolved.workers == workers
    assert resolved.threads == max(1, cpus // workers)


# workers · MAX_CONCURRENT_TRANSFORMS · MAX_PAYLOAD_IN_MB · concurrent · payload in MB
BATCHES = [
    (1, "", "", 1, 25),
    (4, "", "", 4, 25),
    (8, "", "", 8, 12),
    (500, "", "", 100, 1),
    (4, "8", "", 8, 12),
    (4, "100", "", 100, 1),
    (4, "", "6", 4, 6),
    (96, "", "6", 16, 6),
    (4, "", "100", 1, 100),
    (4, "", "1024", 1, 100),
    (4, "", "0", 4, 0),
    (4, "8", "0", 8, 0),
    (4, "8", "12", 8, 12),
]


@pytest.mark.parametrize(("workers", "concurrent", "payload", "told", "told_mb"), BATCHES)
def test_batch_transform_is_told_what_fits(workers, concurrent, payload, told, told_mb):
    """CONTRACT check 76: what is set comes back, and the product is at most 100 MB."""
    resolved = settings(
        MODEL_SERVER_WORKERS=str(workers),
        SAGEMAKER_MAX_CONCURRENT_TRANSFORMS=concurrent,
        SAGEMAKER_MAX_PAYLOAD_IN_MB=payload,
        SAGEMAKER_BATCH_STRATEGY="SINGLE_RECORD",
    )
    assert resolved.batch == BatchTransform(told, "SINGLE_RECORD", told_mb)
    assert told * told_mb <= 100


def test_more_than_batch_transform_allows_is_a_contradiction():
    with pytest.raises(ConfigurationError, match="=8 times SAGEMAKER_MAX_PAYLOAD_IN_MB=13 is more than the 100 MB"):
        settings(SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="8", SAGEMAKER_MAX_PAYLOAD_IN_MB="13")


def test_a_limit_in_bytes_and_one_in_megabytes_must_agree():
    agreed = settings(SAGEMAKER_MAX_REQUEST_SIZE=str(6 * MEBIBYTE), SAGEMAKER_MAX_PAYLOAD_IN_MB="6")
    assert agreed.max_payload == 6 * MEBIBYTE
    with pytest.raises(ConfigurationError, match=r"SAGEMAKER_MAX_REQUEST_SIZE=7 bytes .* contradict each other"):
        settings(SAGEMAKER_MAX_REQUEST_SIZE="7", SAGEMAKER_MAX_PAYLOAD_IN_MB="6")


def test_a_model_of_many_may_use_every_cpu_and_needs_nginx():
    resolved = settings(SAGEMAKER_MULTI_MODEL="true", MODEL_SERVER_WORKERS="3")
    assert (resolved.workers, resolved.threads) == (1, 4)
    assert settings(SAGEMAKER_MULTI_MODEL="true", OMP_NUM_THREADS="2").threads == 2
    with pytest.raises(ConfigurationError, match="SAGEMAKER_MULTI_MODEL=true needs nginx"):
        settings(SAGEMAKER_MULTI_MODEL="true", SAGEMAKER_USE_NGINX="false")
    settings(SAGEMAKER_MULTI_MODEL="false", SAGEMAKER_USE_NGINX="false")


def test_nginx_waits_for_a_model_as_long_as_it_may_load():
    assert settings(SAGEMAKER_STARTUP_TIMEOUT="360").nginx_startup_timeout == 370
    assert settings(SAGEMAKER_STARTUP_TIMEOUT="30", MODEL_SERVER_TIMEOUT="60").nginx_startup_timeout == 70
