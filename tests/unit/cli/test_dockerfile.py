"""The Dockerfile that puts a user's code into the image, and what is read of a user's own."""

import subprocess
from pathlib import Path

import click
import pytest

from byoc_cli.docker.dockerfile import Code, as_script, generate, instructions, quoted, sets_command, stands_alone


def lines(folder: Path | None = None, **changes) -> list[str]:
    fields = {"entry_point": "handler.py", "method": "", "workers": None, "command": ["serve"], **changes}
    return generate("base:1", Code(folder, **fields)).splitlines()


def test_code_without_requirements(tmp_path):
    found = lines(tmp_path, method="Model.handle", workers=2, commit="abc", command=["python3", "serve"])
    assert [line for line in found if not line.startswith("#")] == [
        "FROM base:1",
        "COPY . /opt/program/code",
        'ENV BYOC_ENTRY_POINT="handler.py"',
        'ENV BYOC_ENTRY_POINT_METHOD="Model.handle"',
        'ENV MODEL_SERVER_WORKERS="2"',
        "RUN serve --check",
        'ENV BYOC_GIT_COMMIT="abc"',
        'CMD ["python3", "serve"]',
    ]


def test_without_code_there_is_nothing_to_copy():
    found = lines(entry_point="", workers=1)
    assert [line for line in found if not line.startswith("#")] == [
        "FROM base:1",
        'ENV MODEL_SERVER_WORKERS="1"',
        "RUN serve --check",
        'CMD ["serve"]',
    ]


@pytest.mark.parametrize(
    ("requirements", "mount"),
    [
        ("six==1.0\n", "source=requirements.txt,target=/opt/program/code/requirements.txt "),
        ("-r more.txt\n", "target=/opt/program/code,rw "),
    ],
)
def test_requirements_are_installed_before_the_code_is_copied(tmp_path, requirements, mount):
    (tmp_path / "requirements.txt").write_text(requirements)
    text = "\n".join(lines(tmp_path))
    assert f"--mount=type=bind,{mount}" in text
    assert text.index("pip install ") < text.index("COPY . ")


@pytest.mark.parametrize(
    ("requirements", "alone"),
    [
        ("", True),
        ("# nothing\n\nsix\n", True),
        ("scikit-learn[alldeps]>=1.5,<2 ; python_version > '3.10'\n", True),
        ("six==1.17.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n", True),
        ("--index-url https://packages.example/simple\nsix~=1.0\n", True),
        ("-r more.txt\n", False),
        ("-c pins.txt\n", False),
        ("-e .\n", False),
        ("./mine\n", False),
        ("mine-1.0-py3-none-any.whl\n", False),
        ("mine @ file:mine.zip\n", False),
        ("--find-links wheels\nmine\n", False),
        ("--constraint=pins.txt\n", False),
    ],
)
def test_whether_requirements_name_other_files(requirements, alone):
    assert stands_alone(requirements) is alone


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("handler.py", '"handler.py"'),
        ("my handler.py", '"my handler.py"'),
        ('a"b', r'"a\"b"'),
        ("a$HOME ${X}", r'"a\$HOME \${X}"'),
        ("a\\", r'"a\\"'),
        ("a;b && c | d `e` 'f' #g", "\"a;b && c | d `e` 'f' #g\""),
        ("überall.py", '"überall.py"'),
    ],
)
def test_an_env_word_means_itself(value, word):
    assert quoted(value) == word


@pytest.mark.parametrize("value", ["a\nRUN touch /owned", "a\rb", "a\0b", "a\x1b[2J", "a\u2028b"])
def test_what_no_dockerfile_can_hold_is_refused(value):
    with pytest.raises(click.ClickException, match="cannot be printed"):
        quoted(value)


def test_a_command_is_never_a_shells():
    assert (
        lines(command=["serve", '$(touch x) "y"', "a\nRUN z"])[-1] == r'CMD ["serve", "$(touch x) \"y\"", "a\nRUN z"]'
    )


@pytest.mark.parametrize(
    ("dockerfile", "sets"),
    [
        ("FROM debian\n", False),
        ("FROM debian\nCMD serve\n", True),
        ('from debian\n  cmd ["serve"]\n', True),
        ("FROM debian\nRUN echo \\\n  CMD serve\n", False),
        ("FROM debian\nRUN echo \\\n# CMD a\n  x\n", False),
        ("# escape=`\nFROM debian\nRUN echo `\nCMD x\n", False),
        ("# CMD serve\nFROM debian\n", False),
        ("FROM debian AS one\nCMD serve\nFROM debian\n", False),
        ("FROM debian AS one\nCMD serve\nFROM one\n", True),
        ("FROM debian AS One\nCMD serve\nFROM --platform=linux/amd64 one AS two\nFROM two\nRUN x\n", True),
        ("FROM debian\nRUN <<EOF\nCMD no\nEOF\n", False),
        ("FROM debian\nRUN <<-'EOF'\nCMD no\n\tEOF\nCMD yes\n", True),
        ("FROM debian\nHEALTHCHECK CMD curl localhost\n", False),
    ],
)
def test_whether_a_dockerfile_sets_its_own_command(dockerfile, sets):
    assert sets_command(dockerfile) is sets


def test_instructions_are_joined():
    text = "ARG A=1\nFROM x\nRUN a \\\n  b \\\n\n# c\n  d\nCOPY e f\n"
    assert list(instructions(text)) == [("ARG", "A=1"), ("FROM", "x"), ("RUN", "a b d"), ("COPY", "e f")]


def test_the_script_of_a_dry_run_writes_the_same_files(tmp_path):
    folder = tmp_path / "a b; c"
    files = {"Dockerfile": "ENV A=\"\\$x\" 'y' `z`\n", "Dockerfile.dockerignore": "**/.git\n"}
    subprocess.run(["bash", "-euc", as_script(str(folder), files)], check=True)
    assert {path.name: path.read_text() for path in folder.iterdir()} == files
