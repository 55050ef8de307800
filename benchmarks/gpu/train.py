"""`train` with the `fit` of digits.py or vision.py: python train.py digits|vision."""

from __future__ import annotations

import importlib
import sys

from byoc.training import run

if __name__ == "__main__":
    name = {"digits": "digits", "vision": "benchmarks.gpu.vision"}[sys.argv[1]]
    sys.exit(run(importlib.import_module(name).fit, argv=[]))
