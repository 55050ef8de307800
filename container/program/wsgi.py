"""Leave this alone: the app that gunicorn serves. `flask --app wsgi run` serves it for development.

A model that cannot be loaded ends the server with one line that says why.
"""

from __future__ import annotations

import logging
import os
import sys

from byoc.errors import UserError
from byoc.serving import runtime
from byoc.serving.app import create_app
from byoc.serving.handler import Handler, load_module
from byoc.serving.settings import Settings

try:
    app = create_app(Settings.from_environ(os.environ), Handler.from_module(load_module()))
except UserError as error:
    logging.getLogger("byoc").error("%s", error)  # noqa: TRY400 - a user's mistake needs no traceback
    runtime.tell_reason(str(error))
    sys.exit(runtime.CANNOT_LOAD)
