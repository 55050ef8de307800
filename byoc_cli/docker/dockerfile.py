"""Dockerfiles: the one that puts a user's code into the image, and what is read of a user's own."""

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

CODE = "/opt/program/code"
REQUIREMENTS = "requirements.txt"
# What no image wants, where the folder has no .dockerignore of its own.
IGNORED = "**/.git\n**/.venv\n**/venv\n**/__pycache__\n**/.ipynb_checkpoints\n"
# A line of requirements.txt that means the same without the folder's other files.
ALONE = re.compile(
    r"#.*|[A-Za-z0-9][\w.-]*\s*(?:\[[^]]*\])?\s*(?:[<>=!~;(\\].*)?"
    r"|--(?:hash|index-url|extra-index-url|trusted-host|pre|no-binary|only-binary|prefer-binary|require-hashes)\b.*"
)
ARCHIVE = (".whl", ".zip", ".tar.gz")
# The user's pins win. What was at odds before is not their fault; what they newly broke would fail on SageMaker.
INSTALL = f"""\
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,MOUNT set -eu; \\
    cd {CODE}; \\
    pip check >/tmp/before 2>&1 || true; \\
    pip install --disable-pip-version-check --root-user-action=ignore -r {REQUIREMENTS}; \\
    if ! pip check >/tmp/after 2>&1; then \\
        broken="$(grep -vxFf /tmp/before /tmp/after | tr '\\n' ' ')"; \\
        [ -z "$broken" ] || {{ echo "byoc: change the pins of {REQUIREMENTS}: $broken" >&2; exit 1; }}; \\
    fi; \\
    rm -f /tmp/before /tmp/after"""


@dataclass(frozen=True)
class Code:
    """What a user brings, and how it is to run.

    Attributes:
        folder: what is copied; None where there is no code, only a model.
        entry_point: the file in it.
        method: its method, `handle` or `Class.handle`; "" where it is found out.
        workers: how many processes predict; None leaves that to the server.
        command: what a container without a command runs.
        commit: the git commit of the folder; "" where it is in no repository.
    """

    folder: Path | None
    entry_point: str
    method: str
    workers: int | None
    command: Sequence[str]
    commit: str = ""


def generate(base: str, code: Code) -> str:
    """Return the Dockerfile that adds the code to the image `base`; its context is the code's folder."""
    lines = ["# Made by `byoc docker build`.", f"FROM {base}"]
    environ = {}
    if code.folder is not None:
        requirements = code.folder / REQUIREMENTS
        if requirements.is_file():
            text = requirements.read_text(encoding="utf-8", errors="replace")
            alone = f"source={REQUIREMENTS},target={CODE}/{REQUIREMENTS}"
            mount = alone if stands_alone(text) else f"target={CODE},rw"
            lines.append(INSTALL.replace("MOUNT", mount))
        lines.append(f"COPY . {CODE}")
        environ = {"BYOC_ENTRY_POINT": code.entry_point, "BYOC_ENTRY_POINT_METHOD": code.method}
    if code.workers is not None:
        environ["MODEL_SERVER_WORKERS"] = str(code.workers)
    lines += [f"ENV {name}={quoted(value)}" for name, value in environ.items() if value]
    lines.append("# The file is imported once here: a mistake fails the build, not SageMaker.\nRUN serve --check")
    if code.commit:
        lines.append(f"ENV BYOC_GIT_COMMIT={quoted(code.commit)}")
    lines.append(f"CMD {json.dumps(list(code.command))}")
    return "\n".join(lines) + "\n"


def stands_alone(requirements: str) -> bool:
    """Whether requirements.txt names no other file of its folder, so that only its own change installs again."""
    lines = [line.strip() for line in requirements.splitlines() if line.strip()]
    return all(ALONE.fullmatch(line) and not line.lower().endswith(ARCHIVE) for line in lines)


def quoted(value: str) -> str:
    r"""Return the value as a word of an ENV line, in which neither `"`, `\` nor `$` means anything.

    Raises:
        click.ClickException: it has a line's end or another control character, which no Dockerfile can hold.
    """
    if not value.isprintable():
        raise click.ClickException(f"{value!r} has characters that cannot be printed; rename it")
    return '"' + re.sub(r'(["\\$])', r"\\\1", value) + '"'


def sets_command(dockerfile: str) -> bool:
    """Whether the image that a Dockerfile makes has a CMD by its own words, not by those of what it is FROM."""
    stages: dict[str, bool] = {}
    current, name = False, ""
    for number, (keyword, arguments) in enumerate(instructions(dockerfile)):
        if keyword == "FROM":
            words = [word for word in arguments.split() if not word.startswith("--")]
            current = stages.get(words[0].lower(), False) if words else False
            name = words[2].lower() if len(words) > 2 and words[1].upper() == "AS" else f"stage {number}"  # noqa: PLR2004
        elif keyword == "CMD":
            current = True
        stages[name] = current
    return current


def instructions(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Every (KEYWORD, arguments) of a Dockerfile, continued lines joined, comments and here-documents left out."""
    escape = "`" if re.match(r"(?:\s*#.*\n)*\s*#\s*escape\s*=\s*`", dockerfile, re.IGNORECASE) else "\\"
    lines = iter(dockerfile.splitlines())
    for first in lines:
        line = first.strip()
        if not line or line.startswith("#"):
            continue
        while line.endswith(escape):
            line = line[:-1] + next(
                (each.strip() for each in lines if not each.lstrip().startswith("#") and each.strip()), ""
            )
        keyword, _, arguments = line.partition(" ")
        for word in (
            re.findall(r"<<-?[\"']?(\w+)[\"']?", arguments) if keyword.upper() in {"RUN", "COPY", "ADD"} else ()
        ):
            next((each for each in lines if each.strip() == word), None)
        yield keyword.upper(), arguments.strip()


def as_script(folder: str, files: dict[str, str]) -> str:
    """Return the shell commands that write the files, as one would type them."""
    lines = [f"mkdir -p {shlex.quote(folder)}"]
    for name, text in files.items():
        lines += [f"cat >{shlex.quote(f'{folder}/{name}')} <<'END_OF_FILE'", text + "END_OF_FILE"]
    return "\n".join(lines)
