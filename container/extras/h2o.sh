#!/bin/sh
# Keeps of h2o, which is a whole machine learning server of 270 MB, the library that scores its models, h2o-genmodel.
# It stays in h2o's own place, with h2o's licence, under h2o's name in lists of packages.
set -eu
python3 - <<'END'
import shutil
import zipfile
from importlib.metadata import distribution

package = distribution("h2o").locate_file("h2o")
with zipfile.ZipFile(package / "backend/bin/h2o.jar") as server:
    kept = {name: server.read(name) for name in ("www/3/h2o-genmodel.jar", "META-INF/LICENSE", "META-INF/NOTICE")}
shutil.rmtree(package)
package.mkdir()
for name, content in kept.items():
    (package / name.rpartition("/")[2]).write_bytes(content)
END
# What only h2o's client needs.
python3 -m pip uninstall --quiet --yes --disable-pip-version-check requests tabulate certifi charset-normalizer idna
