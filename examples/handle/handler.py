"""A handler as multi-model-server and the superai dockerizer call it: handle(data, context)."""

import json
import re
from pathlib import Path

from byoc.flavors import sklearn


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
        rows = json.loads(data[0]["body"])["instances"]
        return [json.dumps({"species": self.model.predict(rows).tolist()})]


_service = ModelHandler()


def handle(data, context):
    """Load at the first call, which comes without data; answer at all others."""
    if not _service.initialized:
        _service.initialize(context)
    if data is None:
        return None
    return _service.handle(data)
