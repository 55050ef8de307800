"""The scripts of local_test/ and `byoc demo` with the real image, by a user who isn't root."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests import engine
from tests.clone import CLASSES, free_port, make_clone, script, start_demo, wait_for_ping

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.docker

SOCKET = Path("/var/run/docker.sock")
SLOW = '{"max_iter": "1000000"}'


@dataclass
class Person:
    """Somebody in the Docker group: we ourselves, or where the tests run as root a user without a name."""

    clone: Path
    uid: int = field(default_factory=lambda: os.getuid() or 12345)

    @property
    def process(self) -> dict[str, Any]:
        """What makes subprocess start a program as this user."""
        if os.getuid():
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": [SOCKET.stat().st_gid]}

    @property
    def test_dir(self) -> Path:
        return self.clone / "local_test" / "test_dir"

    def run(self, name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return script(self.clone, name, *arguments, env={"HOME": str(self.clone), **env}, **self.process)

    def start(self, command: list[Any], **env: str) -> subprocess.Popen[str]:
        environ = {**os.environ, "HOME": str(self.clone), **env}
        return subprocess.Popen(command, cwd="/", env=environ, stdout=-1, stderr=-1, text=True, **self.process)

    def slow_training(self) -> None:
        (self.test_dir / "input" / "config" / "hyperparameters.json").write_text(SLOW)

    def foreign_files(self) -> list[Path]:
        return [path for path in self.test_dir.rglob("*") if path.lstat().st_uid != self.uid]


@pytest.fixture
def person() -> Iterator[Person]:
    """A user with a clone of their own, outside the folder of pytest, which is root's alone."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="byoc-test-") as folder:
        someone = Person(make_clone(Path(folder) / "clone"))
        for path in [Path(folder), *Path(folder).rglob("*")]:
            os.chown(path, someone.uid, -1, follow_symlinks=False)
        yield someone


def containers_of(process: subprocess.Popen[Any]) -> str:
    return engine.docker("ps", "--quiet", "--filter", f"name=-{process.pid}$").stdout


def test_train_serve_predict_stop_without_root(person, image):
    killed = "mkdir -m 700 /opt/ml/model/old && touch /opt/ml/model/old/weights"
    mount = f"type=bind,source={person.test_dir},target=/opt/ml"
    engine.docker("run", "--rm", "--mount", mount, image, "bash", "-c", killed)
    assert person.foreign_files(), "a container's files are root's: otherwise this test shows nothing"

    trained = person.run("train_local.sh", image)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.splitlines()[-1] == f"Next:    {person.clone}/local_test/serve_local.sh {image}"
    assert (person.test_dir / "model" / "model.skops").is_file()
    assert not (person.test_dir / "model" / "old").exists()
    assert person.foreign_files() == []

    port = str(free_port())
    with person.start([person.clone / "local_test" / "serve_local.sh", image], PORT=port) as server:
        wait_for_ping(int(port), server)
        payload = str(person.clone / "local_test" / "payloads" / "iris.csv")
        answer = person.run("predict.sh", payload, PORT=port)
        assert (answer.returncode, answer.stdout.split(), answer.stderr) == (0, CLASSES, "")
        assert containers_of(server)
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=40)
    assert server.returncode == 0
    assert not containers_of(server)
    assert person.foreign_files() == []


def test_a_failed_training_leaves_nothing_of_root_either(person, image):
    (person.test_dir / "input" / "data" / "training" / "iris.csv").unlink()
    done = person.run("train_local.sh", image)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("train_local.sh: ")]
    assert len(said) == 1
    assert said[0].startswith("train_local.sh: training failed: ")
    assert (person.test_dir / "output" / "failure").is_file()
    assert person.foreign_files() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_training_leaves_neither_container_nor_files_of_root(person, image, number):
    person.slow_training()
    with person.start([person.clone / "local_test" / "train_local.sh", image]) as training:
        for line in training.stderr:
            if "fitted" in line:
                training.send_signal(number)
                break
        else:
            pytest.fail("the training ended by itself")
        training.communicate(timeout=120)
    assert not containers_of(training)
    assert person.foreign_files() == []


def test_ctrl_c_on_a_terminal_stops_the_training(person, image):
    person.slow_training()
    main, terminal = os.openpty()
    try:
        environ = {**os.environ, "HOME": str(person.clone)}
        command = ["setsid", "--ctty", person.clone / "local_test" / "train_local.sh", image]
        streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
        with subprocess.Popen(
            command, cwd="/", env=environ, start_new_session=False, **streams, **person.process
        ) as it:
            seen = b""
            while b"fitted" not in seen:
                seen += os.read(main, 4096)
            assert b'"message"' not in seen, "on a terminal the log is for people"
            os.write(main, b"\x03")
            while it.poll() is None:
                if select.select([main], [], [], 0.1)[0]:
                    os.read(main, 4096)
    finally:
        os.close(main)
        os.close(terminal)
    assert not containers_of(it)
    assert person.foreign_files() == []


@pytest.mark.parametrize("name", ["train_local.sh", "serve_local.sh"])
@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({}, "image byoc-never-built isn't built; run: make image IMAGE=byoc-never-built"),
        ({"DOCKER_HOST": "tcp://127.0.0.1:1"}, "no Docker daemon answers (Cannot connect to the Docker daemon at "),
    ],
)
def test_an_engine_that_will_not_do_is_one_line(person, name, env, message):
    engine.require()
    done = person.run(name, "byoc-never-built", **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{name}: {message}")
    assert len(done.stderr.splitlines()) == 1


def test_demo_with_the_image(person, image):
    with start_demo(person.clone, "--engine", "docker", "--image", image, "--port", str(free_port())) as process:
        output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    assert [line.split()[1] for line in output.splitlines() if line.startswith("  ")][1:] == CLASSES
    assert "the server stopped cleanly" in output
