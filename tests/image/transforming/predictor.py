"""A model that answers each line with itself in capitals, unless the line says otherwise."""

import json
import os
import time
from pathlib import Path

FOLDER = Path("/tmp/transforming")


def model_fn(model_dir):
    FOLDER.mkdir(exist_ok=True)


def transform_fn(model, body, content_type, accept, context):
    lines = body.decode().splitlines()
    answers = [_answer(line, context) for line in lines]
    if context.status != 200:
        return "a word that is refused\n", "text/plain"
    if "one answer" in lines:
        return "one\n", accept
    return "".join(f"{each}\n" for each in answers), accept


def _answer(line, context):
    word, _, rest = line.partition(" ")
    if word == "fail":
        # As often as it says, and then no more; each attempt leaves a mark.
        mark = FOLDER / f"{rest.replace(' ', '-')}"
        count = len(mark.read_text()) if mark.exists() else 0
        mark.write_text("x" * (count + 1))
        if count < int(rest.split()[0]):
            raise RuntimeError("not this time")
        return f"TRIED {count + 1}"
    if word == "refuse":
        context.status = 400
    if word == "meet":
        # Two requests have to be there at the same time.
        (FOLDER / f"meet-{rest}").touch()
        end = time.monotonic() + 20
        while len(list(FOLDER.glob("meet-*"))) < 2:
            if time.monotonic() > end:
                raise RuntimeError("nobody else came")
            time.sleep(0.02)
    if word == "sleep":
        time.sleep(float(rest))
    if word == "environment":
        return json.dumps({name: value for name, value in sorted(os.environ.items()) if name.startswith("SAGEMAKER_")})
    return line.upper()
