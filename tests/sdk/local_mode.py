"""Trains, deploys and predicts by local mode of SageMaker's SDK, version 2; run in a virtual environment that has it.

Usage: local_mode.py IMAGE TRAINING_DATA FOLDER PORT ROWS; prints what the endpoint answers as the last line.
"""

import json
import sys
from pathlib import Path

from sagemaker.deserializers import CSVDeserializer
from sagemaker.estimator import Estimator
from sagemaker.local import LocalSession
from sagemaker.serializers import CSVSerializer

image, data, folder, port, rows = sys.argv[1:]
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
finally:
    predictor.delete_endpoint()
print(json.dumps(answer))
