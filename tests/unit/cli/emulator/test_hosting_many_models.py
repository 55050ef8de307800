"""Many models in a container that holds two at a time, and says so by 507."""

from __future__ import annotations

import json
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from byoc_cli.emulator.errors import ApiError
from byoc_cli.emulator.hosting.calls import ContainerError
from byoc_cli.emulator.hosting.multi_model import Shelf
from byoc_cli.emulator.storage import StorageError
from tests.program import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CAPACITY = 2
PREFIX = "s3://bucket/models"


class Storage:
    """Has archives whose only file holds their own name."""

    def __init__(self) -> None:
        self.downloads: list[str] = []

    def download(self, uri: str, file: Path) -> None:
        self.downloads.append(uri.removeprefix(f"{PREFIX}/"))
        if "missing" in uri:
            raise StorageError(f"{uri} cannot be downloaded")
        content = file.with_name("name")
        content.write_text(self.downloads[-1])
        with tarfile.open(file, "w:gz") as tar:
            tar.add(content, arcname="name")


class Container(ThreadingHTTPServer):
    """Holds models by the contract of multi-model containers, from the folder that it is given."""

    daemon_threads = True
    request_queue_size = 64  # beyond it, who connects waits for seconds

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.loaded: dict[str, str] = {}
        self.lock = threading.Lock()
        self.loads: list[str] = []
        self.slow = threading.Event()
        self.slow.set()


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Container

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/models":
            self.load(**json.loads(body))
            return
        name = self.path.split("/")[2]
        found = self.server.loaded.get(name)
        self.answer(404 if found is None else 200, f"{found}:".encode() + body)

    def load(self, model_name: str, url: str) -> None:
        self.server.slow.wait(20)
        with self.server.lock:
            if len(self.server.loaded) == CAPACITY:
                self.answer(507, b"full")
                return
            file = self.server.folder / url.removeprefix("/opt/ml/models/") / "name"
            name = file.read_text()
            if "refused" in name:
                self.answer(400, b"no model")
                return
            self.server.loaded[model_name] = name
            self.server.loads.append(name)
            self.answer(200, b"")

    def do_GET(self) -> None:
        self.answer(200 if self.path.split("/")[2] in self.server.loaded else 404, b"")

    def do_DELETE(self) -> None:
        with self.server.lock:
            self.answer(200 if self.server.loaded.pop(self.path.split("/")[2], None) else 404, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    server = Container(tmp_path)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.slow.set()
    server.shutdown()
    thread.join()
    server.server_close()


def shelf(container: Container, storage: Storage | None = None, **definition: object) -> Shelf:
    url = f"http://127.0.0.1:{container.server_port}"
    return Shelf(storage or Storage(), {"ModelDataUrl": PREFIX, **definition}, container.folder, url, "primary")


def ask(models: Shelf, target: str, body: bytes = b"x", seconds: float = 20) -> tuple[int, bytes]:
    with models.asked(target, body, {}, seconds) as made:
        return made.status, made.read()


def test_a_model_is_fetched_and_loaded_once(container: Container) -> None:
    storage = Storage()
    models = shelf(container, storage)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: ask(models, "a.tar.gz"), range(16)))
    assert set(answers) == {(200, b"a.tar.gz:x")}
    assert (storage.downloads, container.loads) == (["a.tar.gz"], ["a.tar.gz"])


def test_the_model_that_was_asked_longest_ago_goes(container: Container) -> None:
    storage = Storage()
    models = shelf(container, storage)
    for name in ("a.tar.gz", "b.tar.gz", "a.tar.gz", "c.tar.gz"):
        assert ask(models, name) == (200, f"{name}:x".encode())
    assert set(container.loaded.values()) == {"a.tar.gz", "c.tar.gz"}
    assert ask(models, "b.tar.gz") == (200, b"b.tar.gz:x")
    assert set(container.loaded.values()) == {"b.tar.gz", "c.tar.gz"}
    # Its files were there still.
    assert storage.downloads.count("b.tar.gz") == 1


def test_many_at_a_time_all_get_their_turn(container: Container) -> None:
    models = shelf(container)
    names = [f"{letter}.tar.gz" for letter in "abcdef"] * 5
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda name: ask(models, name), names))
    assert answers == [(200, f"{name}:x".encode()) for name in names]
    assert len(container.loaded) <= CAPACITY


class SlowDoor:
    """A lock whose threads are held up just behind it, but for the one that loads c.tar.gz."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.go_on = threading.Event()

    def __enter__(self) -> None:
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()
        if threading.current_thread().name != "c.tar.gz":
            self.go_on.wait(20)


def test_what_was_let_in_a_moment_ago_can_make_room(container: Container) -> None:
    models, door = shelf(container), SlowDoor()
    models._door = door
    with ThreadPoolExecutor(CAPACITY) as threads:
        others = [threads.submit(ask, models, name) for name in ("a.tar.gz", "b.tar.gz")]
        try:
            wait_until(lambda: len(container.loaded) == CAPACITY)
            assert ask(models, "c.tar.gz") == (200, b"c.tar.gz:x")
        finally:
            door.go_on.set()
        assert [each.result() for each in others] == [(200, b"a.tar.gz:x"), (200, b"b.tar.gz:x")]


def test_a_model_that_the_container_lost_is_loaded_again(container: Container) -> None:
    models = shelf(container)
    ask(models, "a.tar.gz")
    container.loaded.clear()
    assert ask(models, "a.tar.gz") == (200, b"a.tar.gz:x")


def test_a_model_that_is_not_to_be_kept_goes_at_once(container: Container) -> None:
    models = shelf(container, MultiModelConfig={"ModelCacheSetting": "Disabled"})
    assert ask(models, "a.tar.gz") == (200, b"a.tar.gz:x")
    assert container.loaded == {}


def test_a_model_that_loads_longer_than_the_caller_waits(container: Container) -> None:
    container.slow.clear()
    models = shelf(container)
    with pytest.raises(ApiError) as caught:
        ask(models, "a.tar.gz", seconds=0.3)
    assert (caught.value.code, caught.value.status) == ("ModelNotReadyException", 429)
    container.slow.set()
    assert ask(models, "a.tar.gz") == (200, b"a.tar.gz:x")
    assert container.loads == ["a.tar.gz"]


def test_a_model_that_the_container_refuses(container: Container) -> None:
    with pytest.raises(ContainerError) as caught:
        ask(shelf(container), "refused.tar.gz")
    assert (caught.value.status, caught.value.body) == (400, b"no model")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "TargetModel must be given"),
        ("../other.tar.gz", "leads out of s3://bucket/models/"),
        ("missing.tar.gz", r"Failed to download model data\(bucket: bucket, key: models/missing.tar.gz\)"),
        ("folder", "must name an archive"),
    ],
)
def test_targets_that_are_none(container: Container, target: str, message: str) -> None:
    with pytest.raises(ApiError, match=message) as caught:
        ask(shelf(container), target)
    assert caught.value.code == "ValidationError"
