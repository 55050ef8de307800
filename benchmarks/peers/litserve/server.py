"""LitServe: an API class, and so many workers."""

import os
import pickle
from pathlib import Path

import litserve


class Api(litserve.LitAPI):
    """Rows in, labels out."""

    def setup(self, device: str) -> None:  # noqa: ARG002, D102
        self.model = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())

    def decode_request(self, request: dict) -> list:  # noqa: D102
        return request["rows"]

    def predict(self, rows: list) -> list:  # noqa: D102
        return self.model.predict(rows).tolist()

    def encode_response(self, labels: list) -> dict:  # noqa: D102
        return {"labels": labels}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=int(os.environ["PEER_WORKERS"]))
    server.run(host="127.0.0.1", port=int(os.environ["PEER_PORT"]), generate_client_file=False)
