"""Security: what an image carries around."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from byoc_cli.doctor import layers
from byoc_cli.doctor.check import check, must

if TYPE_CHECKING:
    from byoc_cli.doctor.subject import Subject

# What has no business in any layer, by path.
STRAY = {
    "a git repository": r"(^|/)\.git/",
    "a secret": r"(^|/)(\.aws/credentials|\.netrc|\.pypirc|\.docker/config\.json|\.ssh/id_\w+|\.env)$",
    "a build tool": r"^(usr/(local/)?)?bin/(gcc|g\+\+|cc|make|cmake|git)(-\d+)?$",
    "pip's cache": r"(^|/)\.cache/pip/.",
    "apt's lists": r"^var/lib/apt/lists/[^/]+_Packages",
}
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_\w{36}|-----BEGIN [A-Z ]*PRIVATE KEY|aws_secret_access_key\s*[=:]", re.IGNORECASE
)
SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY(_ID)?)=.", re.IGNORECASE)
# Of the image, not of a single package in it.
BILL = re.compile(r"^(?!.*site-packages).*(\.spdx|\.cdx|/s?bom)[^/]*\.(json|xml)$", re.IGNORECASE)
PACKAGES = re.compile(r"\.dist-info/RECORD$|^var/lib/dpkg/status$|^(usr/)?lib/apk/db/installed$|^var/lib/rpm/")


@check(
    106, "S", "looked through the image's history, variables and layers, removed files too",
    expected="no secrets, .git, build tools or caches; a list of the packages",
    advice="build in a stage of its own and copy the result; .dockerignore; RUN --mount=type=secret; add an SBOM",
)  # fmt: skip
def check_106_layers(subject: Subject) -> str:
    """What a later layer removes is still there for everybody who pulls the image."""
    history = subject.engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", subject.engine.image).stdout
    secret = SECRET.search(history)
    must(not secret, f"the history holds {secret[0][:12] if secret else ''}…")
    named = [word.partition("=")[0] for word in subject.config.get("Env") or () if SECRET_NAME.search(word)]
    must(not named, f"a variable for a secret: {', '.join(named)}")
    bills, packages = set(), 0
    for path in layers.paths(subject.engine):
        for what, pattern in STRAY.items():
            must(not re.search(pattern, path), f"{what} in a layer: /{path}")
        if BILL.search(path):
            bills.add(path)
        packages += bool(PACKAGES.search(path))
    must(bills or packages, "no SBOM, and no package manager's list")
    return f"nothing; {'SBOM /' + min(bills) if bills else f'no SBOM, but {packages} lists of packages'}"
