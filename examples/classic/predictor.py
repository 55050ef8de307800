"""The predictor of a classic container, as it was: its ScoringService answers, its Flask app is passed over."""

import io
import os
import pickle

import flask
import pandas as pd

model_path = os.path.join("/opt/ml/", "model")


class ScoringService:
    """Holds the model."""

    model = None

    @classmethod
    def get_model(cls):
        """Return the model; load it the first time."""
        if cls.model is None:
            with open(os.path.join(model_path, "model.pkl"), "rb") as file:
                cls.model = pickle.load(file)
        return cls.model

    @classmethod
    def predict(cls, table):
        """Return a prediction a row of a DataFrame."""
        return cls.get_model().predict(table)


app = flask.Flask(__name__)


@app.route("/invocations", methods=["POST"])
def transformation():
    """Answer a request; here the server does."""
    table = pd.read_csv(io.StringIO(flask.request.data.decode("utf-8")), header=None)
    answer = pd.DataFrame({"results": ScoringService.predict(table)}).to_csv(header=False, index=False)
    return flask.Response(response=answer, status=200, mimetype="text/csv")
