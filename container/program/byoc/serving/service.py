"""A loaded model with its queue: what a worker holds once, and every request to the model goes through."""

from __future__ import annotations

import gc
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from byoc.serving import runtime, sessions
from byoc.serving.batcher import Batcher
from byoc.serving.call import Call
from byoc.serving.description import Description
from byoc.serving.errors import RequestError
from byoc.serving.exchange import Exchange
from byoc.serving.formats import csv, json, score_table
from byoc.serving.formats.records import Records
from byoc.serving.invocation import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from byoc.serving.batcher import Timings
    from byoc.serving.handler import Handler
    from byoc.serving.invocation import Invocation
    from byoc.serving.settings import Settings

log = logging.getLogger(__name__)

# Rows of the largest call that is tried out before the first request, and how often each size is.
MOST_TRIED, TRIES = 128, 2


class Service:
    """Answers requests.

    Args:
        settings: limits and defaults.
        find_handler: imports the user's code when it is first needed, which may be after the fork.
        no_memory: what a MemoryError of a prediction's is told as.

    """

    def __init__(
        self,
        settings: Settings,
        find_handler: Callable[[], Handler],
        no_memory: Callable[[], Exception] | None = None,
    ) -> None:
        self.settings = settings
        self._find_handler = find_handler
        self._no_memory = no_memory

    @cached_property
    def handler(self) -> Handler:
        """The user's functions.

        Raises:
            UserError: there are none that could answer.

        """
        return self._find_handler()

    def load(self) -> None:
        """Load the model, and take what there is out of the garbage collector's sight.

        Frozen objects are not touched by collections, so that forked workers go on sharing their pages.

        Raises:
            UserError: the model cannot be loaded.

        """
        started = time.monotonic()
        self.handler.load(self.settings.model_dir)
        gc.freeze()
        log.info("model loaded from %s in %.1f s", self.settings.model_dir, time.monotonic() - started)

    def load_to_share(self) -> None:
        """Load the model before the workers are forked, in a thread of its own, which ends with that.

        OpenMP keeps its threads for the thread that computes, here whatever a model tries out when it is loaded. The
        main one goes on as the workers' main one after the fork, where it would wait for those threads for ever.

        Raises:
            UserError: as `load`.

        """
        with ThreadPoolExecutor(1) as thread:
            thread.submit(self.load).result()

    def try_out(self) -> None:
        """Let the batcher find out how long calls take that may run on the event loop; they are made-up rows."""
        handler = self.handler
        if handler.pure and handler.shares_calls and handler.schema is not None:
            rows = Records(handler.schema.sample(MOST_TRIED), schema=handler.schema)
            for count in sorted(2**power for power in range(MOST_TRIED.bit_length()) for _ in range(TRIES)):
                self.batcher.try_out(Call(rows[:count], b"", csv.MEDIA_TYPE, csv.MEDIA_TYPE), count)

    @cached_property
    def batcher(self) -> Batcher:
        """The queue in front of the model; its thread belongs to the process, so it is made after the fork."""
        settings = self.settings
        return Batcher(
            self.handler.predict,
            queue=settings.queue,
            batch_rows=settings.batch_rows,
            deadline=settings.deadline,
            pure=self.handler.pure is True,
        )

    @cached_property
    def description(self) -> Description:
        """What is told of the model; made once it is loaded."""
        return Description(self.handler.model, self.handler.schema)

    @cached_property
    def sessions(self) -> sessions.Sessions:
        """The stateful sessions, which all workers share."""
        folder = self.settings.session_folder
        return sessions.Sessions(
            Path(folder) if folder else runtime.folder() / "sessions", self.settings.session_lifetime
        )

    def answer(self, request: Invocation) -> Answer:
        """Answer a request.

        Raises:
            RequestError, RowError: it cannot be answered.
            Exception: whatever the model raised.

        """
        session = request.environ.get("HTTP_X_AMZN_SAGEMAKER_SESSION_ID")
        return Exchange(self, request).answer() if session is None else self._in_session(request, session)

    def _in_session(self, request: Invocation, session: str) -> Answer:
        """Open, use or close a stateful session."""
        if not self.settings.sessions:
            message = "stateful sessions are off; SAGEMAKER_ENABLE_STATEFUL_SESSIONS=true turns them on"
            raise RequestError(400, "sessions_off", message)
        wanted = sessions.request_type(request.whole(self.settings.max_payload))
        if wanted == sessions.CLOSE:
            self.sessions.close(session)
            return Answer(b"", "application/json", headers={sessions.CLOSED: session})
        if session != sessions.NEW:
            return Exchange(self, request).answer(session)
        session, told = self.sessions.open()
        answer = Answer(b"", "application/json") if wanted == sessions.NEW else Exchange(self, request).answer(session)
        answer.headers[sessions.OPENED] = told
        return answer

    def sample(self, request: Invocation) -> Any:
        """Return what the model predicts for the row of the sample request.

        Raises:
            RequestError, Exception: as `answer`.

        """
        assert self.handler.schema is not None
        records = score_table.decode(self.description.sample_request(), self.handler.schema)
        context = request.make_context(self.handler.properties) if self.handler.wants_context else None
        return self.predict(Call(records, b"", json.MEDIA_TYPE, json.MEDIA_TYPE, context), request.timings, None)

    def predict(self, call: Call, timings: Timings, within: float | None) -> Any:
        """Return the handler's result, once its turn has come, within some seconds; None is a whole deadline."""
        rows, layout = 1, None
        if call.records is not None:
            rows = len(call.records)
            layout = call.records.layout if self.handler.shares_calls and call.session is None else None
        try:
            return self.batcher.submit(call, rows, layout, timings, within)
        except MemoryError as error:
            if self._no_memory is None:
                raise
            raise self._no_memory() from error
