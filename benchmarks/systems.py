"""How each system is started and asked: ours, the classic sample and the limits of their stack."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.models import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.models import Model, Request

PROGRAM = ROOT / "container" / "program"
CLASSIC = ROOT / "benchmarks" / "classic" / "program"
LIMITS = ROOT / "benchmarks" / "limits"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin", "/usr/local/sbin"])
# What a developer's shell may hold that would change how a server serves.
LEFT_OUT = ("SAGEMAKER_", "MODEL_SERVER_", "OMP_", "SERVE_", "CLASSIC_")


@dataclass(frozen=True)
class Place:
    """Where a server is to run, and with what."""

    model: Model
    folder: Path
    port: int
    workers: int = 2


@dataclass(frozen=True)
class Launch:
    """The programs that make up a server, and the environment they need."""

    commands: Sequence[Sequence[str]]
    environ: Mapping[str, str]


def has_labels(request: Request, _body: bytes, answer: bytes) -> bool:
    """Tell whether an answer is the right labels, one a line."""
    return answer.decode().split() == list(request.labels)


@dataclass(frozen=True)
class System:
    """A server that can be measured.

    Attributes:
        name: as in `--systems`.
        about: for people.
        launch: returns what is to be started.
        path, ping: where predictions are asked for, and the health check.
        media_type: of the bodies.
        encode: makes a request's body.
        is_right: tells whether an answer to a body is what the request is to be answered.
        predicts: whether there is a model behind it; where there is none, starts and memory mean little.

    """

    name: str
    about: str
    launch: Callable[[Place], Launch]
    path: str = "/invocations"
    ping: str = "/ping"
    media_type: str = "text/csv"
    encode: Callable[[Request], bytes] = lambda request: request.body
    is_right: Callable[[Request, bytes, bytes], bool] = has_labels
    predicts: bool = True
    versions: Sequence[str] = field(default=())


def environ(**variables: str) -> dict[str, str]:
    """Return this process's environment without what would change a server, and with the variables given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return {**kept, "PATH": PATH, "PYTHONUNBUFFERED": "1", **variables}


def ours(program: Path = PROGRAM, **variables: str) -> Callable[[Place], Launch]:
    """Return the launch of this repository's server."""

    def launch(place: Place) -> Launch:
        own = {
            "SAGEMAKER_BASE_DIR": str(place.model.base),
            "SAGEMAKER_BIND_TO_PORT": str(place.port),
            "MODEL_SERVER_WORKERS": str(place.workers),
        }
        return Launch([[sys.executable, str(program / "serve")]], environ(**own, **variables))

    return launch


def with_public_predict(place: Place) -> Launch:
    """Return the launch of ours with the README's `predictor.py`, which calls scikit-learn's `predict` and no more."""
    return ours(with_predictor(place, LIMITS / "predictor.py"))(place)


def with_predictor(place: Place, predictor: Path) -> Path:
    """Make a program of ours but for its `predictor.py`; return its folder."""
    program = place.folder / "program"
    program.mkdir()
    for path in PROGRAM.iterdir():
        # Python looks for modules beside the script itself, not beside a link to it.
        if path.name == "serve":
            shutil.copy(path, program)
        elif path.name not in ("predictor.py", "__pycache__"):
            (program / path.name).symlink_to(path)
    shutil.copy(predictor, program)
    return program


def classic(**variables: str) -> Callable[[Place], Launch]:
    """Return the launch of the AWS sample's server, made anew in benchmarks/classic."""

    def launch(place: Place) -> Launch:
        own = {
            "CLASSIC_PREFIX": str(place.model.pickle.parents[1]),
            "CLASSIC_PORT": str(place.port),
            "MODEL_SERVER_WORKERS": str(place.workers),
        }
        return Launch([[sys.executable, str(CLASSIC / "serve")]], environ(**own, **variables))

    return launch


def behind_nginx(app: str = "") -> Callable[[Place], Launch]:
    """Return the launch of nginx before gunicorn with an app of limits/echo.py, or of nginx alone."""

    def launch(place: Place) -> Launch:
        answer = "proxy_pass http://gunicorn;" if app else "return 200;"
        text = (LIMITS / "nginx.conf").read_text()
        for name, value in {"folder": str(place.folder), "port": str(place.port), "answer": answer}.items():
            text = text.replace(f"{{{{{name}}}}}", value)
        config = place.folder / "nginx.conf"
        config.write_text(text)
        commands = [["nginx", "-p", str(place.folder), "-e", "stderr", "-c", str(config)]]
        if app:
            gunicorn = [
                sys.executable,
                "-m",
                "gunicorn",
                "--chdir",
                str(LIMITS),
                "-k",
                "gevent",
                "-w",
                str(place.workers),
            ]
            commands.append(
                [*gunicorn, "--keep-alive", "90", "-b", f"unix:{place.folder}/gunicorn.sock", f"echo:{app}"]
            )
        return Launch(commands, environ())

    return launch


def _echoes(_request: Request, body: bytes, answer: bytes) -> bool:
    return answer == body


OWN = (
    System("classic", "the AWS sample: nginx, gunicorn (gevent), Flask, pandas", classic()),
    System("classic1", "the same with OMP_NUM_THREADS=1", classic(OMP_NUM_THREADS="1")),
    System("ours", "this repository", ours()),
    System("ours-sklearn", "the same without ONNX: SERVE_ENGINE=sklearn", ours(SERVE_ENGINE="sklearn")),
    System("ours-public", "the same with the README's predictor.py: scikit-learn's predict alone", with_public_predict),
    System(
        "echo",
        "limit: nginx, gunicorn (gevent), a WSGI function that answers the body",
        behind_nginx("wsgi"),
        is_right=_echoes,
        predicts=False,
    ),
    System(
        "flask-echo",
        "limit: the same with Flask",
        behind_nginx("flask()"),
        is_right=_echoes,
        predicts=False,
    ),
    System(
        "nginx",
        "limit: nginx's `return`",
        behind_nginx(),
        is_right=lambda *_: True,
        predicts=False,
    ),
)
