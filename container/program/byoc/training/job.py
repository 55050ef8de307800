"""A training job: what `fit` is given, and what happens around it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from byoc import logs, machine
from byoc.entry import EntryPoint
from byoc.env import Paths, TrainingEnvironment
from byoc.errors import DataError, UserError
from byoc.training import artifact, channels, cluster, dask, failure, hyperparameters, metrics, rank, script, torchrun
from byoc.training.checkpoints import Checkpoints
from byoc.training.rank import Rank
from byoc.training.stop import StopNotice, Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from byoc.training.channels import Channel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A training job, as an algorithm sees it."""

    environment: TrainingEnvironment
    model_dir: Path
    notice: StopNotice
    process: Rank = rank.ALONE

    @property
    def rank(self) -> int:
        """Which of the processes that torchrun runs `fit` in this is: from 0 on, whose model is the one kept."""
        return self.process.number

    @property
    def world_size(self) -> int:
        """How many processes torchrun runs `fit` in, on all hosts; 1 without torchrun."""
        return self.process.count

    @cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """The user's hyperparameters, decoded: ``{"max_depth": 5}``."""
        return hyperparameters.user_values(self.environment.hyperparameters)

    def channel(self, *names: str) -> Channel:
        """Return the first of the named channels that the job has.

        Raises:
            DataError: it has none of them.

        """
        channel = self.optional_channel(*names)
        if channel is None:
            data = self.environment.paths.data
            there = ", ".join(sorted(self.environment.channels)) or "none"
            raise DataError(
                f"channel '{names[0]}' is missing: there is no folder {data / names[0]}. Give the job a channel "
                f"named {' or '.join(repr(name) for name in names)} (channels configured: {there})"
            )
        return channel

    def optional_channel(self, *names: str) -> Channel | None:
        """Return the first of the named channels that the job has, or None."""
        return channels.find(self.environment.paths.data, self.environment.channels, names)

    @property
    def output_dir(self) -> Path:
        """Where side outputs go; a folder for each host where there are several, since all are merged into one."""
        folder = self.environment.paths.output_data
        if len(self.environment.hosts) > 1:
            folder /= self.environment.current_host
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """What an interrupted job goes on from: ``save(step, state)`` and ``latest()``."""
        if self.process.folder is None:
            several = len(self.environment.hosts) > 1
            return Checkpoints(self.environment.checkpoints, self.environment.current_host if several else "")
        common = self.process.plan()["checkpoints"]
        folder, host = rank.checkpoints(self.environment)
        return Checkpoints(None if common is None else folder, host, keeps=self.rank == 0, common=common)

    @property
    def stopping(self) -> bool:
        """Whether the job has been told to stop. An algorithm that asks between its steps keeps its best model."""
        return self.notice.requested

    @cached_property
    def cpus(self) -> int:
        """The CPUs that the job may use; where torchrun runs several processes on a host, each has its part."""
        return max(1, machine.cpus() // self.process.local_count)

    def wait_for_peers(self) -> None:
        """Wait until all hosts of the job can be found by their names, which may be some seconds after the start.

        Raises:
            ClusterError: a host is not known after a quarter of an hour.

        """
        cluster.wait_for_peers(self.environment.hosts)

    def metric(self, name: str, value: float) -> None:
        """Report a metric: ``name=value;`` on a line of its own. Of torchrun's processes the first one does."""
        if self.rank == 0:
            metrics.emit(name, value)


def run(
    fit: Callable[[Job], None], metric_names: Sequence[str] = (), argv: Sequence[str] | None = None, doc: str = ""
) -> int:
    """Run the job and return the exit code: 0 trained, 1 failed, 128 + signal stopped without a model.

    A script that the job brings along ends it with its own code. Where the image has an entry point of the user's, its
    `fit` trains, and its ``METRICS`` are the metrics.

    ``metric_names`` are the metrics that `fit` reports, for ``train --metric-definitions``.
    """
    entry = EntryPoint.from_environ(os.environ)
    if _parse(argv, doc).metric_definitions:
        names = metric_names if entry.is_own else getattr(entry.load(), "METRICS", ())
        sys.stdout.write(json.dumps(metrics.definitions(names), indent=2) + "\n")
        return 0
    notice = StopNotice()
    notice.install()
    # Read by OpenMP when an algorithm first loads it. Threads that wait by spinning keep each other from the CPUs where
    # there are more threads than CPUs: training then takes ten times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logs.setup(logging.INFO)
    own = Rank.from_environ(os.environ)
    code = _run(entry, fit, own, notice)
    if own:
        own.leave(code)
    return code


def _run(entry: EntryPoint, fit: Callable[[Job], None], own: Rank | None, notice: StopNotice) -> int:
    started = time.monotonic()
    paths = Paths.from_environ(os.environ)
    try:
        environment = TrainingEnvironment.read(os.environ)
        logging.getLogger().setLevel(environment.log_level)
        if own:
            _work(entry, fit, environment, own, notice)
            return 0
        # The one place that decides who trains: a script that the job brings along, else the image's own.
        brought = script.find(environment) or script.beside(entry)
        names = script.run(brought, environment, notice) if brought else _train(entry, fit, environment, notice)
    except Stopped as stop:
        log.warning("stopped by %s before there was a model", stop)
        return 128 + stop.signum
    except BaseException as error:  # also SystemExit from user code: every end but success has a cause
        if notice.broke_off:  # what libraries make of `Stopped` on its way, or a mistake in undoing things
            log.warning("stopped by %s before there was a model", signal.Signals(notice.signum).name, exc_info=error)
            return 128 + notice.signum
        return _fail(error, own.tell_failure if own else partial(failure.write, paths.failure))
    log.info("trained in %.1f s; %s holds %s", time.monotonic() - started, paths.model, ", ".join(names))
    return 0


def _work(
    entry: EntryPoint, fit: Callable[[Job], None], environment: TrainingEnvironment, own: Rank, notice: StopNotice
) -> None:
    """Be one of the processes that torchrun runs `fit` in; `_train`, which started it, sees to the model."""
    logs.mark(rank=own.number)
    if own.local_number:  # what all of them say is told once a host
        logging.getLogger().setLevel(max(environment.log_level, logging.WARNING))
    chosen = fit if entry.is_own else _fit_of(entry)
    job = Job(environment, own.model_dir(), notice, own)
    notice.begin()
    chosen(job)
    notice.finish()


def _fit_of(entry: EntryPoint) -> Callable[[Job], None]:
    """Return the `fit` of the user's own file.

    Raises:
        UserError: it cannot be imported, or has none.

    """
    fit: Callable[[Job], None] | None = getattr(entry.load(), "fit", None)
    if not callable(fit):
        raise UserError(
            f"{entry.file.name} defines no fit(job), and there is no file train beside it, so this image only serves; "
            "write one of them, or give the job a script of its own (sagemaker_program)"
        )
    return fit


def _train(
    entry: EntryPoint, fit: Callable[[Job], None], environment: TrainingEnvironment, notice: StopNotice
) -> list[str]:
    """Run the algorithm and put its model in place; return the names in the model folder."""
    distribution = fit.__globals__.get("DISTRIBUTION", "") if entry.is_own else entry.distribution
    ranks = len(environment.hosts) * torchrun.processes(environment)
    if torchrun.is_asked_for(environment, distribution) and ranks > 1:
        run_fit = partial(torchrun.fit, environment, notice)
    else:
        chosen = fit if entry.is_own else _fit_of(entry)
        run_fit = partial(_fit, chosen, environment, notice)
    model = environment.paths.model
    discard = partial(artifact.discard, model / artifact.STAGING)
    _announce(environment)
    try:
        notice.begin(discard)
        staging = artifact.stage(model)
        run_fit(staging)
        notice.finish()
        return artifact.publish(staging) if environment.is_leader else []
    finally:
        discard()


def _announce(environment: TrainingEnvironment) -> None:
    given = hyperparameters.user_values(environment.hyperparameters)
    shown = {name: "<hidden>" if failure.is_secret(name) else value for name, value in given.items()}
    host, hosts = environment.current_host, environment.hosts
    log.info("training on %s with %d CPUs, hyperparameters %s", host, machine.cpus(), shown or "all default")
    if len(hosts) > 1:
        log.info("rank %d of %d hosts", hosts.index(host), len(hosts))


def _fit(fit: Callable[[Job], None], environment: TrainingEnvironment, notice: StopNotice, staging: Path) -> None:
    job = Job(environment, staging, notice)
    if not cluster.is_spread(environment):
        fit(job)
    elif environment.is_leader:
        with dask.leading(environment):
            fit(job)
    else:
        dask.serving(environment, notice)


def _fail(error: BaseException, tell: Callable[[str], None]) -> int:
    text = failure.describe(error, os.environ)
    try:
        tell(text)
    except OSError as problem:
        log.error("cannot write %s: %s", problem.filename, problem.strerror)  # noqa: TRY400 - the cause follows
    if isinstance(error, UserError):
        log.error("training failed: %s", text)
        return error.exit_code
    log.error("training failed: %s", text.partition("\n")[0], exc_info=error)
    return 1


def _parse(argv: Sequence[str] | None, doc: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="train",
        description=doc,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Reads SAGEMAKER_BASE_DIR (default /opt/ml): input/config, input/data/<channel>; writes model, output.",
    )
    # SageMaker's word arrives here when the image is given an entry point of its own: `python3 train train`.
    parser.add_argument("word", nargs="?", choices=["train"], help=argparse.SUPPRESS)
    parser.add_argument(
        "--metric-definitions", action="store_true", help="print the MetricDefinitions for CreateTrainingJob and exit"
    )
    return parser.parse_args(argv)
