"""The peers: other servers of scikit-learn models, each in a virtual environment of its own.

They are installed on demand into a cache and run as their documentation shows, with two workers and otherwise their
defaults. What a peer cannot take as CSV it is sent as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import free_port
from benchmarks.systems import Launch, System, environ, has_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.models import Request
    from benchmarks.systems import Place

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "byoc-benchmarks"
FOLDER = Path(__file__).parent
# What unpickles the model has to be what pickled it.
SAME = ("numpy", "scikit-learn")
INSTALLED = ".installed"


@dataclass(frozen=True)
class Peer:
    """A server that PyPI has.

    Attributes:
        package: with its version.
        path, ping: where it predicts, and its health check.
        command: the program of its virtual environment, and its arguments; ``{folder}`` is its folder here.
        body: makes the JSON of a request; None sends CSV.
        labels: finds the labels in its JSON.

    """

    package: str
    path: str
    ping: str
    command: Sequence[str]
    body: Callable[[Request], Any] | None = None
    labels: Callable[[Any], Any] = list


def _rows(request: Request) -> Any:
    return {"rows": request.rows.tolist()}


def _open_inference(request: Request) -> Any:
    """Return a request in the protocol that MLServer speaks; without an id it makes one up for each answer."""
    values = {"name": "rows", "shape": request.rows.shape, "datatype": "FP64", "data": request.rows.ravel().tolist()}
    return {"id": "1", "inputs": [values]}


SERVER = ("python", "{folder}/server.py")
PEERS = {
    "litserve": Peer("litserve==0.2.19", "/predict", "/health", SERVER, _rows, lambda answer: answer["labels"]),
    "bentoml": Peer(
        "bentoml==1.4.39",
        "/predict",
        "/livez",
        (
            "bentoml",
            "serve",
            "server:Predictor",
            "--working-dir",
            "{folder}",
            "--port",
            "{port}",
            "--host",
            "127.0.0.1",
        ),
        _rows,
    ),
    "mlserver": Peer(
        "mlserver==1.7.1 mlserver-sklearn==1.7.1 uvloop==0.21.0",
        "/v2/models/model/infer",
        "/v2/health/live",
        SERVER,
        _open_inference,
        lambda answer: answer["outputs"][0]["data"],
    ),
    "mlflow": Peer(
        "mlflow==3.17.2",
        "/invocations",
        "/ping",
        SERVER,
        lambda request: {"inputs": request.rows.tolist()},
        lambda answer: answer["predictions"],
    ),
    "ray": Peer("ray[serve]==2.60.0", "/", "/-/healthz", SERVER),
    "mms": Peer("multi-model-server==1.1.11", "/predictions/model", "/ping", SERVER),
}


def ready(names: Sequence[str] | None, say: Callable[[str], None], *, installed: bool) -> list[System]:
    """Return the systems of the peers named, installed where they are not; None names those that are, if wanted.

    A peer that cannot be installed is said, and left out.
    """
    found = []
    for name, peer in PEERS.items():
        is_there = installed and (CACHE / name / INSTALLED).exists()
        if (is_there if names is None else name in names) and _install(name, peer, say):
            found.append(_system(name, peer))
    return found


def _install(name: str, peer: Peer, say: Callable[[str], None]) -> bool:
    folder = CACHE / name
    packages = [*peer.package.split(), *(f"{each}=={version(each)}" for each in SAME)]
    stamp = folder / INSTALLED
    if stamp.exists() and stamp.read_text() == "\n".join(packages):
        return True
    say(f"{name}: installing {peer.package} into {folder}")
    commands = [[sys.executable, "-m", "venv", "--clear", str(folder)]]
    commands.append([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", *packages])
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            say(f"{name}: cannot be installed: {(done.stderr.strip() or done.stdout.strip()).splitlines()[-1]}")
            return False
    stamp.write_text("\n".join(packages))
    return True


def _system(name: str, peer: Peer) -> System:
    binaries = CACHE / name / "bin"

    def launch(place: Place) -> Launch:
        program, *arguments = (each.format(folder=FOLDER / name, port=place.port) for each in peer.command)
        settings = {
            "PEER_MODEL": str(place.model.pickle),
            "PEER_PORT": str(place.port),
            "PEER_OTHER_PORTS": f"{free_port()} {free_port()}",
            "PEER_WORKERS": str(place.workers),
            "PEER_FOLDER": str(place.folder),
        }
        own = environ(**settings)
        return Launch([[str(binaries / program), *arguments]], {**own, "PATH": f"{binaries}{os.pathsep}{own['PATH']}"})

    def is_right(request: Request, _body: bytes, answer: bytes) -> bool:
        return list(peer.labels(json.loads(answer))) == list(request.labels)

    if peer.body is None:
        return System(name, peer.package, launch, peer.path, peer.ping, is_right=has_labels)
    body = peer.body
    return System(
        name,
        peer.package,
        launch,
        peer.path,
        peer.ping,
        "application/json",
        lambda request: json.dumps(body(request)).encode(),
        is_right,
    )
