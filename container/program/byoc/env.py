"""All that SageMaker tells a container: the folders, the environment and the config files, typed and read once.

Every problem is collected, so that a user mends them all before the next ten-minute start.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from byoc import logs
from byoc.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

Engine = Literal["auto", "onnx", "sklearn"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

TRUE = {"true", "1", "yes", "on"}
FALSE = {"false", "0", "no", "off", ""}


@dataclass(frozen=True)
class Paths:
    """Where SageMaker mounts things; below ``/opt/ml``, or below ``SAGEMAKER_BASE_DIR`` on a laptop."""

    base: Path = Path("/opt/ml")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Paths:
        """Return the folders below ``SAGEMAKER_BASE_DIR``, or ``/opt/ml``."""
        return cls(Path(environ.get("SAGEMAKER_BASE_DIR") or "/opt/ml").absolute())

    @property
    def model(self) -> Path:
        """What training leaves and serving reads; becomes ``model.tar.gz``."""
        return self.base / "model"

    @property
    def config(self) -> Path:
        """``hyperparameters.json`` and the other files SageMaker writes."""
        return self.base / "input" / "config"

    @property
    def data(self) -> Path:
        """One folder a channel."""
        return self.base / "input" / "data"

    @property
    def output(self) -> Path:
        """Holds ``failure`` and ``data``."""
        return self.base / "output"

    @property
    def output_data(self) -> Path:
        """Side outputs such as reports; becomes ``output.tar.gz``."""
        return self.output / "data"

    @property
    def failure(self) -> Path:
        """Its first 1,024 characters become the job's FailureReason."""
        return self.output / "failure"

    @property
    def checkpoints(self) -> Path:
        """Synchronised with S3 while the job runs, where the job asks for it; it may name another place."""
        return self.base / "checkpoints"

    @property
    def code(self) -> Path:
        """Where a script of the user's is put, where the job brings one."""
        return self.base / "code"

    def local(self, path: str) -> Path:
        """Return where a path of a container's is here: what is below ``/opt/ml`` there is below the base."""
        place = Path(path)
        return self.base / place.relative_to("/opt/ml") if place.is_relative_to("/opt/ml") else place


class Reader:
    """Typed values out of a mapping of strings; collects every problem instead of stopping at the first."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []

    def value(self, names: Sequence[str], default: T, parse: Callable[[str], T]) -> T:
        """Return the value of the variable, the first name being the one we document, the others its aliases.

        ``parse`` raises ValueError with a text that completes "NAME=value ...". Aliases that are set to different
        values contradict one another: a problem.
        """
        found = {name: self.environ[name] for name in names if self.environ.get(name, "").strip()}
        values: dict[str, T] = {}
        for name, text in found.items():
            try:
                values[name] = parse(text.strip())
            except ValueError as error:
                self.problems.append(f"{name}={text!r} {error}")
        if len({repr(value) for value in values.values()}) > 1:
            told = " and ".join(f"{name}={found[name]}" for name in values)
            self.problems.append(f"{told} contradict each other; set one of them")
        return next(iter(values.values()), default)

    def integer(self, names: Sequence[str], default: int, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        found = self.optional(names, low, high)
        return default if found is None else found

    def optional(self, names: Sequence[str], low: int, high: int) -> int | None:
        """Return a whole number from ``low`` to ``high``, None where none is set."""

        def parse(text: str) -> int:
            if not text.removeprefix("-").isdecimal() or not low <= int(text) <= high:
                raise ValueError(f"must be a whole number from {low} to {high}")
            return int(text)

        return self.value(names, None, parse)

    def flag(self, names: Sequence[str], *, default: bool) -> bool:
        """Return a truth value, whatever its case: the SDK's local mode writes ``True`` where AWS writes ``true``."""

        def parse(text: str) -> bool:
            if text.lower() not in TRUE | FALSE:
                raise ValueError("must be true or false")
            return text.lower() in TRUE

        return self.value(names, default, parse)

    def log_level(self) -> int:
        """Return ``SAGEMAKER_CONTAINER_LOG_LEVEL`` as a number, INFO where it is not set."""
        return self.value(["SAGEMAKER_CONTAINER_LOG_LEVEL"], logging.INFO, logs.level)

    def engine(self) -> Engine:
        """Return ``SERVE_ENGINE``: which engine serves the sample algorithm's models."""

        def parse(text: str) -> Engine:
            for engine in ENGINES:
                if text.lower() == engine:
                    return engine
            raise ValueError(f"must be one of {', '.join(ENGINES)}")

        return self.value(["SERVE_ENGINE"], "auto", parse)

    def allow_pickle(self) -> bool:
        """Return ``SERVE_ALLOW_PICKLE``: whether models may be pickles, which run what they like when loaded."""
        return self.flag(["SERVE_ALLOW_PICKLE"], default=False)

    def finish(self) -> None:
        """Raise every problem found.

        Raises:
            ConfigurationError: there was at least one.

        """
        if self.problems:
            raise ConfigurationError(self.problems)


@dataclass(frozen=True)
class TrainingEnvironment:
    """A training job as SageMaker describes it."""

    paths: Paths
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("algo-1",)
    current_host: str = "algo-1"
    network_interface: str = "eth0"
    checkpoints: Path | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    program: str = ""
    submit_directory: str = ""
    job_name: str = ""
    hosts_timeout: int = 900
    processes_per_host: int = 0
    log_level: int = logging.INFO

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> TrainingEnvironment:
        """Read the environment and the config files.

        A bare ``docker run IMAGE train`` has no ``resourceconfig.json``: it is then the only host.

        Raises:
            ConfigurationError: with every problem of every file and variable.

        """
        reader = Reader(environ)
        paths = Paths.from_environ(environ)
        hyperparameters = _read_object(reader, paths.config, "hyperparameters.json")
        channels = _read_object(reader, paths.config, "inputdataconfig.json", "inputDataConfig.json")
        resources = _read_object(reader, paths.config, "resourceconfig.json", "resourceConfig.json")
        local_path = _read_object(reader, paths.config, "checkpointconfig.json").get("LocalPath")
        hosts = tuple(resources.get("hosts") or [resources.get("current_host") or "algo-1"])
        current_host = resources.get("current_host") or hosts[0]
        if current_host not in hosts:
            reader.problems.append(f"resourceconfig.json: current_host {current_host!r} is not in hosts {list(hosts)}")
        level = reader.log_level()
        hosts_timeout = reader.integer(["BYOC_HOSTS_TIMEOUT"], cls.hosts_timeout, 1, 86_400)
        processes = reader.integer(["BYOC_PROCESSES_PER_HOST"], cls.processes_per_host, 0, 1024)
        reader.finish()
        return cls(
            paths=paths,
            hyperparameters={
                name: text if isinstance(text, str) else json.dumps(text) for name, text in hyperparameters.items()
            },
            channels={name: entry or {} for name, entry in channels.items()},
            hosts=hosts,
            current_host=current_host,
            network_interface=resources.get("network_interface_name") or "eth0",
            checkpoints=paths.local(local_path) if local_path else paths.checkpoints,
            resources=resources,
            program=environ.get("SAGEMAKER_PROGRAM", ""),
            submit_directory=environ.get("SAGEMAKER_SUBMIT_DIRECTORY", ""),
            job_name=environ.get("TRAINING_JOB_NAME", ""),
            hosts_timeout=hosts_timeout,
            processes_per_host=processes,
            log_level=level,
        )

    @property
    def is_leader(self) -> bool:
        """Whether this host writes the model: the folders of all hosts are merged, and equal names overwrite."""
        return self.current_host == self.hosts[0]


def _read_object(reader: Reader, folder: Path, *names: str) -> Mapping[str, Any]:
    """Return the JSON object in the first of the files that exists, {} where none does."""
    for name in names:
        file = folder / name
        try:
            value = json.loads(file.read_bytes() or b"{}")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            reader.problems.append(f"{file} cannot be read as JSON: {error}")
            return {}
        if not isinstance(value, dict):
            reader.problems.append(f"{file} must hold a JSON object, not {type(value).__name__}")
            return {}
        return value
    return {}
