"""Prints which packages the image has as CycloneDX JSON, which scanners read; run when the image is built."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import subprocess
import sys
from urllib.parse import quote


def main() -> None:
    """Print Debian's and Python's packages, sorted."""
    system = platform.freedesktop_os_release()["ID"]
    listed = subprocess.check_output(["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n"], text=True)
    packages = {(f"deb/{system}", *line.split()) for line in listed.splitlines()}
    packages |= {("pypi", package.name.lower(), package.version) for package in importlib.metadata.distributions()}
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:{kind}/{name}@{quote(version)}"}
        for kind, name, version in sorted(packages)
    ]
    json.dump({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}, sys.stdout)


if __name__ == "__main__":
    main()
