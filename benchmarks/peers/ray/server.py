"""Ray Serve: a deployment class with so many replicas."""

import os
import pickle
import signal
from pathlib import Path

import numpy as np
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=int(os.environ["PEER_WORKERS"]), ray_actor_options={"num_cpus": 0.5})
class Predictor:
    """CSV in, CSV out."""

    def __init__(self, file: str) -> None:
        self.model = pickle.loads(Path(file).read_bytes())

    async def __call__(self, request: Request) -> Response:  # noqa: D102
        rows = np.array([line.split(b",") for line in (await request.body()).split()], dtype=float)
        return Response("\n".join(self.model.predict(rows)) + "\n", media_type="text/csv")


ray.init(include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PEER_PORT"])})
serve.run(Predictor.bind(os.environ["PEER_MODEL"]))
signal.sigwait([signal.SIGTERM, signal.SIGINT])
ray.shutdown()
