"""Which models there are: loaded, listed, unloaded, by any number of requests at a time."""

from __future__ import annotations

import enum
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from byoc.serving.errors import RequestError
from byoc.serving.models import admission
from byoc.serving.models.model import Model

if TYPE_CHECKING:
    from pathlib import Path

    from byoc.env import Paths
    from byoc.serving.settings import Settings

# Seconds that a process has beyond its deadline to end before it is killed.
GRACE = 2.0
# The same for all of them at the server's end, when nginx has no request left.
FAREWELL = 1.5


class State(enum.Enum):
    """How far a model is."""

    LOADING = enum.auto()
    LOADED = enum.auto()
    LEAVING = enum.auto()


@dataclass
class Entry:
    """A model on its way."""

    model: Model
    state: State = State.LOADING


class Registry:
    """The models of a server.

    Args:
        settings: of the server.
        paths: where models may lie.
        folder: of the server's sockets.

    """

    def __init__(self, settings: Settings, paths: Paths, folder: Path) -> None:
        self._settings = settings
        self._paths = paths
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        self._changed = threading.Condition()
        self._patience = settings.deadline + GRACE

    def load(self, name: object, url: object) -> dict[str, str]:
        """Load a model; return its description when it serves.

        Raises:
            RequestError: 400, the name, the url or the model is bad; 409, it is there; 507, memory does not suffice;
                500 or 504, it does not start. Nothing is left of it.

        """
        name = admission.check_name(name)
        files = admission.find(url, self._paths)
        entry = Entry(Model(self._settings, self._folder, name, str(url), files))
        self._enter(entry)
        try:
            admission.check_memory(files)
            entry.model.load()
            self._check_reserve(entry.model)
        except BaseException:
            self._leave(entry)
            raise
        with self._changed:
            entry.state = State.LOADED
        return _describe(entry.model)

    def unload(self, name: str) -> dict[str, str]:
        """Unload a model; return when its process and so its memory is gone.

        Raises:
            RequestError: 404, it is not there; 409, it is still being loaded.

        """
        with self._changed:
            entry = self._entries.get(name)
            if entry is not None and entry.state is State.LOADING:
                raise RequestError(409, "model_exists", f"model {name} is still being loaded")
            entry = self._find(name)
            entry.state = State.LEAVING
        entry.model.unload(self._patience)
        self._leave(entry)
        return _describe(entry.model)

    def describe(self, name: str) -> dict[str, str]:
        """Return a model's name and url.

        Raises:
            RequestError: 404, it is not there.

        """
        with self._changed:
            return _describe(self._find(name).model)

    def page(self, limit: int, token: str) -> dict[str, Any]:
        """Return the descriptions of some models, by name, and the token of the next page where there is one.

        Args:
            limit: models on a page.
            token: the last name of the page before, "" for the first: so none is lost or told twice while others
                come and go.

        """
        with self._changed:
            loaded = [entry.model for entry in self._entries.values() if entry.state is State.LOADED]
        rest = sorted((model for model in loaded if model.name > token), key=lambda model: model.name)
        page = {"models": [_describe(model) for model in rest[:limit]]}
        return page | ({"nextPageToken": rest[limit - 1].name} if len(rest) > limit else {})

    def explain(self, name: str) -> RequestError:
        """Return why a model did not answer a request."""
        with self._changed:
            try:
                model = self._find(name).model
            except RequestError as error:
                return error
        return model.explain()

    def close(self) -> None:
        """End every process."""
        with self._changed:
            models = [entry.model for entry in self._entries.values()]
        with ThreadPoolExecutor(max(1, len(models))) as threads:
            list(threads.map(lambda model: model.unload(FAREWELL), models))

    def _enter(self, entry: Entry) -> None:
        """Take a name; one whose model is just leaving is waited for."""
        name = entry.model.name
        with self._changed:
            self._changed.wait_for(
                lambda: name not in self._entries or self._entries[name].state is not State.LEAVING, self._patience
            )
            if name in self._entries:
                raise RequestError(409, "model_exists", f"model {name} is loaded already, or being loaded")
            self._entries[name] = entry

    def _leave(self, entry: Entry) -> None:
        with self._changed:
            del self._entries[entry.model.name]
            self._changed.notify_all()

    def _find(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None or entry.state is not State.LOADED:
            raise RequestError(404, "model_not_found", f"no model {name[:64]} is loaded; POST /models loads one")
        return entry

    def _check_reserve(self, model: Model) -> None:
        try:
            admission.check_memory()
        except RequestError:
            model.unload(0)
            raise


def _describe(model: Model) -> dict[str, str]:
    return {"modelName": model.name, "modelUrl": model.url}
