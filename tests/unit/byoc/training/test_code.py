"""Archives of code: what may be unpacked, and what is refused and leaves nothing behind."""

import io
import tarfile

import pytest

from byoc.training import code
from byoc.training.code import CodeError, unpack


def member(name, content=b"", **attributes):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry, content


def pack(file, *members):
    with tarfile.open(file, "w:gz") as archive:
        for entry, content in members:
            archive.addfile(entry, io.BytesIO(content))
    return file


@pytest.mark.usefixtures("_python")
def test_an_archive_is_unpacked_with_its_folders(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", member("train.py", b"1"), member("lib/deep/it.py", b"2"))
    folder = unpack(archive, tmp_path / "code")
    assert {str(path.relative_to(folder)) for path in folder.rglob("*.py")} == {"train.py", "lib/deep/it.py"}


@pytest.fixture(params=["this Python", "Python before 3.11.4"])
def _python(request, monkeypatch):
    """Both ways to refuse what leads out of the folder, as far as this Python has both."""
    if request.param != "this Python":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


BAD = {
    "out of the folder": member("../evil.py", b"x"),
    "a link out of it": member("evil", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a device": member("null", type=tarfile.CHRTYPE),
}


@pytest.mark.usefixtures("_python")
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_what_points_elsewhere_is_refused(bad, tmp_path):
    archive = pack(tmp_path / "a.tar.gz", member("train.py", b"1"), bad)
    with pytest.raises(CodeError, match=r"a\.tar\.gz cannot be unpacked"):
        unpack(archive, tmp_path / "code")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize(("limit", "value"), [("MOST", 2), ("LARGEST", 5)])
def test_an_archive_too_large_is_refused(limit, value, tmp_path, monkeypatch):
    monkeypatch.setattr(code, limit, value)
    archive = pack(tmp_path / "a.tar.gz", *(member(f"{n}.py", b"1234") for n in range(3)))
    with pytest.raises(CodeError, match="holds more than"):
        unpack(archive, tmp_path / "code")
    assert not (tmp_path / "code").exists()


def test_a_damaged_archive_is_refused(tmp_path):
    archive = pack(tmp_path / "a.tar.gz", member("train.py", b"123" * 1000))
    archive.write_bytes(archive.read_bytes()[:-20])
    with pytest.raises(CodeError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "code")
