"""`byoc docker build`, `run-local` and `invoke-local` on a user's own code, for real."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from byoc_cli.docker.layers import short_name
from tests import engine
from tests.image.byoc_command import byoc, containers, run_local
from tests.program import ROOT, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.docker

# A name in which a Dockerfile or a shell would find much to do.
NAME = 'my "odd" $HOME; $(touch owned) it\'s \\x.py'
HANDLER = """\
import json
import os
from pathlib import Path

import beside
import greeting


def handle(data, context):
    if data is None:
        return None
    model = Path(context.system_properties["model_dir"], "weights.txt").read_text()
    files = sorted(str(path.relative_to("/opt/program/code")) for path in Path("/opt/program/code").rglob("*.*"))
    told = {"said": greeting.hello(model), "beside": beside.HERE, "files": files, "workers": os.environ["MODEL_SERVER_WORKERS"]}
    return [told for _ in data]
"""
OWN_DOCKERFILE = """\
FROM BASE AS ours
RUN python3 -m venv /venv
CMD ["bash"]
FROM ours
ENV PATH=/venv/bin:$PATH PYTHONPATH=/own/lib MINE="a b"
LABEL org.opencontainers.image.title="my title" maintainer="me"
RUN mkdir -p /own/lib && echo 'HERE = 1' > /own/lib/on_path.py && echo 'HERE = 2' > $(echo /venv/lib/python3*)/site-packages/in_venv.py
CMD ["serve", "--show-config"]
"""
OWN_HANDLER = """\
import os

import in_venv
import on_path

assert os.environ["MINE"] == "a b"


class Model:
    @classmethod
    def handle(cls, data, context):
        return None if data is None else [in_venv.HERE + on_path.HERE for _ in data]
"""


def wheel(path: Path, name: str, code: str, version: str = "1.0") -> None:
    """Write a wheel of one module."""
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


def pack(path: Path, name: str, content: bytes) -> Path:
    """Write a model.tar.gz of one file."""
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder of a user's, with a handler, what it needs, and what has no place in an image."""
    folder = tmp_path_factory.mktemp("work place")
    code = folder / "code, of mine"
    (code / "wheels").mkdir(parents=True)
    (code / NAME).write_text(HANDLER)
    (code / "beside.py").write_text("HERE = True\n")
    (code / "secret.txt").write_text("canary")
    (code / ".dockerignore").write_text("*.txt\n!requirements.txt\nwheels\n!wheels/*.whl\n")
    (code / "requirements.txt").write_text("./wheels/greeting-1.0-py3-none-any.whl\n")
    wheel(code / "wheels/greeting-1.0-py3-none-any.whl", "greeting", "def hello(name):\n    return f'hello {name}'\n")
    pack(folder / "model.tar.gz", "weights.txt", b"world")
    return folder


@pytest.fixture
def name() -> Iterator[str]:
    """Give an image's name; it is gone afterwards."""
    name = engine.unique()
    yield name
    engine.docker("rmi", "--force", name, check=False)


@pytest.fixture(scope="module")
def own(workplace: Path) -> Iterator[str]:
    """Give the image of the handler, as the command made it."""
    engine.require()
    name = engine.unique()
    done = byoc(
        workplace, "docker", "build", "-i", name, "-e", f"code, of mine/{NAME}", "-w", "1", "--use-shell", "false"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"MB, handle in {NAME}\n" in done.stdout
    yield name
    engine.docker("rmi", "--force", name)


def config(name: str) -> dict[str, Any]:
    return dict(json.loads(engine.docker("image", "inspect", "--format", "{{json .Config}}", name).stdout))


def test_the_handler_answers_over_http_and_ctrl_c_leaves_nothing(own: str, workplace: Path) -> None:
    before = containers()
    with run_local(workplace, "-i", own, "-m", "model.tar.gz") as server:
        server.wait_ready()
        answer = byoc(workplace, "docker", "invoke-local", "--port", server.port, "-b", '"x"')
        assert answer.returncode == 0, answer.stderr + server.output
        told = json.loads(answer.stdout)
        assert answer.stdout == json.dumps(told, indent=2, ensure_ascii=False) + "\n"
        assert answer.stderr.startswith("200 OK in ")
        assert told == {
            "said": "hello world",
            "beside": True,
            "files": sorted(
                [".dockerignore", NAME, "beside.py", "requirements.txt", "wheels/greeting-1.0-py3-none-any.whl"]
            ),
            "workers": "1",
        }
        taken = byoc(workplace, "docker", "run-local", "-i", own, "--port", server.port)
        assert f"port {server.port} is taken" in taken.stderr
        assert len(containers() - before) == 1
        assert server.stop() == 0, server.output
    assert f"byoc docker invoke-local --port {server.port} -b " in server.output
    assert "POST /invocations request_id=" in server.output
    assert "SIGTERM: stopping" in server.output
    assert containers() == before
    assert list((workplace / "tmp").iterdir()) == []


def test_a_stop_before_it_is_ready_leaves_nothing_either(own: str, workplace: Path) -> None:
    before = containers()
    with run_local(workplace, "-i", own, "-m", "model.tar.gz") as server:
        # As soon as the model is unpacked: the container is about to appear.
        wait_until(lambda: list((workplace / "tmp").glob("byoc-model-*/*")), 30, "the unpacked model")
        server.stop(signal.SIGTERM)
    assert containers() == before
    assert list((workplace / "tmp").iterdir()) == []


def test_a_container_that_ends_early_says_why(image: str, workplace: Path) -> None:
    before = containers()
    (workplace / "empty").mkdir()
    with run_local(workplace, "-i", image, "-m", "empty") as server:
        assert server.process.wait(60) == 1
    last = server.output.splitlines()[-1]
    assert last.startswith("Error: the container ended with exit code 1: ")
    assert "holds no model" in last
    assert containers() == before


def test_a_hostile_model_starts_nothing(own: str, workplace: Path) -> None:
    archive = pack(workplace / "hostile.tar.gz", "../../owned", b"x")
    done = byoc(workplace, "docker", "run-local", "-i", own, "-m", str(archive))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "is refused, and nothing of it was unpacked: '../../owned' leads out of its folder" in line
    assert list((workplace / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("code", "requirements", "problem", "shell"),
    [
        ("import nosuch\n", "", "No module named 'nosuch'", "false"),
        ("x = 1\n", "", "handler.py", "true"),
        ("", "no-such-package-of-ours==99\n", "pip: Could not find a version", "false"),
        ("", "./joblib-0.1-py3-none-any.whl\n", "change the pins of requirements.txt: scikit-learn", "false"),
    ],
)
def test_a_mistake_fails_the_build_with_its_own_message(
    tmp_path: Path, name: str, code: str, requirements: str, problem: str, shell: str
) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/handler.py").write_text(code)
    (tmp_path / "code/requirements.txt").write_text(requirements)
    wheel(tmp_path / "code/joblib-0.1-py3-none-any.whl", "joblib", "", version="0.1")
    done = byoc(tmp_path, "docker", "build", "-i", name, "-e", "code/handler.py", "-u", shell)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {name} isn't built: ")
    assert problem in last
    assert ("[internal] load build context" in done.stdout) is (shell == "true")


@pytest.fixture
def debian(tmp_path: Path, name: str) -> Iterator[str]:
    """Give Debian with what the image needs of it, so that only what comes after takes its time."""
    base = f"{name}-base"
    engine.docker("build", "--target", "base", "-t", base, str(ROOT / "container"))
    yield base
    listed = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    between = [image for image in listed if image.startswith("byoc-") and short_name(tmp_path.name) in image]
    engine.docker("rmi", "--force", name, *between, base, check=False)


@pytest.mark.timeout(900)
def test_a_dockerfile_of_ones_own_is_the_base(tmp_path: Path, name: str, debian: str) -> None:
    """Its variables, its packages, those of its virtual environment too, its labels and its command stay."""
    (tmp_path / "handler.py").write_text(OWN_HANDLER)
    (tmp_path / "Dockerfile").write_text(OWN_DOCKERFILE.replace("BASE", debian))
    words = ["docker", "build", "-i", name, "-e", "handler.py", "-d", "Dockerfile", "-em", "Model.handle"]
    done = byoc(tmp_path, *words, seconds=880)  # it installs the whole runtime
    assert done.returncode == 0, done.stdout + done.stderr
    found = config(name)
    assert found["Cmd"] == ["serve", "--show-config"]
    assert found["Labels"]["maintainer"] == "me"
    assert found["Labels"]["org.opencontainers.image.title"] == "my title"
    assert found["Labels"]["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"
    (tmp_path / "model").mkdir()
    with engine.serving(name, tmp_path / "model") as server:
        assert server.post("1", "text/plain").json() == 3


def test_a_base_that_will_not_do_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "handler.py").write_text("")
    (tmp_path / "Dockerfile").write_text("FROM debian:trixie-slim\nRUN rm /usr/bin/apt-get\n")
    done = byoc(tmp_path, "docker", "build", "-i", name, "-e", "handler.py", "-d", "Dockerfile", "-u", "false")
    assert done.returncode == 1
    assert "isn't built: the base image has no apt-get; take one of Debian or Ubuntu" in done.stderr.splitlines()[-1]


def test_one_that_converses_has_the_label_for_it(tmp_path: Path, name: str) -> None:
    code = (
        "def model_fn(d): ...\ndef predict_fn(data, model): ...\ndef converse_fn(messages, model):\n    yield 'hello'\n"
    )
    (tmp_path / "handler.py").write_text(code)
    done = byoc(tmp_path, "docker", "build", "-i", name, "-e", "handler.py", "--use-shell", "false")
    assert done.returncode == 0, done.stderr
    assert "functions model_fn, predict_fn, converse_fn in handler.py" in done.stdout
    assert config(name)["Labels"]["com.amazonaws.sagemaker.capabilities.bidirectional-streaming"] == "true"


def test_installed_by_pip_it_needs_no_clone(tmp_path: Path, name: str) -> None:
    """`pip install .`, then another folder: the image's sources came along, and build the same."""
    source, package = tmp_path / "source", tmp_path / "package"
    for part in ("byoc_cli", "container"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "build_and_push.sh"):
        shutil.copy(ROOT / part, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(package), str(source)], check=True, capture_output=True)
    shutil.rmtree(source)
    planned = byoc(tmp_path, "docker", "build", "-i", name, "--dry-run", package=package)
    assert f"{package}/byoc_cli/shipped/container" in planned.stdout, planned.stderr
    done = byoc(tmp_path, "docker", "build", "-i", name, "--use-shell", "false", package=package)
    assert done.returncode == 0, done.stderr
    assert "functions model_fn, predict_fn in predictor.py" in done.stdout
    assert os.access(package / "byoc_cli/shipped/build_and_push.sh", os.X_OK)
    pushed = byoc(tmp_path, "docker", "push", "-i", "nosuch:1", package=package)
    assert "build_and_push: there is no " in pushed.stderr.splitlines()[-1]
