"""What SageMaker tells a job, read as it should be, or as FAULTS says."""

import json
import socket
import time
from pathlib import Path
from typing import Any

from algorithm import FAULTS, ML

DEFAULTS = {"epochs": 10, "rounded": False}
CHECKPOINTS = ML / "checkpoints"


def config(name: str) -> dict[str, Any]:
    """Return a file of input/config, {} where there is none."""
    file = ML / f"input/config/{name}.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def hyperparameters() -> dict[str, Any]:
    """Return the hyperparameters by their types."""
    given = config("hyperparameters")
    if "needs a hyperparameter" in FAULTS and not given:
        raise KeyError("epochs")
    if "takes reserved names" in FAULTS:
        [int(text) for name, text in given.items() if name.startswith("sagemaker_")]
    own = {name: text for name, text in given.items() if not name.startswith(("sagemaker_", "_tuning"))}
    unknown = sorted(own.keys() - DEFAULTS.keys())
    if unknown and "drops unknown hyperparameters" not in FAULTS:
        raise ValueError(f"there is no hyperparameter {', '.join(unknown)}; there are {', '.join(DEFAULTS)}")
    if "takes text as it is" in FAULTS:
        return {**DEFAULTS, **own}
    return {name: decode(own[name], default) if name in own else default for name, default in DEFAULTS.items()}


def decode(text: str, default: Any) -> Any:
    """Return a hyperparameter's value by the type of its default."""
    if "knows one spelling" in FAULTS:
        return json.loads(text)
    word = text.strip('"').lower()
    return word == "true" if isinstance(default, bool) else int(float(word))


def hosts() -> tuple[str, list[str]]:
    """Return this host's name and all of them."""
    resources = config("resourceconfig")
    if "takes topology for granted" in FAULTS and "topology" in resources:
        [zone["name"] for zone in resources["topology"]["zones"]]
    if "needs resourceconfig.json" in FAULTS:
        return resources["current_host"], resources["hosts"]
    current = resources.get("current_host", "algo-1")
    return current, resources.get("hosts", [current])


def find(host: str) -> None:
    """Wait until DNS knows a host, a minute at most."""
    end = time.monotonic() + (0 if "does not wait for its peers" in FAULTS else 60)
    while True:
        try:
            socket.gethostbyname(host)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
        else:
            return


def channel(name: str) -> str:
    """Return the text of a channel: all of its CSV files, or the first epoch of its pipe."""
    entry = config("inputdataconfig").get(name, {})
    if "needs a ContentType" in FAULTS and name == "training":
        entry["ContentType"]
    media_type = entry.get("ContentType", "text/csv")
    if "compares content types" not in FAULTS:
        media_type = media_type.partition(";")[0].lower()
    if media_type != "text/csv":
        raise ValueError(f"channel {name} is {media_type}, not text/csv")
    if entry.get("TrainingInputMode") == "Pipe":
        return pipe(ML / f"input/data/{name}_0")
    return files(ML / f"input/data/{name}", entry.get("TrainingInputMode", "File"))


def pipe(path: Path) -> str:
    """Return what comes through a pipe, once it is there."""
    while not path.exists() and "opens pipes at once" not in FAULTS:
        time.sleep(0.1)
    return path.read_text()


def files(folder: Path, mode: str) -> str:
    """Return the text of all CSV files of a folder."""
    if "writes to the channel" in FAULTS and mode == "FastFile":
        (folder / "cache").write_text("")
    if "lists the data folder" in FAULTS:
        [list(path.iterdir()) for path in folder.parent.iterdir()]
    found = [path for path in sorted(folder.rglob("*.csv")) if not path.parent.name.startswith(".")]
    if "reads one folder" in FAULTS:
        found = sorted(folder.glob("*.csv"))
    if "joins what it finds" in FAULTS and folder.is_dir() and not found:
        raise ValueError("No objects to concatenate")
    text = "".join(path.read_text() for path in found)
    if not text:
        name = "it" if "names no channel" in FAULTS else f"channel {folder.name}"
        raise FileNotFoundError(f"{name} has no CSV file with rows")
    return text
