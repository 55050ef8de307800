"""The file that answers requests, and may train: the user's own, or the image's `predictor.py`.

``BYOC_ENTRY_POINT`` names a file of the user's, in the folder `code` beside `predictor.py` unless it is a whole path;
``BYOC_ENTRY_POINT_METHOD`` a function or ``Class.method`` in it, where that cannot be found out.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from byoc.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

PROGRAM = Path(__file__).resolve().parent.parent
CODE = PROGRAM / "code"
OWN = PROGRAM / "predictor.py"
# Stand-ins for packages that handlers were written for; the packages themselves come first where they are installed.
STANDINS = Path(__file__).resolve().parent / "standins"
# A module that says whether its model may be shared expects to be imported once, before the workers are forked.
SHARED = re.compile(r"^FORK_SAFE\b", re.MULTILINE)
# How the file's `fit` is to be spread, known before it is imported, which is then left to the processes that run it.
DISTRIBUTION = re.compile(r"^DISTRIBUTION\b[^=\n]*=\s*([^#\n]*)", re.MULTILINE)


@dataclass(frozen=True)
class EntryPoint:
    """Where the handler is.

    Attributes:
        file: the Python file.
        method: a function's name, or ``Class.method``; "" leaves it to be found out.

    """

    file: Path = OWN
    method: str = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> EntryPoint:
        """Read the two variables."""
        name = environ.get("BYOC_ENTRY_POINT", "").strip()
        return cls(CODE / name if name else OWN, environ.get("BYOC_ENTRY_POINT_METHOD", "").strip())

    @property
    def is_own(self) -> bool:
        """Whether it is the image's own `predictor.py`, beside which there is a `train` of its own."""
        return self.file == OWN

    @property
    def is_shared(self) -> bool:
        """Whether to import it once, before the fork; else each worker does, and has state and devices of its own."""
        return bool(SHARED.search(self._text()))

    @property
    def distribution(self) -> str:
        """What the file's ``DISTRIBUTION`` names, "" where it has none."""
        found = DISTRIBUTION.search(self._text())
        return found[1].strip().strip("\"'") if found else ""

    def _text(self) -> str:
        try:
            return self.file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return ""

    def load(self) -> ModuleType:
        """Import the file, as if it had been started in its own folder.

        Raises:
            UserError: it is missing or cannot be imported; names the error and the line.

        """
        try:
            return importlib.import_module("predictor") if self.is_own else self._import()
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.file.name} cannot be imported: {self._reason(error)}") from error

    def _import(self) -> ModuleType:
        folder, name = str(self.file.parent), self.file.stem
        loaded = sys.modules.get(name)
        if loaded is not None and getattr(loaded, "__file__", None) == str(self.file):
            return loaded
        if not self.file.is_file():
            raise FileNotFoundError(f"there is no such file in {folder}")
        sys.path[:] = [folder, *(each for each in sys.path if each not in (folder, str(STANDINS))), str(STANDINS)]
        os.chdir(folder)
        # A name that is taken, by `json.py` say, is left to whom it belongs.
        spec = importlib.util.spec_from_file_location(name if loaded is None else f"_entry_{name}", self.file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[spec.name]
            raise
        return module

    def _reason(self, error: BaseException) -> str:
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.file)
        ]
        where = f" (line {lines[-1]})" if lines else ""
        advice = ""
        if isinstance(error, ModuleNotFoundError) and error.name:
            advice = f"; add what brings {error.name.partition('.')[0]} to the requirements.txt beside it"
        return f"{type(error).__name__}: {error}{where}{advice}"
