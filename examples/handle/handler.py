"""A handler as multi-model-server and the superai dockerizer call it: handle(data, context)."""

import json
import re
from pathlib import Path

import numpy as np

from byoc.errors import RowError
from byoc.flavors import sklearn

# Others are answered with 415.
CONTENT_TYPES = ["application/json"]


class ModelHandler:
    """Holds the model of one worker."""

    def __init__(self):
        self.initialized = False
        self.model = None

    def initialize(self, context):
        """Load the model from where SageMaker put it."""
        self.model = self.load_model(context.system_properties.get("model_dir"))
        self.initialized = True

    def load_model(self, model_dir):
        """Return the model; memory that runs out is a MemoryError, whatever the library calls it."""
        try:
            return sklearn.load(Path(model_dir))
        except RuntimeError as error:
            if re.search("failed to allocate (.*) memory", str(error), re.IGNORECASE):
                raise MemoryError from error
            raise

    def handle(self, data):
        """Answer a request: JSON in, JSON out."""
        return [json.dumps({"species": self.model.predict(rows_of(data[0]["body"])).tolist()})]


def rows_of(body):
    """Return the rows of {"instances": [[5.1, 3.5, 1.4, 0.2]]}; a RowError is answered with 400."""
    try:
        return np.array(json.loads(body)["instances"], dtype=float).reshape(-1, 4)
    except (ValueError, KeyError, TypeError) as error:
        raise RowError('the body must be {"instances": [[4 numbers], ...]}') from error


_service = ModelHandler()


def handle(data, context):
    """Load at the first call, which comes without data; answer at all others."""
    if not _service.initialized:
        _service.initialize(context)
    if data is None:
        return None
    return _service.handle(data)
