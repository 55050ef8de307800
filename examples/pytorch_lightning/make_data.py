"""Writes scikit-learn's handwritten digits as the channel `training` wants them: python make_data.py FOLDER."""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
np.savetxt(folder / "digits.csv", np.column_stack([digits.target, digits.data]), fmt="%d", delimiter=",")
