"""What a data scientist would write: read a CSV file, hold a fifth out, fit, score, save. `train` is measured by it.

The estimator, its parameters and the rows held out are those of `container/program/train` by default.
"""

import sys
from pathlib import Path

import pandas as pd
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split

source, folder = Path(sys.argv[1]), Path(sys.argv[2])
table = pd.read_csv(source, header=None)
features, labels = table.iloc[:, 1:].to_numpy(), table.iloc[:, 0].to_numpy()
parts = train_test_split(features, labels, test_size=0.2, random_state=0, stratify=labels)
model = HistGradientBoostingClassifier(random_state=0).fit(parts[0], parts[2])
print(f"accuracy={accuracy_score(parts[3], model.predict(parts[1])):.6f}")  # noqa: T201 - its only output
skops.io.dump(model, folder / "model.skops")
