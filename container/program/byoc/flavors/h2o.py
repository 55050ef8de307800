"""H2O-3 models as MOJOs, ``*.zip``, scored inside this process by h2o's own library, h2o-genmodel."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jpype
import numpy as np

from byoc.errors import ModelError, RowError
from byoc.flavors import java
from byoc.predictions import Predictions
from byoc.schema import UNSEEN, Column, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What h2o's categories of models answer: a label and probabilities, a number, the number of a cluster, several numbers.
LABELS = frozenset(["Binomial", "Multinomial", "Ordinal"])
NUMBER = frozenset(["Regression", "AnomalyDetection", "CoxPH"])
CLUSTER = frozenset(["Clustering"])
NUMBERS = frozenset(["DimReduction", "AutoEncoder"])
# These need more than a row of numbers: GAMs their own expansion of it, GLRMs a search with random numbers.
APART = frozenset(["gam", "glrm"])
# To most models h2o gives a level that training never saw as a missing value; to these as one more level.
ONE_MORE_LEVEL = frozenset(["coxph", "extendedisolationforest", "rulefit"])
# How h2o sorts the two values of what is true or false.
BOOLEAN = ("false", "true")


class Mojo:
    """A MOJO, read by h2o-genmodel.

    Attributes:
        id: what h2o calls the model's uuid.
        takes: rows of numbers, as the schema describes.
        answers: that H2O's clients want their own form of answer.
        schema: the columns that the MOJO names; that of the offset, where the model has one, is the last.

    Raises:
        ModelError: it does not predict from the rows of a table.

    """

    takes = "array"
    answers = "fields"

    def __init__(self, mojo: Any) -> None:
        self.id = str(mojo.getUUID())
        self._category = str(mojo.getModelCategory())
        algorithm = _text(mojo, "_algoName")
        if algorithm in APART or self._category not in LABELS | NUMBER | CLUSTER | NUMBERS:
            raise ModelError(f"models of {algorithm} ({self._category}) do not predict from the rows of a table alone")
        self._width = int(mojo.getPredsSize(mojo.getModelCategory()))
        self._inputs = _Inputs.of(mojo, algorithm)
        offset = mojo.getOffsetName()
        self._has_offset = offset is not None
        columns = (*self._inputs.columns, *([Column(str(offset), "number")] if self._has_offset else []))
        self.schema = _schema(mojo, columns, algorithm, self._category in LABELS)
        self._classes = np.array(self.schema.classes)
        self._score = java.rowwise(mojo, "hex.genmodel.GenModel", "score0", between=self._has_offset)

    def predict(self, rows: NDArray[np.float64]) -> Any:
        """Return what h2o's own predict does: labels by h2o's threshold, with probabilities, or numbers.

        Args:
            rows: (n, features) float64; text as the number of its category.

        Returns:
            `Predictions`; of dimension reductions and autoencoders an (n, k) array.

        Raises:
            RowError: h2o does not predict such a row, as generalized linear models do not that were trained to skip
                missing values.
            MemoryError: Java's heap is too small.

        """
        try:
            found = self._scored(rows)
        except jpype.JException as error:
            told, refused = java.tell(error), isinstance(error, jpype.JClass("java.lang.IllegalArgumentException"))
            if refused and len(rows) == 1:
                raise RowError(f"is none that the model predicts: h2o says {told}", 1) from None
            if refused:
                return self._one_by_one(rows)
            raise RuntimeError(told) from None
        if self._category in LABELS:
            return Predictions(self._classes[found[:, 0].astype(np.intp)], found[:, 1:], self.schema.classes)
        if self._category in CLUSTER:
            return Predictions(found[:, 0].astype(np.int64))
        return found if self._category in NUMBERS else Predictions(found[:, 0])

    def _scored(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self._has_offset:
            return self._score(self._inputs.encoded(rows), width=self._width)
        return self._score(self._inputs.encoded(rows[:, :-1]), np.ascontiguousarray(rows[:, -1]), width=self._width)

    def _one_by_one(self, rows: NDArray[np.float64]) -> Any:
        """Have the row named that h2o refuses."""
        for number, row in enumerate(rows, 1):
            try:
                self.predict(row[None])
            except RowError as error:
                raise RowError(error.message, number) from None
        raise RuntimeError("h2o refuses these rows together, and none of them alone")


@dataclass(frozen=True)
class _Inputs:
    """From the columns of the training data to those of the model.

    Attributes:
        columns: those of the training data.
        unseen: for each column of text, by its place, what the model takes for a level that training never saw.
        width: how many columns the model has, where h2o encoded those of text itself; else 0, and all else is empty.
        numbers: for each column of numbers, its place, and where it goes.
        tables: for each other column its place, where its code goes, and the codes: one for each level, that of a
            missing value, that of an unseen one.

    """

    columns: tuple[Column, ...]
    unseen: tuple[tuple[int, float], ...] = ()
    width: int = 0
    numbers: tuple[tuple[int, int], ...] = ()
    tables: tuple[tuple[int, NDArray[np.intp], NDArray[np.float64]], ...] = ()

    @classmethod
    def of(cls, mojo: Any, algorithm: str) -> _Inputs:
        """Read a MOJO's columns, and how h2o encodes them.

        Raises:
            ModelError: in a way in which h2o's server and h2o-genmodel disagree.

        """
        width = int(mojo.nfeatures())
        if mojo.getOrigNames() is None:
            columns = tuple(map(_column, list(mojo.getNames())[:width], mojo.getDomainValues()))
            texts = [(place, len(each.categories)) for place, each in enumerate(columns) if each.kind == "text"]
            extra = algorithm in ONE_MORE_LEVEL
            return cls(columns, tuple((place, float(levels) if extra else np.nan) for place, levels in texts))
        encoding, response = mojo.getCategoricalEncoding(), mojo.getResponseName()
        if str(encoding) == "Eigen":
            raise ModelError("with categorical_encoding=eigen h2o-genmodel predicts other than h2o; train with another")
        known = zip(mojo.getOrigNames(), mojo.getOrigDomainValues(), strict=False)
        domains = [(name, domain) for name, domain in known if name != response]
        places = encoding.createColumnMapping(mojo)
        encoders = encoding.createCategoricalEncoders(mojo, places)
        numbers, tables = [], []
        for place, (name, domain) in enumerate(domains):
            if domain is None:
                numbers.append((place, int(places.get(name))))
            else:
                tables.append((place, *_codes(encoders.get(places.get(name)), domain, width, str(encoding))))
        return cls(tuple(_column(*each) for each in domains), (), width, tuple(numbers), tuple(tables))

    def encoded(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the model's (n, features) of the (n, columns) of a request, C-contiguous float64."""
        if not self.width:
            table = np.array(rows, order="C")
            for place, value in self.unseen:
                table[table[:, place] == UNSEEN, place] = value
            return table
        table = np.full((len(rows), self.width), np.nan)
        for place, target in self.numbers:
            table[:, target] = rows[:, place]
        for place, targets, codes in self.tables:
            # UNSEEN is -1, which is the last.
            levels = np.where(np.isnan(rows[:, place]), len(codes) - 2, rows[:, place])
            table[:, targets] = codes[levels.astype(np.intp)]
        return table


def _codes(encoder: Any, domain: Any, width: int, encoding: str) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return where an encoder writes, and what: for each level, for a missing value, and for an unseen one."""
    rows = []
    for level in (*domain, None):
        row = jpype.JArray.of(np.full(width, np.nan))
        encoder.encodeNA(row) if level is None else encoder.encodeCatValue(level, row)
        rows.append(np.array(memoryview(row)))
    codes = np.array(rows)
    written = np.flatnonzero(~np.isnan(codes).all(axis=0))
    codes = codes[:, written]
    # As h2o has it: the number behind those of the known levels, or its bits, from the lowest; else as if missing.
    unseen = codes[-1]
    if encoding == "LabelEncoder":
        unseen = np.full(len(written), float(len(domain)))
    if encoding == "Binary":
        unseen = np.array([(len(domain) + 1) >> bit & 1 for bit in range(len(written))], dtype=np.float64)
    return written, np.vstack([codes, unseen])


def open_model(file: Path) -> Mojo:
    """Return the model in a MOJO.

    Raises:
        ModelError: it is damaged, of a later version, or not a model that predicts from rows.
        MemoryError: it is too large for the container.

    """
    java.start(_library())
    try:
        return Mojo(jpype.JClass("hex.genmodel.MojoModel").load(str(file)))
    except ModelError as error:
        raise ModelError(f"{file} cannot be served: {error}") from None
    except jpype.JException as error:
        told = java.tell(error)
        raise ModelError(
            f"{file} cannot be read by h2o-genmodel {version('h2o')} ({told}); "
            "it has to be a whole MOJO, as h2o's download_mojo writes it"
        ) from None


def _library() -> Path:
    """Return where h2o.sh, of the extra, left the library."""
    return Path(str(distribution("h2o").locate_file("h2o/h2o-genmodel.jar")))


def _schema(mojo: Any, columns: tuple[Column, ...], algorithm: str, has_labels: bool) -> Schema:
    target = str(mojo.getResponseName()) if mojo.isSupervised() else "target"
    created = {"estimator": algorithm, "h2o": _text(mojo, "_h2oVersion")}
    if not has_labels:
        return Schema(columns, target, "regression", created=created)
    classes = tuple(str(each) for each in mojo.getDomainValues(mojo.getResponseIdx()))
    return Schema(columns, target, "classification", classes, created)


def _text(mojo: Any, field: str) -> str:
    """Return one of h2o's public fields, whose names begin with an underscore."""
    return str(getattr(mojo, field))


def _column(name: Any, domain: Any) -> Column:
    """Return a feature; h2o lets every one be missing."""
    name = str(name)
    if domain is None:
        return Column(name, "number", missing=True)
    levels = tuple(str(level) for level in domain)
    # So that JSON's own true and false will do.
    if tuple(level.lower() for level in levels) == BOOLEAN:
        return Column(name, "boolean", missing=True)
    return Column(name, "text", missing=True, categories=levels)
