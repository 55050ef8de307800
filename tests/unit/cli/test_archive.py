"""model.tar.gz: what is unpacked, and what is refused before a byte is written."""

import io
import os
import tarfile
from collections import namedtuple

import click
import pytest

from byoc_cli.docker import archive as module
from byoc_cli.docker.archive import unpack

File, Link, Hard, Node, Folder = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE


def pack(path, *members):
    with tarfile.open(path, "w:gz") as tar:
        for name, kind, *rest in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o7777
            content = b""
            if kind in (Link, Hard):
                (info.linkname,) = rest
            elif kind == File:
                content = rest[0] if rest else b"x"
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_what_is_in_it_comes_out(tmp_path, folder):
    members = [
        (".", Folder),
        ("./model.onnx", File, b"onnx"),
        ("code/deep/handler.py", File, b"code"),
        ("latest", Link, "code/deep"),
        ("code/back", Link, "../model.onnx"),
        ("again", Hard, "./model.onnx"),
        ("code", Folder),
    ]
    unpack(pack(tmp_path / "m.tar.gz", *members), folder)
    assert (folder / "latest/handler.py").read_bytes() == b"code"
    assert (folder / "code/back").read_bytes() == (folder / "again").read_bytes() == b"onnx"
    assert (folder / "model.onnx").stat().st_mode & 0o7777 == 0o755


HOSTILE = {
    "an absolute path": ([("/etc/owned", File)], "absolute path"),
    "a path of Windows": ([("..\\owned", File)], "one of Windows"),
    "a path out": ([("a/../../owned", File)], "leads out"),
    "a path out and in": ([("../out/owned", File)], "leads out"),
    "a folder out": ([("../owned", Folder)], "leads out"),
    "an absolute link": ([("a", Link, "/etc")], "outside its folder"),
    "a link out": ([("a", Link, "../..")], "outside its folder"),
    "a deeper link out": ([("a/b", Link, "../../x")], "outside its folder"),
    "a link through a name": ([("a/b/up", Link, "../.."), ("out", Link, "a/b/up/..")], "outside its folder"),
    "a file behind a link": ([("a", Link, "b"), ("a/owned", File)], "behind a link"),
    "a file behind a link to come": ([("a/owned", File), ("a", Link, "b")], "behind a link"),
    "a file behind a link in capitals": ([("A", Link, "b"), ("a/owned", File)], "behind a link"),
    "a file over a link": ([("a", Link, "b"), ("a", File)], "there twice"),
    "a link over a file": ([("a", File), ("a", Link, "b")], "there twice"),
    "a folder over a file": ([("a", File), ("a", Folder)], "there twice"),
    "a hard link out": ([("a", Hard, "/etc/passwd")], "no file before it"),
    "a hard link up": ([("a", Hard, "../owned")], "no file before it"),
    "a hard link to a link": ([("a", Link, "b"), ("c", Hard, "a")], "no file before it"),
    "a device": ([("null", Node)], "device or a pipe"),
    "a pipe": ([("pipe", tarfile.FIFOTYPE)], "device or a pipe"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_writes_nothing(tmp_path, folder, name):
    members, problem = HOSTILE[name]
    archive = pack(tmp_path / "m.tar.gz", ("good", File), *members)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(click.ClickException, match=problem) as caught:
        unpack(archive, folder)
    assert "nothing of it was unpacked" in caught.value.message
    assert list(folder.iterdir()) == []
    assert sorted(os.listdir(tmp_path)) == before


def test_one_too_large_for_the_disk_is_not_even_read_through(tmp_path, folder, monkeypatch):
    archive = pack(tmp_path / "m.tar.gz", ("small", File), ("large", File, b"0" * 5_000_000), ("../no", File))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(0, 0, module.RESERVE + 1_000_000))
    with pytest.raises(click.ClickException, match="'large' would take 5,000,001 bytes"):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []


def test_one_of_too_many_files(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(module, "MOST_FILES", 3)
    with pytest.raises(click.ClickException, match="more than 3 files"):
        unpack(pack(tmp_path / "m.tar.gz", *((str(number), File) for number in range(4))), folder)


@pytest.mark.parametrize("kind", ["text", "plain tar", "cut", "empty"])
def test_what_is_no_such_archive_is_one_line(tmp_path, folder, kind):
    archive = pack(tmp_path / "m.tar.gz", ("a", File, os.urandom(50_000)))
    if kind == "plain tar":
        with tarfile.open(archive, "w") as tar:
            tar.addfile(tarfile.TarInfo("a"))
    else:
        content = {"text": b"hello", "cut": archive.read_bytes()[:30_000], "empty": b""}[kind]
        archive.write_bytes(content)
    with pytest.raises(click.ClickException, match="is damaged, or no gzip-compressed tar") as caught:
        unpack(archive, folder)
    assert "\n" not in caught.value.message
    assert list(folder.iterdir()) == []
