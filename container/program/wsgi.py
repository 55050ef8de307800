"""Leave this alone: what gunicorn serves. `flask --app wsgi run` serves it for development.

A model that cannot be loaded ends the server with one line that says why.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from byoc.entry import EntryPoint
from byoc.errors import UserError
from byoc.serving import conventions, runtime
from byoc.serving.invocations import Invocations
from byoc.serving.service import Service
from byoc.serving.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

try:
    service = Service(Settings.from_environ(os.environ), conventions.load)
    # Before the fork, so that the workers share it; what may not be shared is imported, and loaded, by each of them.
    if EntryPoint.from_environ(os.environ).is_shared and service.handler.is_fork_safe(service.settings.model_dir):
        service.load_to_share()
except UserError as error:
    logging.getLogger("byoc").error("%s", error)  # noqa: TRY400 - a user's mistake needs no traceback
    runtime.tell_reason(str(error))
    sys.exit(runtime.CANNOT_LOAD)


def create_app() -> Flask:
    """Return the app of all routes."""
    from byoc.serving import app as routes  # noqa: PLC0415 - POST /invocations does without Flask

    return routes.create_app(service)


app = Invocations(service, create_app)
