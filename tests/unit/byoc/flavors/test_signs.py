"""What tells a MOJO from any other archive."""

import zipfile

import pytest

from byoc.flavors import signs


@pytest.mark.parametrize(("inside", "is_mojo"), [("model.ini", True), ("src/model.ini", False), ("handler.py", False)])
def test_a_mojo_has_its_description_at_the_top(tmp_path, inside, is_mojo):
    file = tmp_path / "model.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(inside, "")
    assert signs.of_mojo(file) is is_mojo


def test_a_damaged_archive_is_for_h2o_to_refuse(tmp_path):
    (tmp_path / "model.zip").write_bytes(b"PK\x03\x04 cut off")
    assert signs.of_mojo(tmp_path / "model.zip")
