"""A handler derived from superai's BaseModel; `--entry-point-method ModelHandler.handle` names it."""

import json
from pathlib import Path

from superai.meta_ai.base.base_ai import BaseModel

from byoc.flavors import sklearn


class ModelHandler(BaseModel):
    """Loads once, then preprocesses, predicts and postprocesses every request."""

    def load_weights(self, weights_path):
        """Load the model; BaseModel's initialize calls this with the model's folder."""
        self.model = sklearn.load(Path(weights_path))

    def preprocess(self, request):
        """Return the rows of a request, [{"body": bytes}]."""
        return json.loads(request[0]["body"])["instances"]

    def predict(self, inputs):
        """Return a species a row."""
        return self.model.predict(inputs)

    def postprocess(self, inference_output):
        """Return one answer for the one request; what is no text goes out as JSON."""
        return [{"species": inference_output.tolist()}]
