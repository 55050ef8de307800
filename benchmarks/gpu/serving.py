"""Serving: `serve` with natural batching, the same called once a request, and the card without any server."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from benchmarks.gpu import card, vision
from benchmarks.gpu.training import variables
from benchmarks.models import Request
from benchmarks.servers import serving
from benchmarks.systems import PATH, Launch, System, with_predictor
from byoc import flavors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from benchmarks.gpu.training import Task
    from benchmarks.servers import Server
    from benchmarks.systems import Place

BATCH = 256
REQUESTS_PER_CLIENT = 2
WARM_UP = 1.0


@dataclass(frozen=True)
class Model:
    """A trained model, and what is asked of it.

    Attributes:
        base: the folder that stands for /opt/ml.
        images: (n, features), each a request.
        drawn: the requests of so many clients.

    """

    base: Path
    images: NDArray[Any]
    drawn: dict[int, list[list[Request]]] = field(default_factory=dict)

    @cached_property
    def network(self) -> Any:
        """The model in this process, as the flavor loads it."""
        return flavors.load(self.base / "model")

    @cached_property
    def sure(self) -> NDArray[np.intp]:
        """The images that the model is surest of: a batch's size moves the last bits, and must not turn an answer."""
        probabilities = np.sort(self.network.predict(self.images.astype(np.float64)).probabilities, axis=1)
        return np.argsort(probabilities[:, -2] - probabilities[:, -1])[: 2 * BATCH]

    def requests(self, clients: int, rows: int) -> list[list[Request]]:
        """Return a few requests of one row for each client, with what the module itself answers."""
        assert rows == 1
        if clients not in self.drawn:
            chosen = self.images[np.resize(self.sure, clients * REQUESTS_PER_CLIENT)]
            labels = self.network.predict(chosen.astype(np.float64)).labels
            found = [Request(chosen[at : at + 1], (str(labels[at]),)) for at in range(len(chosen))]
            each = range(0, len(found), REQUESTS_PER_CLIENT)
            self.drawn[clients] = [found[at : at + REQUESTS_PER_CLIENT] for at in each]
        return self.drawn[clients]


def npy(request: Request) -> bytes:
    """Return a request's rows as numpy.save writes them."""
    out = io.BytesIO()
    np.save(out, request.rows)
    return out.getvalue()


def csv(request: Request) -> bytes:
    """Return a request's rows as CSV, whole numbers."""
    return "".join(",".join(map(str, row)) + "\n" for row in request.rows.astype(int).tolist()).encode()


def systems(kind: str) -> list[System]:
    """Return the servers that are measured."""
    format_ = {"media_type": "application/x-npy", "encode": npy} if kind == "vision" else {"encode": csv}
    return [
        System("serve", "natural batching", _launch(), **format_),
        System("one a call", "BATCHABLE = False", _launch(BATCHABLE="false"), **format_),
    ]


def measure(task: Task, clients: Sequence[int], seconds: float, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return a row for each server and number of clients, and what the model does without a server."""
    model = Model(task.base, _images(task))
    rows = [{"what": f"serving {task.kind}", **row} for row in _limits(model, seconds)]
    serve, alone = systems(task.kind)
    most = max(2, (os.cpu_count() or 1) // 2)
    runs = [(serve, 1, clients), *((serve, many, clients[-1:]) for many in sorted({2, most})), (alone, 1, clients[-2:])]
    for system, workers, numbers in runs:
        name = f"{system.name}, {workers} worker{'s'[: workers - 1]}"
        folder = task.base / name.replace(" ", "-").replace(",", "")
        with serving(system, model, folder, workers) as server:  # type: ignore[arg-type]
            say(f"{name}: started in {server.start:.1f} s")
            for number in numbers:
                row = {"what": f"serving {task.kind}", "system": name, "clients": number}
                rows.append({**row, **_load(server, model.requests(number, 1), seconds)})
                say(", ".join(f"{key} {value}" for key, value in rows[-1].items()))
    return rows


def _load(server: Server, requests: Sequence[Sequence[Request]], seconds: float) -> dict[str, float]:
    bodies = server.prepare(requests, server.place.folder / "bodies")
    server.load(len(requests), bodies, WARM_UP)
    with card.watched() as seen:
        load, _ = server.load(len(requests), bodies, seconds)
    shutil.rmtree(bodies)
    told = {"images_per_s": round(load.rate, 1), "p50_ms": load.p50, "p99_ms": load.p99, "failures": load.failures}
    return {**told, **seen}


def _limits(model: Model, seconds: float) -> list[dict[str, Any]]:
    """Return what the module does on images that lie on the card, and as the server calls it."""
    network = model.network
    images = model.images[np.resize(np.arange(len(model.images)), BATCH)]
    shape = network.shape or (images.shape[1],)
    there = torch.from_numpy(images).to(network.device, network.dtype).reshape(BATCH, *shape)
    rows = images.astype(np.float64)
    found = []
    for name, step in {
        "card": lambda: network.module(there),
        "flavor": lambda: network.predict(rows),
    }.items():
        with ExitStack() as stack:
            if name == "card":
                stack.enter_context(torch.inference_mode())
                stack.enter_context(
                    torch.autocast(
                        network.device.type, network.autocast or torch.bfloat16, enabled=network.autocast is not None
                    )
                )
            seen = stack.enter_context(card.watched())
            rate = card.rate(step, BATCH, seconds)
        found.append({"system": name, "batch": BATCH, "images_per_s": round(rate, 1), **seen})
    return found


def _images(task: Task) -> NDArray[Any]:
    if task.kind == "vision":
        images: NDArray[Any] = np.load(task.data / "images.npy", mmap_mode="r")[: 4 * BATCH]
        return images.reshape(-1, int(np.prod(vision.SHAPE)))
    return np.loadtxt(task.data / "digits.csv", delimiter=",")[:, 1:]


def _launch(**extra: str) -> Callable[[Place], Launch]:
    def launch(place: Place) -> Launch:
        program = with_predictor(place, Path(__file__).with_name("predictor.py"))
        own = {**variables(place.model.base), **extra}
        own |= {"SAGEMAKER_BIND_TO_PORT": str(place.port), "MODEL_SERVER_WORKERS": str(place.workers)}
        # Without nginx, on a machine where none can be had, gunicorn alone is measured.
        has_nginx = shutil.which("nginx", path=PATH) and subprocess.run(["nginx", "-v"], check=False).returncode == 0
        own["SAGEMAKER_USE_NGINX"] = str(bool(has_nginx)).lower()
        own["PYTHONPATH"] = f"{program}:{own['PYTHONPATH']}"
        return Launch([[sys.executable, str(program / "serve")]], own)

    return launch
