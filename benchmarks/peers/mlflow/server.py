"""MLflow: the model saved in its format, then its own server."""

import os
import pickle
from pathlib import Path

import mlflow.sklearn

folder = Path(os.environ["PEER_FOLDER"]) / "mlflow"
estimator = pickle.loads(Path(os.environ["PEER_MODEL"]).read_bytes())
mlflow.sklearn.save_model(estimator, folder, serialization_format="pickle", pip_requirements=[])
options = ["--host", "127.0.0.1", "--port", os.environ["PEER_PORT"], "--workers", os.environ["PEER_WORKERS"]]
os.execvp("mlflow", ["mlflow", "models", "serve", "--model-uri", str(folder), "--env-manager", "local", *options])
