"""Does what a request's first word says, most of it wrong; the rest of the request is the word's argument."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

MEMORY = "Failed to allocate 8 GiB of Memory"


def handle(data, context):
    """Answer one request."""
    if data is None:
        print("loaded once in", os.getpid())
        if Path(context.system_properties["model_dir"], "too_large").exists():
            raise RuntimeError(MEMORY)
        return None
    word, _, argument = data[0]["body"].decode().partition(" ")
    return ACTIONS[word](argument, context)


def leak(argument, _context):
    """Leave threads behind that never end."""
    for _ in range(int(argument)):
        threading.Thread(target=time.sleep, args=(3600,)).start()
    return [str(threading.active_count())]


def say(argument, context):
    """Answer, with what the request said of itself."""
    context.set_response_header(0, "X-Seen", context.custom_attributes)
    context.set_http_response_status(203)
    return [f"{argument} {context.inference_id} {os.getpid()}"]


ACTIONS = {
    "say": say,
    "pid": lambda _argument, _context: [str(os.getpid())],
    "where": lambda _argument, _context: [str(Path.cwd())],
    "chdir": lambda argument, _context: os.chdir(argument) or ["gone"],
    "many": lambda argument, _context: [argument] * 3,
    "few": lambda _argument, _context: [],
    "object": lambda _argument, _context: [object()],
    "print": lambda argument, _context: [print(argument * 1000) or "printed"],
    "exit": lambda argument, _context: sys.exit(argument),
    "raise": lambda argument, _context: 1 / 0,
    "no_memory": lambda _argument, _context: raising(RuntimeError(MEMORY)),
    "leak": leak,
    "kill": lambda _argument, _context: os.kill(os.getpid(), signal.SIGKILL),
    "json": lambda argument, _context: [{"argument": argument}],
}


def raising(error):
    """Raise it."""
    raise error
