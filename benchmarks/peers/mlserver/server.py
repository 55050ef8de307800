"""MLServer: two settings files, and its own runtime of scikit-learn models."""

import json
import os
import shutil
from pathlib import Path

folder = Path(os.environ["PEER_FOLDER"]) / "mlserver"
folder.mkdir()
shutil.copy(os.environ["PEER_MODEL"], folder / "model.joblib")
others = [int(port) for port in os.environ["PEER_OTHER_PORTS"].split()]
settings = {
    "host": "127.0.0.1",
    "http_port": int(os.environ["PEER_PORT"]),
    "grpc_port": others[0],
    "metrics_port": others[1],
    "parallel_workers": int(os.environ["PEER_WORKERS"]),
}
model = {
    "name": "model",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "./model.joblib"},
}
(folder / "settings.json").write_text(json.dumps(settings))
(folder / "model-settings.json").write_text(json.dumps(model))
os.execvp("mlserver", ["mlserver", "start", str(folder)])
