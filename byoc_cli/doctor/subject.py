"""The image under test and what it is tested with: jobs that it trains, servers that it runs."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from byoc_cli.doctor.address import Address
from byoc_cli.doctor.check import Failed, must, not_offered
from byoc_cli.doctor.engine import Container, Engine, last_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

T = TypeVar("T")

PORT = 8080
CSV = "text/csv"
HOST = "algo-1"
TRAINING_SECONDS = 180
# SageMaker gives a serverless endpoint three minutes to answer its first /ping.
START_SECONDS = 180
ENVIRONMENT = {
    "TRAINING_JOB_NAME": "doctor",
    "TRAINING_JOB_ARN": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/doctor",
    "AWS_REGION": "eu-west-1",
}


@dataclass(frozen=True)
class Trained:
    """A training job that has ended.

    Attributes:
        code: its exit code.
        log: all that it wrote.
        ml: its /opt/ml.
    """

    code: int
    log: str
    ml: Path

    @property
    def failure(self) -> str:
        """The failure file's text, empty where there is none; whatever is not UTF-8 shows as U+FFFD."""
        file = self.ml / "output/failure"
        return file.read_text(errors="replace") if file.is_file() else ""

    @property
    def model_files(self) -> list[Path]:
        """All files below the model folder."""
        return files_below(self.ml / "model")

    @property
    def cause(self) -> str:
        """The code and the best that the job says of its end, in a line."""
        said = self.failure.strip().splitlines()[0][:200] if self.failure.strip() else last_line(self.log)
        return f"exit code {self.code}: {said}"


class Server(Address):
    """A container that serves."""

    def __init__(self, container: Container, port: int) -> None:
        super().__init__(port)
        self.container = container

    @property
    def is_running(self) -> bool:
        """Whether the container has not ended."""
        return bool(self.container.state()["Running"])

    def wait_ready(self, seconds: float) -> float:
        """Wait for a /ping that answers 200; return after how many seconds from the container's start it did.

        Raises:
            Failed: it never did, or the container ended.
        """
        end = time.monotonic() + seconds
        seen = "nothing listens"
        while time.monotonic() < end:
            if not self.is_running:
                raise Failed(f"the container ended; its last line: {last_line(self.container.log())}")
            try:
                status = self.ask("GET", "/ping", timeout=5).status
            except Failed as failed:
                seen = str(failed)
            else:
                if status == HTTPStatus.OK:
                    return time.monotonic() - self.container.started
                seen = f"/ping answers {status}"
            time.sleep(0.1)
        raise Failed(f"no 200 from /ping within {seconds:.0f} s: {seen}")


class Subject:
    """The image under test.

    Args:
        engine: where it runs.
        data: a folder with the files of the channel `training`.
        hyperparameters: as SageMaker would write them: text by name.
        payload: the body of a good request.
        content_type: the payload's media type.
        start_seconds: within which a server must answer /ping with 200.
        model: a model's folder to serve; without it the image's own training makes one.
    """

    def __init__(
        self,
        engine: Engine,
        data: Path,
        hyperparameters: Mapping[str, str],
        payload: bytes,
        content_type: str = CSV,
        start_seconds: float = START_SECONDS,
        model: Path | None = None,
    ) -> None:
        self.engine = engine
        self.data = data
        self.hyperparameters = dict(hyperparameters)
        self.payload = payload
        self.content_type = content_type
        self.start_seconds = start_seconds
        self._given_model = model
        self._server: Server | Failed | None = None
        self._serving = threading.Lock()
        self._made: dict[Callable[[Subject], Any], Any] = {}
        self._locks: defaultdict[Callable[[Subject], Any], threading.Lock] = defaultdict(threading.Lock)

    def once(self, make: Callable[[Subject], T]) -> T:
        """Return what a function makes of this subject; it is called once, whichever check asks first.

        Raises:
            Failed: it raised that, each time the same.
        """
        with self._locks[make]:
            if make not in self._made:
                try:
                    self._made[make] = make(self)
                except Failed as failed:
                    self._made[make] = failed
        made = self._made[make]
        if isinstance(made, Failed):
            raise made
        return cast("T", made)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The image's Config, as `docker inspect` shows it."""
        return self.engine.inspect()

    @property
    def rows(self) -> list[str]:
        """The payload's lines; ends the check where it is not CSV."""
        if self.content_type.partition(";")[0] != CSV:
            not_offered(f"the payload is {self.content_type}; rows can only be told apart in {CSV}")
        return self.payload.decode().splitlines()

    @property
    def instances(self) -> list[list[float]]:
        """The payload's rows as numbers; ends the check where they are something else."""
        try:
            return [[float(value) for value in row.split(",")] for row in self.rows]
        except ValueError:
            not_offered("the payload has values that are no numbers")

    # --- training

    def job(
        self,
        hyperparameters: Mapping[str, str] | None = None,
        channels: Mapping[str, Mapping[str, str]] | None = None,
        resources: Mapping[str, Any] | None = None,
        copies: int = 1,
    ) -> Path:
        """Prepare an /opt/ml in a new folder.

        Args:
            hyperparameters: instead of the user's.
            channels: inputdataconfig.json, without the keys that every job has; each channel gets the data.
            resources: resourceconfig.json.
            copies: how many times each CSV file has its rows, so that training takes its time.
        """
        ml = Path(tempfile.mkdtemp(dir=self.engine.folder))
        for folder in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (ml / folder).mkdir(parents=True)
        channels = {"training": {"ContentType": CSV}} if channels is None else channels
        common = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}
        for name in channels:
            shutil.copytree(self.data, ml / "input/data" / name)
        for file in (ml / "input/data").rglob("*.csv") if copies > 1 else ():
            file.write_text(file.read_text() * copies)
        config = {
            "hyperparameters": self.hyperparameters if hyperparameters is None else hyperparameters,
            "inputdataconfig": {name: {**common, **channel} for name, channel in channels.items()},
            "resourceconfig": resources or {"current_host": HOST, "hosts": [HOST], "network_interface_name": "eth0"},
        }
        for name, value in config.items():
            (ml / f"input/config/{name}.json").write_text(json.dumps(value))
        return ml

    def start_training(
        self,
        ml: Path,
        *options: str,
        command: Sequence[str] = ("train",),
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> Container:
        """Start a training job as the platform does; ends the check where the model is given."""
        if self._given_model:
            not_offered("a model was given, so only serving is examined; leave --model out to examine training too")
        words = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        return self.engine.start(*command, options=["--volume", f"{ml}:/opt/ml", *words, *options])

    def train(
        self,
        ml: Path,
        *options: str,
        command: Sequence[str] = ("train",),
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> Trained:
        """Train to the end.

        Raises:
            Failed: it did not end.
        """
        with self.start_training(ml, *options, command=command, environment=environment) as container:
            code = container.wait(TRAINING_SECONDS)
            log = container.log()
        self.engine.own(ml)
        if code is None:
            raise Failed(f"training did not end within {TRAINING_SECONDS} s; its last line: {last_line(log)}")
        return Trained(code, log, ml)

    def good_training(self, ml: Path, *options: str) -> Trained:
        """Train, and fail the check unless that ends with 0 and a model."""
        trained = self.train(ml, *options)
        must(trained.code == 0, trained.cause)
        must(trained.model_files, "exit code 0, but nothing is in /opt/ml/model")
        return trained

    @property
    def trained(self) -> Trained:
        """The job that every check of its results shares; trained once.

        Raises:
            Failed: it failed, each time the same.
        """
        trained = self.once(Subject._train_first)
        must(trained.code == 0 and trained.model_files, f"there is no model: {trained.cause} (see check 3)")
        return trained

    def _train_first(self) -> Trained:
        return self.train(self.job())

    # --- serving

    @property
    def server(self) -> Server:
        """The server that every check that leaves it as it was shares; started once, again where it has ended.

        Raises:
            Failed: it did not get ready.
        """
        with self._serving:
            if self._server is None or (isinstance(self._server, Server) and not self._server.is_running):
                try:
                    self._server = self._serve(self.model)
                except Failed as failed:
                    self._server = failed
            if isinstance(self._server, Failed):
                raise self._server
            return self._server

    @property
    def model(self) -> Path:
        """The folder of the model to serve: the one given, or what training left.

        Raises:
            Failed: training failed.
        """
        return self._given_model or self.trained.ml / "model"

    @property
    def model_files(self) -> list[Path]:
        """All files below that folder.

        Raises:
            Failed: as `model`.
        """
        return files_below(self.model)

    def serve(self, *options: str, model: Path | None = None, port: int = PORT) -> Server:
        """Start another server as the platform does, and wait until it is ready; a with-block on its container ends it.

        Raises:
            Failed: it did not get ready, or the shared one did not: then no time is lost on this one.
        """
        assert self.server
        return self._serve(self.model if model is None else model, *options, port=port)

    def _serve(self, model: Path, *options: str, port: int = PORT) -> Server:
        server = self.start_server(model, *options, port=port)
        try:
            server.wait_ready(self.start_seconds)
        except Failed:
            server.container.remove()
            raise
        return server

    def start_server(self, model: Path, *options: str, port: int = PORT) -> Server:
        """Start a server, the model read only, and do not wait."""
        words = ["--volume", f"{model}:/opt/ml/model:ro", "--publish", f"127.0.0.1::{port}", *options]
        container = self.engine.start("serve", options=words)
        return Server(container, container.port(port))

    def ask(self, server: Server, body: bytes | None = None, **headers: str) -> bytes:
        """POST a good request and fail the check unless its answer is 200; return the answer's body."""
        body = self.payload if body is None else body
        answer = server.post(body, {"Content-Type": self.content_type, **headers})
        must(answer.status == HTTPStatus.OK, f"POST /invocations answered {answer.summary}")
        return answer.body

    def large(self, megabytes: float) -> bytes:
        """Return the payload's rows again and again, up to a size."""
        return repeated("".join(f"{row}\n" for row in self.rows), megabytes)

    def padded(self, megabytes: float) -> bytes:
        """Return the same in few rows: noughts that change no value make them long, so that they are soon predicted."""
        rows = [",".join(pad(value) for value in row.split(",")) for row in self.rows]
        return repeated("".join(f"{row}\n" for row in rows), megabytes)


def files_below(folder: Path) -> list[Path]:
    """Return all files of a folder and the folders in it."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def variables(names: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[str]:
    """Return docker's options that set variables of the environment."""
    return [word for name, value in dict(names).items() for word in ("--env", f"{name}={value}")]


def repeated(text: str, megabytes: float) -> bytes:
    """Return the text as many times as it takes, at least once."""
    block = text.encode()
    return block * max(1, int(megabytes * (1 << 20)) // len(block))


def pad(value: str) -> str:
    """Return a decimal number with a thousand noughts at its end; anything else as it is."""
    return value + "0" * 1000 if re.fullmatch(r"-?\d+\.\d+", value) else value
