"""What can go wrong by somebody's mistake, told without a traceback.

Everything else that is raised is a defect of the algorithm's or of ours, and keeps its traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class UserError(Exception):
    """A mistake the user can mend; the message says what, why and what to do next.

    Attributes:
        exit_code: what `train` ends with.

    """

    exit_code = 1


class ConfigurationError(UserError):
    """Environment variables or config files that cannot be used; all problems at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class DataError(UserError):
    """Training data that cannot be used."""


class ModelError(UserError):
    """A model directory that cannot be loaded or saved."""


class RowError(UserError):
    """A record that cannot be read, or does not fit the model's schema.

    Attributes:
        message: what is wrong, free of the record's values.
        row: the record's number in the payload, from 1; None where the whole payload is meant.
        column: the column's name or, where it has none, its position from 1.

    """

    def __init__(self, message: str, row: int | None = None, column: str | int | None = None) -> None:
        self.message = message
        self.row = row
        self.column = column
        where = ", ".join(f"{name} {value}" for name, value in (("row", row), ("column", column)) if value is not None)
        super().__init__(f"{where}: {message}" if where else message)
