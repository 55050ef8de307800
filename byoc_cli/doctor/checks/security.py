"""Security, and the image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.subject import variables

if TYPE_CHECKING:
    from byoc_cli.doctor.subject import Subject

DRIVERS = "find / -xdev ( -name libcuda.so* -o -name libnvidia-* ) -not -path */stubs/*"


@check(
    102, "M", "looked at the user and at /opt/ml",
    expected="the user is root, and /opt/ml holds no files",
    advice="leave USER out, and put programs into /opt/program: SageMaker mounts over /opt/ml",
)  # fmt: skip
def check_102_user(subject: Subject) -> str:
    """Training mounts folders that only root may enter."""
    user = subject.config.get("User") or "root"
    must(user.partition(":")[0] in {"root", "0"}, f"the user is {user}")
    with subject.engine.start("-c", "find /opt/ml -type f", options=["--entrypoint", "/bin/sh"]) as container:
        container.wait(60)
        files = [line for line in container.log().splitlines() if line.startswith("/opt/ml/")]
    must(not files, f"{len(files)} files, such as {files[0] if files else ''}")
    return "root; /opt/ml is empty"


@check(
    103, "M", "looked for NVIDIA's driver, and served with NVIDIA_VISIBLE_DEVICES=void",
    expected="no driver libraries in the image, and it serves without a GPU",
    advice="install CUDA's toolkit only: the host mounts its own driver",
)  # fmt: skip
def check_103_no_driver(subject: Subject) -> str:
    """A driver in the image hides the host's."""
    with subject.engine.start(*DRIVERS.split()[1:], options=["--entrypoint", "find"]) as container:
        if container.wait(60) == 127:
            not_offered("the image has no `find` to look by")
        found = [line for line in container.log().splitlines() if line.startswith("/")]
    must(not found, f"found {', '.join(found[:2])}")
    server = subject.serve(*variables({"NVIDIA_VISIBLE_DEVICES": "void"}))
    with server.container:
        subject.ask(server)
    return "no driver; serves without a GPU"


@check(
    105, "S", "served without capabilities, and trained with a config folder of mode 0644",
    expected="both work",
    advice="bind to ports above 1024, change no user, and give no files away",
)  # fmt: skip
def check_105_no_capabilities(subject: Subject) -> str:
    """The folder's mode is that of real jobs."""
    server = subject.serve("--cap-drop=ALL", "--security-opt=no-new-privileges")
    with server.container:
        subject.ask(server)
    ml = subject.job()
    (ml / "input/config").chmod(0o644)
    subject.good_training(ml)
    return "serves and trains"
