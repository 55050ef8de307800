"""build_and_push.sh, run for real: the Docker engine builds and pushes, ecr.py is the cloud."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.session import Session
from moto.server import ThreadedMotoServer

from tests.image import ecr

if TYPE_CHECKING:
    from collections.abc import Iterator

Done = subprocess.CompletedProcess[str]

DOCKERFILE = """\
ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE}
ARG GIT_COMMIT=unknown
LABEL revision=${GIT_COMMIT}
COPY program /program
"""
TOOLS = ("bash", "cat", "dirname", "env", "git", "grep", "sed")
NO_DAEMON: dict[str, str | None] = {"DOCKER_HOST": "unix:///nonexistent.sock"}
NO_KEYS: dict[str, str | None] = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ecr.Registry]:
    with ecr.running_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@dataclass
class Checkout:
    """A git checkout with the script and an image of one file, and the environment to run the script in."""

    folder: Path
    environment: dict[str, str]
    name: str

    def run(self, *arguments: str, **changes: str | None) -> Done:
        """Run the script; `changes` are variables to set, or to unset when None."""
        return self.bash('"$@"', str(self.folder / "build_and_push.sh"), *arguments, **changes)

    def source(self, code: str, **changes: str | None) -> Done:
        """Run code that stands on the script's functions."""
        return self.bash(f'source "$1"\n{code}', str(self.folder / "build_and_push.sh"), **changes)

    def bash(self, code: str, *arguments: str, **changes: str | None) -> Done:
        """Run code in another folder than the checkout, as the script must not mind."""
        environment = {key: value for key, value in {**self.environment, **changes}.items() if value is not None}
        command = [shutil.which("bash") or "bash", "-c", code, "bash", *arguments]
        return subprocess.run(
            command, env=environment, cwd=self.folder.parent, capture_output=True, text=True, check=False
        )

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def offline(tmp_path: Path) -> Checkout:
    """Give a checkout in an environment without cloud and without keys."""
    ecr.need_tool("aws")
    ecr.need_tool("docker")
    folder, home = tmp_path / "check out", tmp_path / "home"
    (folder / "container").mkdir(parents=True)
    home.mkdir()
    shutil.copy2(ecr.ROOT / "build_and_push.sh", folder)
    (folder / "container/Dockerfile").write_text(DOCKERFILE)
    (folder / "container/program").write_text(uuid.uuid4().hex)  # an image like no other
    mine = ("AWS_", "DOCKER_CONFIG", "BASE_IMAGE", "ECR_REGISTRY", "GIT_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(mine)}
    environment |= {"PATH": ecr.PATH, "HOME": str(home), "DOCKER_CONFIG": str(home), "GIT_CONFIG_GLOBAL": os.devnull}
    environment |= {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    checkout = Checkout(folder, environment, f"byoc-test/{uuid.uuid4().hex}")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        checkout.git(*arguments)
    return checkout


@pytest.fixture
def checkout(offline: Checkout, endpoint: str, registry: ecr.Registry) -> Iterator[Checkout]:
    """Give a checkout with the cloud within reach; remove the images it tags."""
    offline.environment |= {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": ecr.REGION, "ECR_REGISTRY": registry.host}
    offline.environment |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    engine = offline.bash("docker version")
    if engine.returncode != 0:
        ecr.unavailable(f"no Docker engine: {engine.stderr.strip()}")
    yield offline
    images = f'docker image ls -q --filter "reference=*/{offline.name}"'
    offline.bash(f"{images} | sort -u | xargs -r docker image rm -f")


@pytest.mark.docker
def test_pushes_one_image_under_every_tag_and_prints_its_addresses(
    checkout: Checkout, registry: ecr.Registry, endpoint: str
) -> None:
    done = checkout.run(f"{checkout.name}:1.0")
    assert done.returncode == 0, done.stderr
    assert ecr.scans_on_push(endpoint, checkout.name) is True
    commit = checkout.git("rev-parse", "HEAD")
    assert registry.tags(checkout.name) == {"1.0", commit[:12], "latest"}
    (manifest,) = {registry.manifest(checkout.name, tag) for tag in registry.tags(checkout.name)}
    media_type, digest = manifest
    assert media_type == ecr.DOCKER_V2
    uri = f"{registry.host}/{checkout.name}"
    assert f"{uri}:1.0\n" in done.stdout
    assert f"{uri}@{digest} " in done.stdout
    shown = checkout.bash('docker image inspect --format "{{.Os}}/{{.Architecture}} {{.Config.Labels.revision}}" "$1"',
                          f"{uri}:latest")  # fmt: skip
    assert shown.stdout.strip() == f"linux/amd64 {commit}"
    assert "auth-token" not in done.stdout + done.stderr  # how moto's passwords end


@pytest.mark.docker
def test_pushes_again_and_marks_what_is_not_committed(checkout: Checkout, registry: ecr.Registry) -> None:
    assert checkout.run(checkout.name).returncode == 0
    first = registry.manifest(checkout.name, "latest")
    (checkout.folder / "container/program").write_text("changed")
    done = checkout.run(checkout.name)
    assert done.returncode == 0, done.stderr
    assert f"repository {checkout.name} exists" in done.stderr
    commit = checkout.git("rev-parse", "HEAD")[:12]
    assert registry.tags(checkout.name) == {commit, f"{commit}-dirty", "latest"}
    assert registry.manifest(checkout.name, commit) == first
    assert registry.manifest(checkout.name, "latest") == registry.manifest(checkout.name, f"{commit}-dirty") != first


@pytest.mark.docker
def test_what_a_dry_run_prints_does_the_same_when_pasted(
    checkout: Checkout, registry: ecr.Registry, endpoint: str
) -> None:
    planned = checkout.run("--dry-run", f"{checkout.name}:1.0")
    assert planned.returncode == 0, planned.stderr
    assert ecr.scans_on_push(endpoint, checkout.name) is None
    assert registry.tags(checkout.name) == set()
    assert checkout.bash('docker image ls -q "$1"', f"{registry.host}/{checkout.name}").stdout == ""
    pasted = checkout.bash(f"set -euo pipefail\n{planned.stdout}")
    assert pasted.returncode == 0, pasted.stderr
    assert ecr.scans_on_push(endpoint, checkout.name) is True
    assert registry.tags(checkout.name) == {"1.0", checkout.git("rev-parse", "HEAD")[:12], "latest"}


@pytest.fixture
def built(checkout: Checkout) -> Iterator[str]:
    """Give an image that is built already, and says of which commit it is."""
    name = f"byoc-test-built-{uuid.uuid4().hex}"
    code = 'source "$1"; find_docker; "${BUILD[@]}" -q --label "$3" -t "$2" "$ROOT/container"'
    label = f"org.opencontainers.image.revision={'c' * 40}-dirty"
    done = checkout.bash(code, str(checkout.folder / "build_and_push.sh"), name, label)
    assert done.returncode == 0, done.stderr
    yield name
    checkout.bash('docker image rm -f "$1"', name)


def byoc_push(checkout: Checkout, *arguments: str) -> Done:
    """Run `byoc docker push` in another folder than the checkout."""
    program = [sys.executable, "-c", "from byoc_cli.main import main; main()", "docker", "push"]
    environment = checkout.environment | {"PYTHONPATH": str(ecr.ROOT)}
    return subprocess.run(
        [*program, *arguments], env=environment, cwd=checkout.folder.parent, capture_output=True, text=True, check=False
    )


@pytest.mark.docker
@pytest.mark.parametrize("by", ["script", "pasted", "byoc"])
def test_pushes_an_image_that_is_built_already(
    checkout: Checkout, registry: ecr.Registry, endpoint: str, built: str, by: str
) -> None:
    (checkout.folder / "container/Dockerfile").unlink()  # it builds nothing
    if by == "byoc":
        target, done = built, byoc_push(checkout, "-i", f"{built}:latest", "-r", ecr.REGION)
        wanted = {"cccccccccccc-dirty", "latest"}
    else:
        target = checkout.name
        words = ["--image", built, f"{target}:1.0"]
        wanted = {"1.0", "cccccccccccc-dirty", "latest"}
        if by == "script":
            done = checkout.run(*words)
        else:
            planned = checkout.run("--dry-run", *words)
            assert registry.tags(target) == set()
            done = checkout.bash(f"set -euo pipefail\n{planned.stdout}")
    try:
        assert done.returncode == 0, done.stderr
        assert registry.tags(target) == wanted
        assert ecr.scans_on_push(endpoint, target) is True
        assert {registry.manifest(target, tag)[0] for tag in wanted} == {ecr.DOCKER_V2}
        image_id = checkout.bash(
            'docker image inspect --format "{{.Id}}" "$1" "$2"', built, f"{registry.host}/{target}"
        )
        assert len(set(image_id.stdout.split())) == 1, image_id.stderr
    finally:
        checkout.bash('docker image ls -q --filter "reference=*/$1" | sort -u | xargs -r docker image rm -f', target)


@pytest.mark.docker
def test_an_image_that_is_not_there_is_not_pushed(checkout: Checkout, registry: ecr.Registry) -> None:
    problem, fix = "there is no image nosuch:1 here", "byoc docker build -i nosuch:1"
    assert_one_clear_line(checkout.run("--image", "nosuch:1", checkout.name), problem, fix)
    assert_one_clear_line(byoc_push(checkout, "-i", "nosuch:1"), problem, fix)
    assert registry.tags(checkout.name) == set()


@pytest.mark.docker
def test_an_image_of_another_platform_is_pointed_out(checkout: Checkout) -> None:
    name = f"byoc-test-arm-{uuid.uuid4().hex}"
    code = """printf 'FROM scratch\\nCOPY program /\\n' >Dockerfile
        DOCKER_BUILDKIT=1 docker build -q --platform linux/arm64 -t "$1" -f Dockerfile "$2/container" """
    clients = [client for client in docker_clients() if "20.10" in checkout.bash('"$1" --version', client).stdout]
    path = f"{Path(clients[0]).parent}:{checkout.environment['PATH']}" if clients else checkout.environment["PATH"]
    assert checkout.bash(code, name, str(checkout.folder), PATH=path).returncode == 0
    try:
        done = checkout.run("--dry-run", "--image", name, checkout.name)
        assert done.returncode == 0, done.stderr
        assert f"{name} is for linux/arm64" in done.stderr
    finally:
        checkout.bash('docker image rm -f "$1"', name)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "dkr.ecr.eu-west-1.amazonaws.com"),
        ("cn-north-1", "dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("us-gov-west-1", "dkr.ecr.us-gov-west-1.amazonaws.com"),
    ],
)
def test_a_dry_run_needs_neither_daemon_nor_credentials(offline: Checkout, region: str, host: str) -> None:
    done = offline.run("--dry-run", "churn", AWS_ACCOUNT_ID="999999999999", AWS_REGION=region, **NO_DAEMON)
    assert done.returncode == 0, done.stderr
    assert f"push 999999999999.{host}/churn:latest\n" in done.stdout


def test_every_partition_has_its_domain(offline: Checkout) -> None:
    expected = {
        region: partition["outputs"]["dnsSuffix"]
        for partition in Session().get_data("partitions")["partitions"]
        for region in partition["regions"]
        if not region.endswith("-global")
    }
    assert len(set(expected.values())) > 2
    done = offline.source("".join(f"echo {region} $(domain_of {region})\n" for region in expected))
    known = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())
    # Those of the isolated partitions are the users' to give.
    assert known == {region: "" if "-iso" in region else domain for region, domain in expected.items()}


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("", "no image name"),
        ("a", "cannot name an ECR repository"),
        ("a" * 257, "cannot name"),
        ("Churn", "cannot name"),
        ("chürn", "cannot name"),
        ("churn model", "cannot name"),
        ("churn/", "cannot name"),
        (".churn", "cannot name"),
        ("churn..v2", "cannot name"),
        ("churn@sha256", "cannot name"),
        ("$(touch owned)", "cannot name"),
        ("churn:", "cannot be a tag"),
        ("churn:-1", "cannot be a tag"),
        ("churn:a/b", "cannot be a tag"),
        ("churn:" + "a" * 129, "cannot be a tag"),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/models/churn", "give the name alone: models/churn"),
        ("--dryrun", "unknown option '--dryrun'"),
        ("--region", "--region has no value"),
        ("--image", "--image has no value"),
    ],
)
def test_a_bad_name_ends_it_before_anything_happens(offline: Checkout, image: str, problem: str) -> None:
    done = offline.run(image, DOCKER="/nonexistent")  # the very next thing it would look at
    assert_one_clear_line(done, problem)
    assert not (offline.folder.parent / "owned").exists()


@pytest.mark.parametrize("name", ["ab", "a" * 256, "models/churn-v2", "a__b.c--d/e_f"])
def test_good_names_pass(offline: Checkout, name: str) -> None:
    done = offline.run("--dry-run", f"{name}:A_1.0-b", AWS_ACCOUNT_ID=ecr.ACCOUNT, AWS_REGION=ecr.REGION, **NO_DAEMON)
    assert done.returncode == 0, done.stderr
    assert f"/{name}:A_1.0-b\n" in done.stdout


@pytest.mark.docker
@pytest.mark.parametrize(
    ("changes", "problem", "fix"),
    [
        (NO_DAEMON, "the Docker daemon does not answer", "start it"),
        ({"AWS_REGION": None}, "no AWS region is set", "--region REGION"),
        ({"AWS_REGION": None, "AWS_PROFILE": "nobody"}, "profile (nobody) could not be found", "set AWS_PROFILE"),
        ({"AWS_REGION": "uswest2"}, "'uswest2' is no AWS region", "eu-west-1"),
        ({"AWS_ACCOUNT_ID": "12"}, "'12' is no AWS account", "12 digits"),
        (NO_KEYS, "aws sts get-caller-identity failed", "run aws configure"),
        (NO_KEYS | {"AWS_ACCOUNT_ID": ecr.ACCOUNT}, "aws ecr describe-repositories failed", "run aws configure"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect", "check the network"),
        ({"ECR_REGISTRY": "https://mirror.example"}, "is no registry", "host[:port]"),
        ({"ECR_REGISTRY": "mirror"}, "is no registry", "host[:port]"),  # to Docker: a user of Docker Hub
        ({"ECR_REGISTRY": "127.0.0.1:9"}, "docker login to 127.0.0.1:9 failed", "check the network"),
        ({"DOCKER": "/nonexistent"}, "cannot build with BuildKit", "buildx"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    checkout: Checkout, registry: ecr.Registry, changes: dict[str, str | None], problem: str, fix: str
) -> None:
    assert_one_clear_line(checkout.run(checkout.name, **changes), problem, fix)
    assert registry.tags(checkout.name) == set()


@pytest.mark.parametrize(("missing", "problem"), [("docker", "no docker command"), ("aws", "no working aws command")])
def test_a_missing_tool_is_named(offline: Checkout, tmp_path: Path, missing: str, problem: str) -> None:
    (tmp_path / "bin").mkdir()
    able = offline.source("find_docker\necho $DOCKER").stdout.strip()
    programs = {tool: shutil.which(tool, path=ecr.PATH) or "" for tool in (*TOOLS, "aws")} | {"docker": able}
    for tool in programs.keys() - {missing}:
        (tmp_path / "bin" / tool).symlink_to(programs[tool])
    environment = {"PATH": str(tmp_path / "bin"), "AWS_ACCOUNT_ID": ecr.ACCOUNT, "AWS_REGION": ecr.REGION}
    assert_one_clear_line(offline.run("--dry-run", "churn", **environment, **NO_DAEMON), problem, "install")


@pytest.mark.parametrize(
    ("changes", "arguments", "region"),
    [
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, ["--region", "eu-west-3"], "eu-west-3"),
        ({"AWS_REGION": "eu-west-1"}, ["--region=eu-west-3"], "eu-west-3"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, [], "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, [], "eu-west-2"),
        ({}, [], "eu-north-1"),
    ],
)
def test_the_region_comes_from_the_nearest_place(
    offline: Checkout, changes: dict[str, str | None], arguments: list[str], region: str
) -> None:
    config = Path(offline.environment["HOME"]) / ".aws/config"
    config.parent.mkdir()
    config.write_text("[default]\nregion = eu-north-1\n")
    done = offline.run("--dry-run", "churn", *arguments, AWS_ACCOUNT_ID=ecr.ACCOUNT, **changes)
    assert f".dkr.ecr.{region}.amazonaws.com/churn:latest" in done.stdout, done.stderr


def test_outside_a_checkout_there_is_no_tag_of_a_commit(offline: Checkout) -> None:
    shutil.rmtree(offline.folder / ".git")
    settings = {"AWS_ACCOUNT_ID": ecr.ACCOUNT, "AWS_REGION": ecr.REGION, "BASE_IMAGE": "ubuntu:24.04"}
    done = offline.run("--dry-run", "churn", **settings)
    assert "no git commit here" in done.stderr
    assert re.findall(r"push \S+/churn:(\S+)", done.stdout) == ["latest"]
    assert "GIT_COMMIT" not in done.stdout
    assert " --build-arg BASE_IMAGE=ubuntu:24.04 " in done.stdout


@pytest.mark.docker
def test_a_failed_build_pushes_nothing_old(checkout: Checkout, registry: ecr.Registry) -> None:
    assert checkout.run(f"{checkout.name}:1.0").returncode == 0
    before = registry.manifest(checkout.name, "latest")
    (checkout.folder / "container/Dockerfile").write_text("FROM scratch\nCOPY missing /\n")
    done = checkout.run(f"{checkout.name}:2.0")
    assert_one_clear_line(done, "the build failed; nothing was pushed", "the step named above")
    assert "2.0" not in registry.tags(checkout.name)
    assert registry.manifest(checkout.name, "latest") == before


@pytest.mark.docker
def test_a_refused_push_stops_with_the_reason(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "read-only").mkdir()
    with ecr.running_registry(tmp_path / "read-only", read_only=True) as refusing:
        done = checkout.run(f"{checkout.name}:1.0", ECR_REGISTRY=refusing.host)
    assert_one_clear_line(done, f"the push of {checkout.name}:1.0 was refused", "docker's last line")
    assert "ready for SageMaker" not in done.stdout


def bad_manifest(registry: ecr.Registry, repository: str, kind: str) -> str:
    """Put an image of a kind that SageMaker refuses into the registry; return its digest."""
    config_type = "application/vnd.oci.image.config.v1+json"
    config = {"mediaType": config_type, **registry.put_blob(repository, b'{"architecture":"amd64","os":"linux"}')}
    manifest = {"schemaVersion": 2, "mediaType": ecr.OCI_MANIFEST, "config": config, "layers": []}
    if kind == "untyped":  # OCI lets a manifest leave its own type out
        del manifest["mediaType"]
    image = registry.put_manifest(repository, "bad", ecr.OCI_MANIFEST, manifest)
    if kind != "index":
        return str(image["digest"])
    image["platform"] = {"architecture": "amd64", "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": ecr.OCI_INDEX, "manifests": [image]}
    return str(registry.put_manifest(repository, "bad", ecr.OCI_INDEX, index)["digest"])


def docker_clients() -> list[str]:
    """List the different docker clients on PATH: old ones cannot read OCI manifests, new ones can."""
    found = (Path(folder) / "docker" for folder in ecr.PATH.split(":"))
    return sorted({str(client.resolve()) for client in found if os.access(client, os.X_OK)})


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["manifest", "untyped", "index"])
def test_an_image_that_sagemaker_refuses_never_becomes_latest(
    checkout: Checkout, registry: ecr.Registry, kind: str
) -> None:
    digest = bad_manifest(registry, checkout.name, kind)
    image = f"{registry.host}/{checkout.name}"
    code = f"""
        REGISTRY={registry.host} REPOSITORY={checkout.name} TAGS=(1.0 latest)
        find_docker
        build_image
        pushed_digest() {{ echo {image}@{digest}; }}  # as if the engine had pushed that one
        push_image"""
    done = checkout.source(code)
    assert_one_clear_line(done, "SageMaker refuses this image", f"name={image}:1.0,push=true,oci-mediatypes=false")
    assert registry.tags(checkout.name) == {"bad", "1.0"}


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["manifest", "untyped", "index", "good", "missing"])
def test_every_docker_client_tells_good_manifests_from_bad(
    checkout: Checkout, registry: ecr.Registry, kind: str
) -> None:
    if kind == "good":
        assert checkout.run(checkout.name).returncode == 0
        digest = registry.manifest(checkout.name, "latest")[1]
    else:
        digest = "sha256:" + "0" * 64 if kind == "missing" else bad_manifest(registry, checkout.name, kind)
    code = f"REGISTRY={registry.host} REPOSITORY={checkout.name}\nverify_manifest $REGISTRY/$REPOSITORY@{digest}"
    assert docker_clients()
    for client in docker_clients():
        done = checkout.source(code, DOCKER=client)
        assert (done.returncode == 0) == (kind == "good"), (client, done.stderr)
        if kind != "good":
            assert_one_clear_line(done, "SageMaker refuses this image", "docker buildx build")


@pytest.mark.parametrize(
    ("help_text", "flags"),
    [
        ("--platform --provenance --sbom --output", "--provenance=false --sbom=false --output type=docker"),
        ("--platform --output", "--output type=docker"),
    ],
)
def test_attestations_are_off_where_buildx_knows_them(
    offline: Checkout, tmp_path: Path, help_text: str, flags: str
) -> None:
    stand_in(tmp_path / "docker", f'[[ "$*" == "buildx build --help" ]] && echo "{help_text}"')
    done = offline.source('find_docker\necho "${BUILD[*]:1}"', DOCKER=str(tmp_path / "docker"))
    assert done.stdout.strip() == f"buildx build --platform linux/amd64 {flags}", done.stderr


def test_a_client_without_buildkit_is_passed_over(offline: Checkout, tmp_path: Path) -> None:
    stand_in(tmp_path / "old/docker", "exit 1")
    able = stand_in(tmp_path / "new/docker", '[[ "$*" == "build --help" && $DOCKER_BUILDKIT == 1 ]] && echo --secret')
    path = f"{tmp_path / 'old'}:{tmp_path / 'new'}:{os.environ['PATH']}"
    done = offline.source('find_docker\necho "${BUILD[*]}"', PATH=path)
    assert done.stdout.strip() == f"env DOCKER_BUILDKIT=1 {able} build --platform linux/amd64", done.stderr


def test_help_shows_examples(offline: Checkout) -> None:
    done = offline.run("--help", PATH=os.defpath)
    assert done.returncode == 0
    assert "./build_and_push.sh --region eu-west-1 churn:1.4" in done.stdout


def assert_one_clear_line(done: Done, problem: str, fix: str = "") -> None:
    """Assert a failure the last line of which says what is wrong, then what to do."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("build_and_push: "), done.stderr
    assert problem in last
    assert fix in last.partition(". Fix: ")[2]
    assert done.stderr.count("build_and_push: ") == 1


def stand_in(path: Path, code: str) -> Path:
    """Write a docker client that only answers what it is asked about its flags."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{code}\n")
    path.chmod(0o755)
    return path
