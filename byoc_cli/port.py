"""A port of this machine: whether it is free, and what a server on it says to /ping."""

import errno
import socket
import urllib.error
import urllib.request

HOST = "127.0.0.1"
TRIED = 100


def ping(url: str) -> str:
    """Return the status of the answer, or `nothing`. No proxy: the server is on this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return "nothing"


def is_taken(port: int) -> bool:
    """Whether something listens on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return False


def another(port: int) -> int:
    """Return a free port near a taken one."""
    return next((each for each in range(port + 1, min(port + TRIED, 65536)) if not is_taken(each)), 0)
