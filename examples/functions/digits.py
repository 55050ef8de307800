"""Reads handwritten digits from pictures: functions, a media type of their own, and a fit beside them."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from byoc.errors import DataError, RowError
from byoc.flavors import sklearn

METRICS = ["validation:accuracy"]
# What input_fn reads; others are answered with 415.
CONTENT_TYPES = ["image/png", "image/jpeg"]


def fit(job):
    """`docker run NAME train`: CSV without a header row, the digit first, then 8 x 8 grey levels from 0 to 16."""
    import pandas as pd
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.model_selection import train_test_split

    files = job.channel("digits", "training").files(".csv")
    try:
        table = pd.concat(pd.read_csv(file, header=None) for file in files).to_numpy(dtype=float)
    except ValueError:
        raise DataError("the files hold something else than numbers") from None
    if table.shape[1] != 1 + 64:
        raise DataError(f"each row must be a digit and 64 grey levels; these have {table.shape[1]} columns")
    train, test, labels, truth = train_test_split(table[:, 1:], table[:, 0].astype(int), random_state=0)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=job.hyperparameters.get("shrinkage", 0.01))
    model.fit(train, labels)
    job.metric("validation:accuracy", model.score(test, truth))
    sklearn.save(model, job.model_dir)


def model_fn(model_dir):
    """Load the model, once a worker."""
    return sklearn.load(Path(model_dir))


def input_fn(body, content_type):
    """Turn a picture, or one above the other, each as high as wide, into rows of 64 grey levels."""
    try:
        picture = Image.open(io.BytesIO(body)).convert("L")
    except UnidentifiedImageError:
        raise RowError(f"the body is no {content_type}") from None
    count = max(1, round(picture.height / picture.width))
    return np.asarray(picture.resize((8, 8 * count)), dtype=float).reshape(count, 64) / 255 * 16


def predict_fn(data, model):
    """Return the digit of each row; what there is no output_fn for is encoded as the request accepts it."""
    return model.predict(data)
