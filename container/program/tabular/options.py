"""The algorithm's hyperparameters: a few of its own, and those of the scikit-learn estimator it fits."""

from __future__ import annotations

import difflib
import importlib
import inspect
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier, is_regressor

from byoc.errors import ConfigurationError, UserError
from tabular import partial_fit
from tabular.search import Search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ProblemType = Literal["classification", "regression"]
PROBLEM_TYPES: tuple[ProblemType, ...] = ("classification", "regression")
DEFAULTS: dict[ProblemType, str] = {
    "classification": "HistGradientBoostingClassifier",
    "regression": "HistGradientBoostingRegressor",
}
# Looked through in this order, so that only the module in use is imported.
MODULES = (
    "ensemble",
    "tree",
    "linear_model",
    "neighbors",
    "svm",
    "naive_bayes",
    "neural_network",
    "discriminant_analysis",
    "gaussian_process",
    "kernel_ridge",
    "semi_supervised",
    "calibration",
    "cross_decomposition",
    "dummy",
)
# Where n_jobs is worth something: elsewhere scikit-learn ignores it, or warns of it.
PARALLEL = ("sklearn.ensemble", "sklearn.neighbors")

# What needs another estimator although its signature has a default.
BUILT_FROM_OTHERS = ("SelfTrainingClassifier",)
# NumPy's random numbers can start from so many seeds.
SEEDS = 1 << 32
MOST_PASSES = 10_000


class HyperparameterError(UserError):
    """A hyperparameter that the algorithm does not know or cannot use."""


@dataclass(frozen=True)
class Options:
    """What the hyperparameters ask for.

    Attributes:
        estimator: a scikit-learn class name; "" for histogram gradient boosting of the right kind.
        target: the label's column by name, or by position from 0 (-1 is the last).
        problem_type: "" to find it from the target.
        validation_fraction: share of the rows held out where the job has no validation channel.
        scale: whether numbers are standardised before the estimator sees them.
        incremental: whether to learn block by block, from data that fits no memory; None leaves it to the job.
        passes: how often to go over the data then; None leaves it to the estimator.
        search: candidates for the estimator's parameters, of which cross-validation chooses; None for no search.
        seed: makes the split, the estimator and the search repeatable.
        parameters: the rest: the estimator's own, by its scikit-learn names.

    """

    estimator: str = ""
    target: str | int = 0
    problem_type: ProblemType | Literal[""] = ""
    validation_fraction: float = 0.2
    scale: bool = False
    incremental: bool | None = None
    passes: int | None = None
    search: Search | None = None
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, hyperparameters: Mapping[str, Any], *, sharded: bool = False) -> Options:
        """Check the decoded hyperparameters, before any data is read.

        Where the data is ``sharded``, each host having a share, `incremental` is true unless they say otherwise.

        Raises:
            ConfigurationError: names every hyperparameter that is unknown or has a bad value, with what is allowed.

        """
        own = {name: value for name, value in hyperparameters.items() if name in cls.__dataclass_fields__}
        own.pop("parameters", None)
        if sharded and own.get("incremental") is None:
            own["incremental"] = True
        for name in own.keys() & {"seed", "target", "passes"}:
            # Some clients write every number as a float.
            if isinstance(own[name], float) and own[name].is_integer():
                own[name] = int(own[name])
        parameters = {name: value for name, value in hyperparameters.items() if name not in own}
        wanted, refused = own.pop("search", None), ""
        try:
            search = None if wanted is None else Search.read(wanted)
        except ValueError as problem:
            search, refused = None, f"search={wanted!r} {problem}"
        options = cls(**own, parameters=parameters, search=search)
        problems = [text for text in (*options._problems(), refused) if text]
        if problems:
            raise ConfigurationError(problems)
        # A wrong parameter should not wait for the data to be read. It is wrong if no kind of problem would take it.
        refusals = [error for kind in options.kinds if (error := options._refusal(kind))]
        if len(refusals) == len(options.kinds):
            raise refusals[0]
        return options

    def _problems(self) -> list[str]:
        return [
            "" if isinstance(self.estimator, str) else f"estimator={self.estimator!r} must be a class name",
            ""
            if isinstance(self.target, str | int) and not isinstance(self.target, bool)
            else f"target={self.target!r} must be a column's name or its position from 0",
            ""
            if self.problem_type in ("", *PROBLEM_TYPES)
            else f"problem_type={self.problem_type!r} must be one of {', '.join(PROBLEM_TYPES)}",
            ""
            if isinstance(self.validation_fraction, int | float) and 0 <= self.validation_fraction < 1
            else f"validation_fraction={self.validation_fraction!r} must be a number from 0 to below 1",
            "" if isinstance(self.scale, bool) else f"scale={self.scale!r} must be true or false",
            ""
            if isinstance(self.seed, int) and not isinstance(self.seed, bool) and 0 <= self.seed < SEEDS
            else f"seed={self.seed!r} must be a whole number from 0 to {SEEDS - 1}",
            ""
            if self.incremental in (None, True, False)
            else f"incremental={self.incremental!r} must be true or false",
            ""
            if self.passes is None or (type(self.passes) is int and 0 < self.passes <= MOST_PASSES)
            else f"passes={self.passes!r} must be a whole number from 1 to {MOST_PASSES}",
            "search cannot go with incremental: each of its candidates needs all rows in memory"
            if self.incremental and self.search
            else "",
        ]

    @property
    def kinds(self) -> tuple[ProblemType, ...]:
        """The problem types that are possible, as far as the hyperparameters tell: by name, or by the estimator."""
        if self.problem_type:
            return (self.problem_type,)
        if not self.estimator:
            return PROBLEM_TYPES
        return ("classification",) if is_classifier(find_class(self.estimator)()) else ("regression",)

    def _refusal(self, problem_type: ProblemType) -> UserError | None:
        try:
            self.make_estimator(problem_type)
        except UserError as error:
            return error
        return None

    def make_estimator(self, problem_type: ProblemType, cpus: int = 1) -> Any:
        """Return the estimator, unfitted, with every parameter set and checked by scikit-learn's own rules.

        Raises:
            ConfigurationError: the estimator is of the other kind, or a parameter is unknown or not allowed.

        """
        name = self.estimator or (partial_fit.DEFAULTS if self.incremental else DEFAULTS)[problem_type]
        estimator = find_class(name)()
        right = is_classifier if problem_type == "classification" else is_regressor
        if not right(estimator):
            raise HyperparameterError(f"estimator={name!r} does not do {problem_type}; choose one that does")
        if self.incremental and not partial_fit.is_possible(estimator):
            possible = ", ".join(each for each in partial_fit.ESTIMATORS if right(find_class(each)()))
            raise HyperparameterError(
                f"estimator={name!r} cannot learn block by block (incremental); those that can are {possible}. Choose "
                "one, or say incremental=false, where the data fits one host's memory and is FullyReplicated"
            )
        known = estimator.get_params(deep=False)
        extremes = self.search.extremes() if self.search else []
        own = sorted(name for name in self.__dataclass_fields__ if name != "parameters")
        problems = [
            f"{parameter}={value!r} is not a hyperparameter of {name}{_nearest(parameter, known)}; it knows "
            f"{', '.join(sorted(known))}, and the algorithm itself {', '.join(own)}"
            for parameter, value in [*self.parameters.items(), *extremes]
            if parameter not in known
        ]
        if problems:
            raise ConfigurationError(problems)
        if "random_state" in known:
            estimator.set_params(random_state=self.seed)
        if "n_jobs" in known and type(estimator).__module__.startswith(PARALLEL):
            estimator.set_params(n_jobs=cpus)
        if self.incremental and not self.estimator:
            estimator.set_params(**partial_fit.PARAMETERS[problem_type])
        problems = [text for text in (_set(estimator, *item) for item in self.parameters.items()) if text]
        trial = clone(estimator)
        if self.incremental and not problems:
            problems = [text for text in (partial_fit.refusal(trial, self.parameters),) if text]
        problems += [f"search: {text}" for text in (_set(trial, *item) for item in extremes) if text]
        if problems:
            raise ConfigurationError(problems)
        return estimator

    def chosen(self, candidate: Mapping[str, Any]) -> Options:
        """Return the options of a job that was given the candidate's parameters, and has nothing to search."""
        return replace(self, parameters={**self.parameters, **candidate}, search=None)


def find_class(name: str) -> type:
    """Return the scikit-learn classifier or regressor of that name.

    Raises:
        HyperparameterError: there is none, or it needs other estimators as arguments, which no string can name.

    """
    for module in MODULES:
        found = getattr(importlib.import_module(f"sklearn.{module}"), name, None)
        if isinstance(found, type) and _is_estimator(found):
            needed = [
                argument.name
                for argument in inspect.signature(found).parameters.values()
                if argument.default is argument.empty and argument.kind is not argument.VAR_KEYWORD
            ]
            if needed or name in BUILT_FROM_OTHERS:
                raise HyperparameterError(
                    f"estimator={name!r} is built from other estimators ({', '.join(needed) or 'estimator'}); "
                    "name one that stands alone"
                )
            return found
    raise HyperparameterError(
        f"estimator={name!r} is not a scikit-learn classifier or regressor; for instance "
        "HistGradientBoostingClassifier, RandomForestRegressor, LogisticRegression, KNeighborsClassifier"
    )


def _is_estimator(found: type) -> bool:
    return issubclass(found, ClassifierMixin | RegressorMixin) and not inspect.isabstract(found)


def _nearest(name: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {matches[0]}?)" if matches else ""


def _set(estimator: Any, name: str, value: Any) -> str:
    """Set one parameter; return what is wrong with it, "" where nothing is.

    A number may come as 5.0 where 5 is meant, or as 5 where the text "5" is: the first reading that scikit-learn
    allows is taken.
    """
    default = getattr(estimator, name)
    message = ""
    for reading in _readings(value):
        estimator.set_params(**{name: reading})
        try:
            estimator._validate_params()  # noqa: SLF001 - what fit() would say, before the data is read
        except ValueError as error:  # InvalidParameterError; it names the parameter, the value and the allowed ones
            message = message or " ".join(str(error).split())
        else:
            return ""
    estimator.set_params(**{name: default})
    return f"{name}={value!r}: {message}"


def _readings(value: Any) -> list[Any]:
    readings = [value]
    if isinstance(value, float) and value.is_integer():
        readings.append(int(value))
    if isinstance(value, list):
        readings.append(tuple(value))
    if isinstance(value, int) and not isinstance(value, bool) and value in (0, 1):
        readings.append(bool(value))
    return readings
