"""The command `serve`: reads its arguments and the environment, and tells what is wrong with them."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from byoc import logs
from byoc.entry import EntryPoint
from byoc.errors import ConfigurationError, UserError
from byoc.serving import nginx
from byoc.serving.settings import Settings
from byoc.serving.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("byoc.serve")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command `serve`; return its exit code."""
    options = _parse(argv)
    logs.setup(logging.INFO)
    try:
        settings = Settings.from_environ(os.environ)
        logging.getLogger().setLevel(settings.log_level)
        if settings.multi_model and nginx.find() is None:
            raise ConfigurationError(["SAGEMAKER_MULTI_MODEL=true needs nginx, which is not installed"])
        if settings.use_nginx and nginx.find() is None:
            log.warning("nginx is not installed: gunicorn serves alone, without nginx's protection from slow clients")
            settings = replace(settings, use_nginx=False)
        if options.show_config:
            template = nginx.TEMPLATE.read_text(encoding="utf-8")
            sys.stdout.write(nginx.fill_in(template, settings, Path("/tmp/byoc")))  # noqa: S108 - only to be read
            return 0
        if options.describe:
            return _describe()
        return _check(settings, options.bidirectional_streaming) if options.check else Supervisor(settings).run()
    except ConfigurationError as error:
        for problem in error.problems:
            log.error("%s", problem)  # noqa: TRY400 - a user's mistake needs no traceback
        log.error("stopped: the environment has %d mistakes, see above", len(error.problems))  # noqa: TRY400
        return 2
    except (UserError, OSError) as error:
        log.error("stopped: %s", error)  # noqa: TRY400
        return 1


def _check(settings: Settings, bidirectional_streaming: str) -> int:
    """Check what can be checked without a model: the program, gunicorn's settings, nginx's configuration."""
    from byoc.serving import conventions  # noqa: PLC0415 - only --check pays for the import

    handler = conventions.load()
    file = EntryPoint.from_environ(os.environ).file.name
    if bidirectional_streaming == "true" and handler.converse_fn is None:
        raise UserError(
            f"the image's label says that it offers bidirectional streaming, but {file} defines no converse_fn; "
            "write converse_fn(messages, model), or build with BIDIRECTIONAL_STREAMING=false"
        )
    with tempfile.TemporaryDirectory(prefix="byoc-") as folder:
        if settings.use_nginx:
            nginx.configure(settings, Path(folder))
    log.info("%s can be imported (%s %s), nginx.conf is valid", file, handler.convention, ", ".join(handler.names))
    return 0


def _describe() -> int:
    """Print, as JSON, what the handler is."""
    from byoc.serving import conventions  # noqa: PLC0415 - as above

    entry = EntryPoint.from_environ(os.environ)
    handler = conventions.load()
    told = {
        "entry_point": entry.file.name,
        "convention": handler.convention,
        "found": list(handler.names),
        "bidirectional_streaming": handler.converse_fn is not None,
        "trains": (entry.file.parent / "train").is_file() or callable(getattr(entry.load(), "fit", None)),
    }
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="serve",
        description="Serve the model in /opt/ml/model on port 8080: /ping and /invocations.",
        epilog="Set by the environment: MODEL_SERVER_WORKERS, MODEL_SERVER_TIMEOUT, SAGEMAKER_BIND_TO_PORT, "
        "SAGEMAKER_MAX_PAYLOAD_IN_MB, SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT, SAGEMAKER_INFERENCE_OUTPUT, "
        "SAGEMAKER_CONTAINER_LOG_LEVEL, SAGEMAKER_BASE_DIR and more: README.md has the table.",
    )
    # SageMaker's word arrives here when the image is given an entry point of its own: `python3 serve serve`.
    parser.add_argument("word", nargs="?", choices=["serve"], help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="check the program and its configuration, then exit")
    parser.add_argument(
        "--bidirectional-streaming",
        choices=["true", "false"],
        default="false",
        help="what the image's label of that name says; --check compares predictor.py with it",
    )
    parser.add_argument("--describe", action="store_true", help="print what the handler is, as JSON, then exit")
    parser.add_argument("--show-config", action="store_true", help="print nginx's configuration, then exit")
    return parser.parse_args(argv)
