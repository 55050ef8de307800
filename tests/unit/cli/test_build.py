"""`byoc docker build`: what it takes, what it refuses, and what it runs."""

import json
import subprocess

import click
import pytest
from click.testing import CliRunner

from byoc_cli.docker import build, docker
from byoc_cli.docker.reference import IMAGE, PULLED
from byoc_cli.repository import repository_root

DESCRIPTION = {
    "entry_point": "handler.py",
    "convention": "functions",
    "found": ["model_fn", "predict_fn"],
    "bidirectional_streaming": False,
    "trains": False,
}
# Answers as a client of 20.10 does; keeps the Dockerfile it is given beside it.
CLIENT = """
[ "$1" = --version ] && echo "Docker version 20.10.24" && exit 0
[ "$1" = buildx ] && exit 1
if [ "$1 $2" = "image inspect" ]; then
    case $3 in --format) echo 471000000;; *) cat "$0.$3" 2>/dev/null || echo '[{{"Config": {{}}}}]';; esac
    exit 0
fi
if [ "$1" = build ] && [ "$2" != --help ]; then
    [ "$DOCKER_BUILDKIT" = 1 ] || exit 9
    for word; do case $word in */Dockerfile) cp "$word" "$0.Dockerfile"; cp "$word.dockerignore" "$0.dockerignore" 2>/dev/null;; esac; done
    [ -e "$0.fails" ] && cat "$0.fails" && exit 1
fi
[ "$1" = run ] && echo noise && echo '{description}'
exit 0
"""


@pytest.fixture
def client(programs):
    programs("git", "exit 128")
    return programs("docker", CLIENT.format(description=json.dumps(DESCRIPTION)))


@pytest.fixture
def handler(tmp_path):
    folder = tmp_path / "my code"
    folder.mkdir()
    (folder / "handler.py").write_text("")
    return folder / "handler.py"


def run(*arguments):
    return CliRunner().invoke(docker, ["build", *map(str, arguments)])


def builds(calls):
    return [call for call in calls() if call.startswith("docker build ") and "--help" not in call]


def test_builds_the_runtime_then_the_code_on_it(client, calls, handler):
    done = run("-i", "churn:1", "-e", handler, "-w", "2", "-em", "Model.handle")
    assert done.exit_code == 0, done.output
    first, second = builds(calls)
    runtime = first.split("--tag ")[1].split()[0]
    flags = "docker build --platform linux/amd64 --progress plain --tag"
    assert first == f"{flags} {runtime} --build-arg BASE_IMAGE=debian:trixie-slim {repository_root()}/container"
    assert second.startswith(f"{flags} churn:1 --file /")
    assert second.endswith(f" {handler.parent}")
    made = client.with_name("docker.Dockerfile").read_text()
    assert made.splitlines()[1] == f"FROM {runtime}"
    assert 'ENV MODEL_SERVER_WORKERS="2"' in made
    assert 'ENV BYOC_ENTRY_POINT_METHOD="Model.handle"' in made


def test_says_what_it_found_and_what_to_type_next(client, handler):
    done = run("-i", "churn", "-e", handler)
    assert done.output.endswith(
        "Image churn: 471 MB, functions model_fn, predict_fn in handler.py\n"
        "Next:\n"
        "  byoc docker run-local -i churn -m MODEL_DIR\n"
        "  byoc docker invoke-local -b '{\"instances\": [[1.0, 2.0]]}'\n"
        "  byoc docker push -i churn\n"
    )


def test_a_handler_that_converses_gets_the_label(programs, calls, handler):
    programs("git", "exit 128")
    programs("docker", CLIENT.format(description=json.dumps({**DESCRIPTION, "bidirectional_streaming": True})))
    assert run("-i", "churn", "-e", handler).exit_code == 0
    label = "--label com.amazonaws.sagemaker.capabilities.bidirectional-streaming=true "
    assert [label in call for call in builds(calls)] == [False, False, True]


def test_the_same_base_and_extras_have_the_same_runtime(client, calls, handler):
    for extras in ([], ["--extra", "parquet"], ["--extra", " parquet,parquet "], []):
        run("-i", "churn", "-e", handler, *extras)
    names = [call.split("--tag ")[1].split()[0] for call in builds(calls)[::2]]
    assert names[0] == names[3] != names[1] == names[2]
    assert "--build-arg EXTRAS=parquet " in builds(calls)[2]


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ([], True),
        (["--use-shell"], True),
        (["-u"], True),
        (["-u", "true"], True),
        (["--use-shell", "false"], False),
        (["--use-shell=false"], False),
        (["--no-use-shell"], False),
    ],
)
def test_the_whole_output_or_only_progress(client, handler, arguments, whole):
    client.with_name("docker.fails").write_text("#1 one\n#2 0.1 two\n#3 0.2 byoc: three\nexit code: 1\n")
    done = run("-i", "churn", *arguments, "-e", handler)
    assert done.exit_code == 1
    assert ("#3 0.2 byoc: three" in done.output) is whole
    assert "two" in done.output
    assert done.output.splitlines()[-1] == "Error: the runtime on debian:trixie-slim isn't built: three"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["-i", "Churn"], "'Churn' cannot name an image"),
        (["-i", "--privileged"], "cannot name an image"),
        (["-i", "churn;ls"], "cannot name an image"),
        (["-i", "a", "-e", "nosuch.py"], "'nosuch.py' does not exist"),
        (["-i", "a", "-e", __file__.removesuffix("test_build.py")], "is a directory"),
        (["-i", "a", "-e", repository_root() / "README.md"], "is not a .py file"),
        (["-i", "a", "-em", "handle"], "add -e FILE.py"),
        (["-i", "a", "-e", __file__, "-em", "a.b.c"], "'a.b.c' is no method"),
        (["-i", "a", "-e", __file__, "-em", "a;b"], "'a;b' is no method"),
        (["-i", "a", "-e", __file__, "-em", "a\nRUN b"], "is no method"),
        (["-i", "a", "-w", "0"], "0 is not in the range x>=1"),
        (["-i", "a", "-c", ""], "name a command"),
        (["-i", "a", "-c", "'serve"], "No closing quotation"),
        (["-i", "a", "--extra", "nosuch"], "there is no extra 'nosuch'; there are: "),
        (["-i", "a", "--extra", "../parquet"], "there is no extra"),
        (["-i", "a", "--platform", "--x"], "is no platform"),
        (["-i", "a", "--base-image", "--x"], "cannot name an image"),
        (["-i", "a", "--base-image", "a b"], "cannot name an image"),
        (["-i", "a", "--base-image", "b", "-d", __file__], "leave --base-image out"),
        (["-i", "a", "-u", "perhaps"], "is not a valid boolean"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(client, calls, arguments, problem):
    done = run(*arguments)
    assert done.exit_code != 0
    assert problem in done.output.splitlines()[-1]
    assert not calls()


def test_a_home_folder_is_not_copied(client, monkeypatch, handler):
    monkeypatch.setenv("HOME", str(handler.parent))
    assert "all of " in run("-i", "a", "-e", handler).output


@pytest.mark.parametrize("own", [True, False])
def test_what_no_image_wants_is_left_out_unless_the_folder_says_so_itself(client, handler, own):
    if own:
        (handler.parent / ".dockerignore").write_text("x\n")
    run("-i", "churn", "-e", handler)
    assert client.with_name("docker.dockerignore").exists() is not own


def test_a_dockerfile_is_the_base_and_keeps_its_command_and_labels(client, calls, handler, monkeypatch):
    monkeypatch.setenv("HOME", str(handler.parent.parent))
    dockerfile = handler.with_name("Dockerfile")
    dockerfile.write_text('FROM debian\nLABEL maintainer="me"\nCMD ["train"]\n')
    theirs = {"Config": {"Cmd": ["train"], "Labels": {"maintainer": "me", "title": "a\nb", "same": "1"}}}
    ours = {"Config": {"Cmd": ["train"], "Labels": {"maintainer": "me", "title": "byoc", "same": "1"}}}
    run("-i", "churn", "-e", handler, "-d", dockerfile, "--dry-run")
    base, runtime = (call.split("--tag ")[1].split()[0] for call in run_dry(handler, dockerfile))
    client.with_name(f"docker.{base}").write_text(json.dumps([theirs]))
    client.with_name(f"docker.{runtime}").write_text(json.dumps([ours]))
    assert run("-i", "churn", "-e", handler, "-d", dockerfile).exit_code == 0
    text = "\n".join(calls())
    assert f"--tag {base} --file {dockerfile} {dockerfile.parent}" in text
    assert f"BASE_IMAGE={base} " in text
    assert "--label title=a\nb --file" in text
    assert "--label same" not in text
    assert "--secret" not in text
    assert client.with_name("docker.Dockerfile").read_text().splitlines()[-1] == 'CMD ["train"]'
    run("-i", "churn", "-e", handler, "-d", dockerfile, "-c", "serve")
    assert client.with_name("docker.Dockerfile").read_text().splitlines()[-1] == 'CMD ["serve"]'


def run_dry(handler, dockerfile):
    lines = run("-i", "churn", "-e", handler, "-d", dockerfile, "--dry-run").output.splitlines()
    return [line for line in lines if line.startswith("DOCKER_BUILDKIT=1 ")][:2]


def test_a_dockerfile_may_ask_for_the_aws_credentials(client, calls, handler, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").touch()
    dockerfile = handler.with_name("Dockerfile")
    dockerfile.write_text("FROM debian\n")
    run("-i", "churn", "-e", handler, "-d", dockerfile)
    secret = f"--secret id=aws,src={tmp_path}/.aws/credentials "
    assert [secret in call for call in builds(calls)] == [True, False, False]


def test_the_commit_of_the_code_is_in_the_image(programs, client, calls, handler):
    programs("git", 'case $* in *rev-parse*) echo abc123;; *status*) echo " M handler.py";; esac')
    run("-i", "churn", "-e", handler)
    assert "--label org.opencontainers.image.revision=abc123-dirty " in builds(calls)[1]
    assert 'ENV BYOC_GIT_COMMIT="abc123-dirty"' in client.with_name("docker.Dockerfile").read_text()


def test_what_a_dry_run_prints_does_the_same_when_pasted(client, calls, handler, tmp_path):
    odd = handler.with_name('it\'s; $(touch owned) "x".py')
    odd.write_text("")
    planned = run("-i", "churn", "-e", odd, "--dry-run", "-c", "serve '$(touch owned)'")
    assert planned.exit_code == 0, planned.output
    assert not builds(calls)
    subprocess.run(["bash", "-euc", planned.output], check=True, cwd=tmp_path, capture_output=True)
    pasted = client.with_name("docker.Dockerfile").read_text()
    done = run("-i", "churn", "-e", odd, "-c", "serve '$(touch owned)'")
    assert done.exit_code == 0, done.output
    assert client.with_name("docker.Dockerfile").read_text() == pasted
    assert builds(calls)[0] == builds(calls)[2]
    assert not (tmp_path / "owned").exists()
    assert not handler.with_name("owned").exists()


def test_buildx_makes_one_image_of_dockers_own_type(programs, calls, handler):
    programs("git", "exit 128")
    body = CLIENT.replace('[ "$1" = buildx ] && exit 1', '[ "$1" = buildx ] && exit 0')
    body = body.replace('[ "$DOCKER_BUILDKIT" = 1 ] || exit 9', "")
    flags = '[ "$1 $2" = "build --help" ] && echo "--platform --provenance --sbom"\n'
    programs("docker", flags + body.format(description=json.dumps(DESCRIPTION)))
    assert run("-i", "churn", "-e", handler).exit_code == 0
    wanted = "--platform linux/amd64 --progress plain --provenance=false --sbom=false --output type=docker --tag"
    assert all(call.startswith(f"docker build {wanted} ") for call in builds(calls))


@pytest.mark.parametrize("entry_point", [None, '["python3", "app.py"]'])
def test_an_image_that_does_not_serve_says_why(programs, handler, entry_point):
    programs("git", "exit 128")
    body = CLIENT.format(description="oh no").replace(
        "echo noise && echo 'oh no'", "{ echo 'app.py: no such word' >&2; exit 2; }"
    )
    body = body.replace('{"Config": {}}', f'{{"Config": {{"Entrypoint": {entry_point or "null"}}}}}')
    programs("docker", body)
    done = run("-i", "churn", "-e", handler)
    assert done.exit_code == 1
    last = done.output.splitlines()[-1]
    assert last.startswith("Error: churn was built, yet does not run `serve`: app.py: no such word")
    assert ('; its ENTRYPOINT is ["python3", "app.py"], which must run' in last) is bool(entry_point)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("churn", True),
        ("models/churn-v2:1.4_X", True),
        ("localhost:5000/a/b:c", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/churn:1", True),
        ("", False),
        ("churn:", False),
        ("churn:-1", False),
        ("a..b", False),
        ("a b", False),
        ("a\n", False),
        ("-a", False),
        ("a@sha256:" + "0" * 64, False),
        ("chürn", False),
    ],
)
def test_names_of_images(name, fits):
    assert bool(IMAGE.fullmatch(name)) is fits


def test_a_base_may_be_named_by_its_digest():
    assert PULLED.fullmatch("debian:trixie-slim@sha256:" + "0" * 64)


def test_an_entry_points_name_can_be_printed(tmp_path):
    with pytest.raises(click.BadParameter, match=r"is not a \.py file"):
        build.code_folder(tmp_path / "a\nb.py")
