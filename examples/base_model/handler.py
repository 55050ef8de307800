"""A handler derived from superai's BaseModel; `--entry-point-method ModelHandler.handle` names it."""

import json
from pathlib import Path

import numpy as np
from superai.meta_ai.base.base_ai import BaseModel

from byoc.errors import RowError
from byoc.flavors import sklearn

# Others are answered with 415.
CONTENT_TYPES = ["application/json"]


class ModelHandler(BaseModel):
    """Loads once, then preprocesses, predicts and postprocesses every request."""

    def load_weights(self, weights_path):
        """Load the model; BaseModel's initialize calls this with the model's folder."""
        self.model = sklearn.load(Path(weights_path))

    def preprocess(self, request):
        """Return the rows of a request, [{"body": bytes}]; a RowError is answered with 400."""
        try:
            return np.array(json.loads(request[0]["body"])["instances"], dtype=float).reshape(-1, 4)
        except (ValueError, KeyError, TypeError) as error:
            raise RowError('the body must be {"instances": [[4 numbers], ...]}') from error

    def predict(self, inputs):
        """Return a species a row."""
        return self.model.predict(inputs)

    def postprocess(self, inference_output):
        """Return one answer for the one request; what is no text goes out as JSON."""
        return [{"species": inference_output.tolist()}]
