"""Training on more rows than a memory holds, on one host or on many, each with a share of the files.

The files are read in blocks, several at a time and on all hosts. A block is parsed where it lies; the model, which is
small, goes from block to block. Their order, and what each of them is to the model, depends on the data alone. So the
model is the same, to the last bit, whatever the hosts are and however the files are spread over them.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from byoc.errors import ModelError
from byoc.flavors import sklearn as flavor
from byoc.training import cluster, hosts
from byoc.training.stop import Stopped
from tabular import blocks, data, fitting, learner, partial_fit, pipeline, training
from tabular.evaluate import evaluate
from tabular.learner import Plan
from tabular.model import final
from tabular.table import Table
from tabular.tally import Tally
from tabular.training import Dataset, Rows

if TYPE_CHECKING:
    from byoc.schema import Schema
    from byoc.training import Job
    from tabular.options import Options

log = logging.getLogger(__name__)

# Held-out rows that the report is made from, about.
SAMPLE = 10_000


def is_sharded(job: Job) -> bool:
    """Whether this job's training data is spread over hosts that work together."""
    channel = job.optional_channel("training", "train")
    environment = job.environment
    return channel is not None and cluster.is_led(environment) and cluster.is_sharded(environment, channel.name)


def is_wanted(job: Job, options: Options) -> bool:
    """Whether to learn block by block; where that leaves data out, the log tells."""
    if is_sharded(job) and not options.incremental:
        log.warning("incremental=false: the other hosts' shares of the data, ShardedByS3Key, are not learned from")
    return bool(options.incremental)


def train(job: Job, options: Options) -> None:
    """Read, learn, judge and save.

    Raises:
        DataError: the data cannot be used; the message says where.
        Stopped: the job was stopped, and there is no model yet.

    """
    with ExitStack() as stack:
        workers = stack.enter_context(hosts.of(job))
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))

        def table(*names: str) -> Table:
            channel = job.channel(*names)
            if len(workers.threads) == 1:
                channel = stack.enter_context(data.on_disk(channel))
            return Table.find(channel, workers, job.environment, scratch)

        rows = table("training", "train")
        validation = table("validation") if job.optional_channel("validation") else None
        run = Run.of(job, options, rows, validation)
        run.learn()
        run.save()


@dataclass
class Run:
    """A training: the model as it becomes, the rows, and what is done with them.

    Attributes:
        table: is learned from.
        judges: has the rows that judge the model: the same, or the channel for that.
        plan: what is done with the blocks of `table`.
        learned: rows that the last pass learned from.
        judged: of the last pass over the judging rows: the model's answers.
        sample: of the judging rows.

    """

    job: Job
    options: Options
    schema: Schema
    model: Any
    table: Table
    judges: Table
    plan: Plan
    learned: int = 0
    judged: Tally = field(default_factory=Tally)
    sample: list[Rows] = field(default_factory=list)

    @classmethod
    def of(cls, job: Job, options: Options, table: Table, validation: Table | None) -> Run:
        """Learn what the rows look like, and make a model for them that has learned nothing yet.

        Statistics are of all rows, those held out too, as a schema is that is learned in memory.
        """
        target = table.target(options.target)
        summary = table.summarise(target)
        problem_type = options.kinds[0] if len(options.kinds) == 1 else summary.problem_type(target)
        schema = replace(summary.schema(target, problem_type), created={"data_sha256": table.digest})
        estimator = options.make_estimator(problem_type)
        built = pipeline.build(estimator, schema, scale=options.scale or not options.estimator, impute_by="mean")
        pipeline.fit_to_summary(built, schema, summary.columns, summary.rows)
        fraction = 0.0 if validation else options.validation_fraction
        if not validation and not fraction:
            log.warning("no rows are held out: the metrics tell how well the model knows the rows it was fitted on")
        judging = validation.summarise(target).rows if validation else summary.rows * (fraction or 1.0)
        sampled = min(1.0, SAMPLE / max(1.0, judging))
        plan = Plan(schema, tuple(summary.as_text()), options.seed, fraction, sampled, learns=True)
        log.info("fitting %s on %d rows, %d features", type(estimator).__name__, summary.rows, len(schema.columns))
        return cls(job, options, schema, built, table, validation or table, plan)

    @property
    def is_judged_apart(self) -> bool:
        """Whether the rows that judge are in a channel of their own."""
        return self.judges is not self.table

    def learn(self) -> None:
        """Go over the rows, as often as there are passes, or until the job is stopped.

        What is held out of a block is answered, by the model of the pass before, when the block is read anyway.

        Raises:
            Stopped: there is no model yet.

        """
        passes = self.options.passes or partial_fit.passes(final(self.model))
        key = self._fingerprint() if self.job.checkpoints.enabled else ""
        began = time.monotonic()
        for number in range(self._resume(key), passes):
            before = copy.deepcopy(self.model) if number and not self.is_judged_apart else None
            if not self._learn_once(number, before):
                break
            log.info("pass %d of %d: %d rows; %.1f s", number + 1, passes, self.learned, time.monotonic() - began)
            self.job.checkpoints.save(number + 1, partial(flavor.write, self.model), key)
            if self.is_judged_apart and number + 1 < passes:
                self._judge()
        if not hasattr(final(self.model), "n_features_in_"):
            raise Stopped(self.job.notice.signum)
        self._judge()

    def _learn_once(self, number: int, before: Any) -> bool:
        """Learn from every block; tell whether that was not stopped."""
        samples = not self.is_judged_apart and not self.sample
        plan = replace(self.plan, number=number, judge=before, sampled=self.plan.sampled if samples else 0.0)
        learn = partial(learner.learn, classes=self.schema.classes)
        tally, self.learned = Tally(), 0
        for block, future in self.table.each(partial(learner.prepare, plan=plan), f"pass {number + 1}"):
            self.model, learned, answers, sample = self.table.join(block, learn, self.model, future)
            self.learned += learned
            tally.add(answers)
            self.sample += [sample] if samples and len(sample) else []
            if self.job.stopping:
                log.warning("the job is stopped in pass %d: it keeps the model as it is", number + 1)
                return False
        if before is not None:
            self._tell(tally)
        return True

    def _judge(self) -> None:
        """Have the model answer all rows that judge; where the job is stopped, only as many as a report needs."""
        samples = not self.sample
        fraction = 0.0 if self.is_judged_apart else self.plan.fraction
        plan = replace(self.plan, fraction=fraction, learns=False, judge=self.model)
        plan = plan if samples else replace(plan, sampled=0.0)
        tally = Tally()
        if self.job.stopping and not samples:
            return
        for block, future in self.judges.each(partial(learner.prepare, plan=plan), "judging"):
            prepared = self.judges.result(block, future)
            tally.add(prepared.tally)
            self.sample += [prepared.sample] if samples and len(prepared.sample) else []
            if self.job.stopping and self.sample:
                return
        self._tell(tally)

    def _tell(self, tally: Tally) -> None:
        self.judged = tally
        for name, value in tally.metrics().items():
            self.job.metric(f"validation:{name}", value)

    def save(self) -> None:
        """Write the model, and a report on a sample of the rows that judge it."""
        sample = Rows(*(np.concatenate(parts) for parts in zip(*map(_parts, self.sample), strict=True)))
        trained = training.finished(self.model, self.schema)
        stopped = self.job.stopping
        found = evaluate(
            self.model,
            sample.features,
            sample.labels,
            self.schema.names,
            self.schema.problem_type,
            seed=self.options.seed,
            importance=not stopped,
        )
        exact = {} if stopped else self.judged.metrics()
        for name, value in found.metrics.items():
            if name not in exact:
                self.job.metric(f"validation:{name}", value)
        judged = len(sample) if stopped else self.judged.rows
        what = ", ".join(sorted(found.metrics.keys() - exact.keys())) or "none"
        dataset = Dataset(
            self.schema,
            training=replace(sample, labels=sample.labels[:0]),
            validation=sample,
            held_out=self.is_judged_apart or self.plan.fraction > 0,
            counts=(self.learned, judged),
            remarks={
                "Pictures and tables": f"of {len(sample):,} rows out of {judged:,}; so are these metrics: {what}",
            },
        )
        training.save(self.job, self.options, trained, dataset, replace(found, metrics={**found.metrics, **exact}))

    def _fingerprint(self) -> str:
        """Return a hash of what the model becomes by: where it is equal, so is the model after as many passes."""
        facts = [
            version("scikit-learn"),
            fitting.describe(self.model),
            self.table.digest,
            [self.schema.target, self.schema.problem_type, self.plan.fraction, self.plan.seed],
            [blocks.SIZE, learner.BATCH],
        ]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    def _resume(self, key: str) -> int:
        """Take the model of the newest checkpoint; return the passes that it has behind it."""
        checkpoint = self.job.checkpoints.latest(key) if key else None
        if checkpoint is None:
            return 0
        try:
            self.model = flavor.read(checkpoint.file)
        except ModelError as error:
            log.warning("starting anew: %s", error)
            return 0
        log.info("going on from the checkpoint of %d passes, %s", checkpoint.step, checkpoint.file)
        return checkpoint.step


def _parts(rows: Rows) -> tuple[Any, Any, Any]:
    return rows.features, rows.labels, rows.numbers
