"""The model folder holds a whole model or none."""

import os
import socket
from pathlib import Path

import pytest

from byoc.errors import ModelError
from byoc.training import artifact


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_nothing_is_in_place_before_all_is_written(tmp_path):
    """CONTRACT check 34."""
    staging = artifact.stage(tmp_path)
    (staging / "model.bin").write_text("new")
    (staging / "parts").mkdir()
    (staging / "parts" / "1").write_text("new")
    assert [name for name in tree(tmp_path) if not name.startswith(".staging")] == []
    assert artifact.publish(staging) == ["model.bin", "parts"]
    assert tree(tmp_path) == ["model.bin", "parts", "parts/1"]


def test_an_old_model_stays_until_the_new_one_replaces_it(tmp_path):
    (tmp_path / "model.bin").write_text("old")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "old").write_text("old")
    artifact.discard(artifact.stage(tmp_path))
    assert tree(tmp_path) == ["model.bin", "parts", "parts/old"]
    staging = artifact.stage(tmp_path)
    (staging / "model.bin").write_text("new")
    (staging / "parts").mkdir()
    (staging / "parts" / "new").write_text("new")
    artifact.publish(staging)
    assert tree(tmp_path) == ["model.bin", "parts", "parts/new"]
    assert (tmp_path / "model.bin").read_text() == "new"


def test_what_a_killed_job_left_staged_is_not_published(tmp_path):
    (artifact.stage(tmp_path) / "half").write_text("half a model")
    staging = artifact.stage(tmp_path)
    (staging / "whole").write_text("whole")
    assert artifact.publish(staging) == ["whole"]


def link(folder):
    (folder / "target").write_text("x")
    (folder / "link").symlink_to("target")


def dangling(folder):
    (folder / "link").symlink_to("/nowhere")


def nested(folder):
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "link").symlink_to(folder)


def fifo(folder):
    os.mkfifo(folder / "pipe")


def unix_socket(folder):
    here = Path.cwd()
    os.chdir(folder)  # a socket's path is at most 107 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [link, dangling, nested, fifo, unix_socket])
def test_links_and_special_files_are_refused(tmp_path, make):
    """CONTRACT check 21."""
    staging = artifact.stage(tmp_path)
    make(staging)
    (staging / "model.bin").write_text("x")
    with pytest.raises(ModelError, match="is a link or a special file"):
        artifact.publish(staging)
    artifact.discard(staging)
    assert tree(tmp_path) == []


def test_no_model_at_all_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"fit\(\) wrote no model"):
        artifact.publish(artifact.stage(tmp_path))


def test_a_folder_that_cannot_be_written_is_told_before_the_training(tmp_path):
    """CONTRACT check 30."""
    (tmp_path / "model").write_text("a file where the folder should be")
    with pytest.raises(ModelError, match="cannot write to the model folder"):
        artifact.stage(tmp_path / "model")
