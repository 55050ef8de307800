"""BentoML: a service class, and so many workers."""

import os
import pickle
from pathlib import Path

import bentoml


@bentoml.service(workers=int(os.environ["PEER_WORKERS"]))
class Predictor:
    """Rows in, labels out."""

    def __init__(self) -> None:
        self.model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[str]:  # noqa: D102
        return self.model.predict(rows).tolist()
