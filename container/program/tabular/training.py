"""The algorithm from the channel to the model folder, a step a function."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split

from byoc.errors import DataError
from tabular import data, features, fitting, model, pipeline, report, search
from tabular.compile import Outcome, compile_model
from tabular.evaluate import Evaluation, evaluate
from tabular.model import TabularModel, final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from byoc.schema import Schema
    from byoc.training import Job
    from tabular.options import Options

log = logging.getLogger(__name__)

# Fewer rows are not split: what a hold-out of one row tells is nothing.
FEWEST_TO_SPLIT = 10
# Rows scored at a milestone.
MILESTONE_ROWS = 10_000


@dataclass(frozen=True)
class Rows:
    """Rows ready for an estimator: (n, features) float64, their n labels, and where in the data they stand, from 1."""

    features: NDArray[np.float64]
    labels: NDArray[Any]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """What a job trains on and what it is judged by.

    Attributes:
        schema: of the rows.
        training, validation: the rows.
        held_out: whether these are different rows.
        counts: how many rows there are of both, where these are not all.
        remarks: what the report is to say besides.

    """

    schema: Schema
    training: Rows
    validation: Rows
    held_out: bool
    counts: tuple[int, int] | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many rows it trains on, and is judged by."""
        return self.counts or (len(self.training), len(self.validation))


def read(job: Job, options: Options) -> Dataset:
    """Read the channels, learn the schema and hold rows out where there is no validation channel.

    Raises:
        DataError: the data cannot be used; the message says where.

    """
    with data.on_disk(job.channel("training", "train")) as channel:
        frame, digest = data.read(channel), data.digest(channel)
    target = features.target_name(frame, options.target)
    frame = features.drop_unlabelled(frame, target)
    problem_type = options.kinds[0] if len(options.kinds) == 1 else features.find_problem_type(frame[target])
    schema = features.learn(frame, target, problem_type)
    schema = replace(schema, created={"data_sha256": digest})
    everything = _encode(frame, schema)
    validation_channel = job.optional_channel("validation")
    if validation_channel is not None:
        with data.on_disk(validation_channel) as channel:
            validation = features.drop_unlabelled(data.read(channel), target)
        return Dataset(schema, everything, _encode(validation, schema), held_out=True)
    if options.validation_fraction == 0 or len(everything) < FEWEST_TO_SPLIT:
        log.warning("no rows are held out: the metrics tell how well the model knows the rows it was fitted on")
        return Dataset(schema, everything, everything, held_out=False)
    return _split(schema, everything, options)


def choose(job: Job, options: Options, dataset: Dataset) -> Options:
    """Return the options with the parameters that the search finds best, by cross-validation on the training rows."""
    if options.search is None:
        return options
    problem_type = dataset.schema.problem_type

    def make(candidate: Mapping[str, Any]) -> Any:
        estimator = options.chosen(candidate).make_estimator(problem_type)
        return pipeline.build(estimator, dataset.schema, scale=options.scale)

    rows = dataset.training
    stratified = problem_type == "classification"
    best = search.run(options.search, make, rows.features, rows.labels, job, stratified=stratified, seed=options.seed)
    return options.chosen(best)


def fit(job: Job, options: Options, dataset: Dataset) -> TabularModel:
    """Fit the estimator that the hyperparameters name."""
    problem_type = dataset.schema.problem_type
    estimator = options.make_estimator(problem_type, job.cpus)
    log.info("fitting %s on %d rows, %d features", type(estimator).__name__, *dataset.training.features.shape)

    def score(so_far: Any) -> None:
        truth = dataset.validation.labels[:MILESTONE_ROWS]
        predicted = so_far.predict(dataset.validation.features[:MILESTONE_ROWS])
        if problem_type == "classification":
            job.metric("validation:accuracy", accuracy_score(truth, predicted))
        else:
            job.metric("validation:rmse", root_mean_squared_error(truth, predicted))

    built = pipeline.build(estimator, dataset.schema, scale=options.scale)
    try:
        fitted = fitting.fit(built, dataset.training.features, dataset.training.labels, job, score)
    except ValueError as error:
        # scikit-learn raises it for data that this estimator cannot take: too few rows, a negative feature.
        raise DataError(f"{type(estimator).__name__} cannot be fitted on this data: {error}") from error
    return finished(fitted, dataset.schema)


def finished(fitted: Any, schema: Schema) -> TabularModel:
    """Return a fitted model with the schema of its rows, which says how it came to be."""
    estimator = final(fitted)
    created = {
        **schema.created,
        "estimator": type(estimator).__name__,
        "hyperparameters": {name: repr(value) for name, value in estimator.get_params(deep=False).items()},
        "git_commit": os.environ.get("BYOC_GIT_COMMIT", "unknown"),
        "versions": model.versions(),
    }
    # A rare class may have no row in the training split; the answers can only be what the estimator has seen.
    classes = tuple(fitted.classes_.tolist()) if schema.problem_type == "classification" else ()
    return TabularModel(fitted, replace(schema, classes=classes, created=created))


def judge(job: Job, options: Options, trained: TabularModel, dataset: Dataset) -> Evaluation:
    """Evaluate on the held-out rows and print the metrics."""
    evaluation = evaluate(
        trained.estimator,
        dataset.validation.features,
        dataset.validation.labels,
        trained.schema.names,
        trained.schema.problem_type,
        seed=options.seed,
        # Told to stop, a job has a model to save and no time for more. Asking tells that it will end by itself.
        importance=not job.stopping,
    )
    for name, value in evaluation.metrics.items():
        job.metric(f"validation:{name}", value)
    return evaluation


def save(job: Job, options: Options, trained: TabularModel, dataset: Dataset, evaluation: Evaluation) -> None:
    """Write the model, its schema and its metrics, and the report for people."""
    compiled = Outcome(None, "the job was stopped")
    if not job.stopping:
        compiled = compile_model(trained, dataset.validation.features)
    model.save(trained, job.model_dir, compiled.content)
    engine = {"engine": "sklearn", "reason": compiled.reason} if compiled.reason else {"engine": "onnx"}
    facts = {
        "rows": dict(zip(("training", "validation"), dataset.sizes, strict=True)),
        "held_out": dataset.held_out,
        "metrics": evaluation.metrics,
        "serving": engine,
    }
    (job.model_dir / "metrics.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    page = report.render(
        evaluation, _facts(trained, dataset), options.parameters, rows=dataset.validation.numbers.tolist()
    )
    unfinished = job.output_dir / ".report.html"
    unfinished.write_text(page, encoding="utf-8")
    unfinished.rename(job.output_dir / "report.html")
    log.info("report: %s", job.output_dir / "report.html")


def _encode(frame: Any, schema: Schema) -> Rows:
    if schema.target not in frame:
        raise DataError(f"the validation data has no column '{schema.target}', the target")
    labels = features.encode_labels(frame[schema.target], schema.problem_type)
    return Rows(features.encode(frame, schema), labels, np.asarray(frame.index, dtype=np.int64) + 1)


def _split(schema: Schema, rows: Rows, options: Options) -> Dataset:
    """Hold out a share of the rows, each class by its share where every class has rows enough."""
    _, counts = np.unique(rows.labels, return_counts=True)
    held = max(1, round(len(rows) * options.validation_fraction))
    stratified = (
        schema.problem_type == "classification" and counts.min() > 1 and len(counts) <= min(held, len(rows) - held)
    )
    parts = train_test_split(
        rows.features,
        rows.labels,
        rows.numbers,
        test_size=held,
        random_state=options.seed,
        stratify=rows.labels if stratified else None,
    )
    return Dataset(schema, Rows(*parts[::2]), Rows(*parts[1::2]), held_out=True)


def _facts(trained: TabularModel, dataset: Dataset) -> dict[str, str]:
    created = trained.schema.created
    return {
        "Estimator": created["estimator"],
        "Problem": trained.schema.problem_type,
        "Target": trained.schema.target,
        "Features": str(len(trained.schema.columns)),
        "Training rows": f"{dataset.sizes[0]:,}",
        "Validation rows": f"{dataset.sizes[1]:,}"
        + ("" if dataset.held_out else ": the training rows, for none were held out"),
        **dataset.remarks,
        "Data (SHA-256)": created["data_sha256"],
        "Code (git commit)": created["git_commit"],
        "Versions": ", ".join(f"{name} {version}" for name, version in created["versions"].items()),
    }
