"""Runs the cell of notebook.ipynb that is of SageMaker's SDK, in a virtual environment that has it.

Usage: notebook_cell.py NOTEBOOK IMAGE BUCKET TRAINING_DATA; the environment says where SageMaker is.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import boto3

notebook, image, bucket, training_data = sys.argv[1:]
cells = ["".join(cell["source"]) for cell in json.loads(Path(notebook).read_text())["cells"]]
(cell,) = [cell for cell in cells if "from sagemaker.train import" in cell]
session = boto3.Session()
exec(
    compile(cell, notebook, "exec"),
    {
        "importlib": importlib,
        "session": session,
        "sagemaker": session.client("sagemaker"),
        "image": image,
        "role": os.environ["SAGEMAKER_ROLE"],
        "bucket": bucket,
        "run": "iris",
        "training_data": training_data,
    },
)
