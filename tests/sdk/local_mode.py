"""Trains, deploys and predicts by local mode of SageMaker's SDK, version 2; run in a virtual environment that has it.

Usage: local_mode.py IMAGE TRAINING_DATA FOLDER PORT ROWS; prints what the endpoint answers as the last line.
"""

import io
import json
import sys
import time
from pathlib import Path

from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.local import LocalSession
from sagemaker.serializers import CSVSerializer


class Heard(io.TextIOBase):
    """Passes on what is written, and keeps it."""

    def __init__(self, out):
        self.out, self.text = out, ""

    def write(self, text):
        self.text += text
        return self.out.write(text)

    def flush(self):
        self.out.flush()


image, data, folder, port, rows = sys.argv[1:]
sys.stdout = heard = Heard(sys.stdout)
session = LocalSession(
    # Nothing is to be told to anybody.
    sagemaker_config={"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
)
session.config = {"local": {"container_root": folder, "serving_port": int(port)}}

estimator = Estimator(
    image_uri=image,
    role="arn:aws:iam::123456789012:role/sagemaker",
    instance_count=1,
    instance_type="local",
    output_path=Path(folder, "output").as_uri(),
    hyperparameters={"estimator": "LogisticRegression", "max_iter": 500},
    sagemaker_session=session,
)
estimator.fit({"training": Path(data).as_uri()})
predictor = estimator.deploy(
    initial_instance_count=1,
    instance_type="local",
    serializer=CSVSerializer(),
    deserializer=CSVDeserializer(),
    wait=False,  # it has waited for the container by then, and would wait half a minute more
)
try:
    answer = predictor.predict(rows)
    # The container's word of it comes through docker-compose, which passes nothing on once it is told to stop.
    end = time.monotonic() + 30
    while "POST /invocations" not in heard.text and time.monotonic() < end:
        time.sleep(0.1)
finally:
    predictor.delete_endpoint()
print(json.dumps(answer))
