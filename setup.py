"""The build's one step of its own: the image's sources go into the package, so that `byoc docker` needs no clone."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SHIPPED = ("container", "build_and_push.sh")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc")


class BuildWithImage(build_py):
    """Copies what `byoc_cli.repository` finds in place of a clone."""

    def run(self) -> None:
        """Build the package; an editable install has the repository itself."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "byoc_cli", "shipped")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=LEFT_OUT)
            else:
                shutil.copy(source, target / name)


setup(cmdclass={"build_py": BuildWithImage})
