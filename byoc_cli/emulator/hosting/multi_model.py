"""Many models in one container: fetched at the first call, and the one asked longest ago goes when memory is short."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting import model_data
from byoc_cli.emulator.hosting.calls import Answer, Call, CallError, ContainerError, call
from byoc_cli.emulator.storage import StorageError, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from byoc_cli.emulator.storage import Storage

log = logging.getLogger(__name__)

# A download and a load together; the caller is told to come again after less.
LOAD_SECONDS = 360
OK, NOT_FOUND, CONFLICT, NO_MEMORY = 200, 404, 409, 507


@dataclass
class Held:
    """A model of the container's.

    Attributes:
        target: as requests name it: its archive's place below the prefix.
        loading: the latest attempt to load it.
        is_loaded: whether the container has it in memory.
        users: requests that it is answering.
        used: when it was asked last.
    """

    target: str
    is_loaded: bool = False
    loading: Future[None] | None = None
    users: int = 0
    used: float = 0.0

    @property
    def id(self) -> str:
        """By which the container knows it: nothing can be read from it."""
        return hashlib.sha256(self.target.encode()).hexdigest()[:32]


class Shelf:
    """The models of one container.

    Args:
        storage: where their archives are.
        definition: of the container, with the prefix that they are below.
        folder: that the container has as ``/opt/ml/models``.
        url: where it listens.
        name: of it, for errors.
    """

    def __init__(self, storage: Storage, definition: Mapping[str, Any], folder: Path, url: str, name: str) -> None:
        self._storage = storage
        self._prefix = definition["ModelDataUrl"].rstrip("/") + "/"
        self._keeps = definition.get("MultiModelConfig", {}).get("ModelCacheSetting") != "Disabled"
        self._folder = folder
        self._url = url
        self._name = name
        self._models: dict[str, Held] = {}
        self._changed = threading.Lock()
        # One at a time is let in or put out: what is free for one is not promised to another.
        self._door = threading.Lock()

    @contextmanager
    def asked(self, target: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Iterator[Call]:
        """Send a request to a model, which is loaded first where it is not; lend its answer.

        Raises:
            ApiError: the model is not on S3, or takes longer to load than the caller waits.
            ContainerError: the container does not take the model.
            CallError: there is no answer.
        """
        held, end = self._find(target), time.monotonic() + seconds
        with self._using(held):
            while True:
                self._have_loaded(held, end - time.monotonic())
                path = f"/models/{held.id}/invoke"
                with Call(self._url, "POST", path, body, headers, end - time.monotonic()) as made:
                    if not self._is_to_repeat(held, made.status):
                        yield made
                        break
        if not self._keeps:
            with self._door:
                self._put_out(held)

    def _find(self, target: str) -> Held:
        if not target:
            raise ApiError("ValidationError", "TargetModel must be given: the endpoint holds many models")
        name = target.removeprefix("/")
        if ".." in PurePosixPath(name).parts:
            raise ApiError("ValidationError", f"TargetModel {target} leads out of {self._prefix}")
        with self._changed:
            return self._models.setdefault(name, Held(name))

    @contextmanager
    def _using(self, held: Held) -> Iterator[None]:
        with self._changed:
            held.users += 1
            held.used = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                held.users -= 1

    def _have_loaded(self, held: Held, seconds: float) -> None:
        """Return once a model is loaded.

        Raises:
            ApiError: it takes longer than the caller waits; it goes on.
            ContainerError: the container does not take it.
        """
        with self._changed:
            if held.is_loaded:
                return
            if held.loading is None or held.loading.done():
                held.loading = Future()
                threading.Thread(target=self._load, args=(held, held.loading), name=held.target, daemon=True).start()
            loading = held.loading
        try:
            loading.result(seconds)
        except TimeoutError as error:
            raise ApiError(
                "ModelNotReadyException", f"Model {held.target} is still being loaded; ask again", 429
            ) from error

    def _load(self, held: Held, loading: Future[None]) -> None:
        try:
            self._fetch(held)
            with self._door:
                self._let_in(held)
                held.is_loaded = True  # before the next one looks for whom to put out
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            loading.set_exception(error)
        else:
            loading.set_result(None)

    def _fetch(self, held: Held) -> None:
        """Unpack a model's archive where the container finds it, unless it is there from an earlier time.

        Raises:
            ApiError: it is not on S3, or is refused.
        """
        folder, uri = self._folder / held.id, self._prefix + held.target
        if folder.is_dir():
            return
        beside = self._folder / f".{held.id}"
        shutil.rmtree(beside, ignore_errors=True)
        (beside / "model").mkdir(parents=True)
        try:
            model_data.unpacked(self._storage, uri, beside / "model")
        except (StorageError, click.ClickException) as error:
            shutil.rmtree(beside, ignore_errors=True)
            bucket, key = split(uri)
            why = error.message if isinstance(error, click.ClickException) else str(error)
            raise ApiError(
                "ValidationError",
                f"Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that there is an object "
                f"located at the URL and that the role passed to CreateModel has permissions to download the model. "
                f"({why})",
            ) from error
        beside.rename(folder)

    def _let_in(self, held: Held) -> None:
        """Have the container load a model; others go as long as its memory does not suffice.

        Raises:
            ContainerError: it does not load it.
        """
        asked = json.dumps({"model_name": held.id, "url": f"/opt/ml/models/{held.id}/model"}).encode()
        while True:
            answer = self._call("POST", "/models", asked)
            if answer.status in (OK, CONFLICT):
                log.info("%s: loaded", held.target)
                return
            if answer.status != NO_MEMORY or not self._make_room(held):
                raise ContainerError(self._name, answer.status, answer.body)

    def _make_room(self, held: Held) -> bool:
        """Put out the model that was asked longest ago, one that nobody waits for if there is one; say if one went."""
        with self._changed:
            others = [each for each in self._models.values() if each.is_loaded and each is not held]
        if not others:
            return False
        oldest = min(others, key=lambda each: (each.users > 0, each.used))
        log.info("%s: unloaded, to make room for %s", oldest.target, held.target)
        self._put_out(oldest)
        return True

    def _put_out(self, held: Held) -> None:
        held.is_loaded = False
        self._call("DELETE", f"/models/{held.id}")

    def _is_to_repeat(self, held: Held, status: int) -> bool:
        """Whether a request is to be sent again: its model was put out meanwhile, or there is memory for it now."""
        if status == NOT_FOUND and self._call("GET", f"/models/{held.id}").status == NOT_FOUND:
            held.is_loaded = False
            return True
        if status == NO_MEMORY:
            with self._door:
                return self._make_room(held)
        return False

    def _call(self, method: str, path: str, body: bytes = b"") -> Answer:
        try:
            return call(self._url, method, path, body, {"Content-Type": "application/json"}, LOAD_SECONDS)
        except CallError as error:
            raise ContainerError(self._name, 0, str(error).encode(), timed_out=error.timed_out) from error
