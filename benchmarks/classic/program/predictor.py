"""Answers /ping and /invocations as the classic sample does, its shortcomings included."""

import io
import os
import pickle
from pathlib import Path
from typing import Any

import flask
import pandas as pd

MODEL = Path(os.environ.get("CLASSIC_PREFIX", "/opt/ml")) / "model/decision-tree-model.pkl"


class ScoringService:
    """Holds the model, which the first request loads."""

    model: Any = None

    @classmethod
    def get_model(cls) -> Any:
        """Return the model; load it the first time."""
        if cls.model is None:
            with MODEL.open("rb") as file:
                cls.model = pickle.load(file)
        return cls.model

    @classmethod
    def predict(cls, table: pd.DataFrame) -> Any:
        """Return a prediction a row."""
        return cls.get_model().predict(table)


app = flask.Flask(__name__)


@app.route("/ping", methods=["GET"])
def ping() -> flask.Response:
    """Healthy is who has a model; without one this raises, which Flask answers with 500."""
    status = 404 if ScoringService.get_model() is None else 200
    return flask.Response(response="\n", status=status, mimetype="application/json")


@app.route("/invocations", methods=["POST"])
def invocations() -> flask.Response:
    """Take CSV without a header, and nothing else."""
    if flask.request.content_type != "text/csv":
        text = "This predictor only supports CSV data"
        return flask.Response(response=text, status=415, mimetype="text/plain")
    table = pd.read_csv(io.StringIO(flask.request.data.decode("utf-8")), header=None)
    print(f"Invoked with {table.shape[0]} records")
    answer = io.StringIO()
    pd.DataFrame({"results": ScoringService.predict(table)}).to_csv(answer, header=False, index=False)
    return flask.Response(response=answer.getvalue(), status=200, mimetype="text/csv")
