"""Checkpoints: whole or not at all, the newest sound one first (CONTRACT check 23)."""

import errno
from pathlib import Path

import pytest

from byoc.training.checkpoints import KEPT, Checkpoints


def names(folder):
    return sorted(int(path.name.partition(".")[0]) for path in folder.rglob("*.checkpoint"))


def test_the_newest_comes_first_whatever_the_order_of_saving_and_of_names(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(9, b"nine")
    checkpoints.save(10, lambda file: file.write_bytes(b"ten"))
    found = Checkpoints(tmp_path).latest()
    assert (found.step, found.file.read_bytes()) == (10, b"ten")


@pytest.mark.parametrize("folder", [None, Path("missing")])
def test_without_the_folder_nothing_is_saved_and_nothing_found(folder, tmp_path):
    checkpoints = Checkpoints(folder and tmp_path / folder)
    checkpoints.save(1, b"state")
    assert checkpoints.latest() is None
    assert not checkpoints.enabled
    assert list(tmp_path.iterdir()) == []


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


def flip(file):
    file.write_bytes(b"X" + file.read_bytes()[1:])


def become_a_folder(file):
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [truncate, flip, become_a_folder])
def test_a_damaged_newest_is_told_and_passed_over(spoil, tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, b"first")
    checkpoints.save(2, b"second")
    spoil(checkpoints.latest().file)
    assert Checkpoints(tmp_path).latest().step == 1
    assert "is damaged and passed over" in caplog.text


def test_old_ones_are_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(5):
        checkpoints.save(step, b"state")
    assert names(tmp_path) == list(range(5))[-KEPT:]


def test_what_was_saved_last_stays_although_damaged_ones_have_higher_steps(tmp_path):
    first = Checkpoints(tmp_path)
    for step in (50, 60):
        first.save(step, b"state")
        truncate(first.latest().file)
    again = Checkpoints(tmp_path)
    for step in (10, 20):
        again.save(step, b"state")
        assert Checkpoints(tmp_path).latest().step == step
    assert names(tmp_path) == [10, 20]


def test_those_of_another_key_are_neither_used_nor_removed(tmp_path, caplog):
    Checkpoints(tmp_path).save(7, b"other", "other")
    own = Checkpoints(tmp_path)
    assert own.latest("own") is None
    assert "1 checkpoints" in caplog.text
    for step in range(3):
        own.save(step, b"state", "own")
    assert own.latest("own").step == 2
    assert own.latest("other").step == 7


def test_hosts_do_not_overwrite_each_other(tmp_path):
    """CONTRACT 2.1: all hosts share one S3 prefix."""
    hosts = [Checkpoints(tmp_path, host) for host in ("algo-1", "algo-2")]
    for host in hosts:
        host.save(1, b"same")
    hosts[0].save(2, b"further")
    assert [host.latest().step for host in hosts] == [2, 1]
    assert names(tmp_path) == [1, 1, 2]


def test_a_state_that_is_half_written_is_never_found(tmp_path):
    def die(file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        checkpoints.save(1, die)
    assert checkpoints.latest() is None
    checkpoints.save(2, b"whole")
    assert [path.suffix for path in tmp_path.iterdir()] == [".checkpoint"]


def test_a_full_disk_does_not_end_the_training(tmp_path, caplog):
    def fill(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, b"state")
    checkpoints.save(2, fill)
    assert "the checkpoint of step 2 is not saved" in caplog.text
    assert checkpoints.latest().step == 1


def test_what_else_lies_in_the_folder_is_left_alone(tmp_path):
    (tmp_path / "epoch-3.pt").write_text("the user's own")
    checkpoints = Checkpoints(tmp_path)
    for step in range(4):
        checkpoints.save(step, b"state")
    assert (tmp_path / "epoch-3.pt").exists()


def test_a_rank_that_keeps_nothing_takes_part_in_saving(tmp_path):
    """Also where its own host has no folder: saving may be something that all ranks do together."""
    for folder in (tmp_path / "there", tmp_path / "missing"):
        called = []
        Checkpoints(folder, "algo-1", keeps=False).save(1, called.append)
        assert len(called) == 1
        assert not called[0].parent.exists()
        assert not folder.exists()
    Checkpoints(None, keeps=False).save(1, called.append)
    assert len(called) == 1


def test_what_not_all_hosts_have_is_told_and_passed_over(tmp_path, caplog):
    first = Checkpoints(tmp_path)
    first.save(1, b"first")
    (common,) = first.sound()
    first.save(2, b"second")
    both = Checkpoints(tmp_path, common=[common])
    assert both.latest().step == 1
    assert "is not on every host, or not sound, and passed over" in caplog.text
    both.save(3, b"third")
    assert both.latest().step == 3
    assert Checkpoints(tmp_path, common=[]).latest() is None


def test_the_sound_ones_are_told_by_name_of_every_key(tmp_path):
    assert Checkpoints(tmp_path / "missing").sound() is None
    assert Checkpoints(tmp_path, "algo-1").sound() == []
    checkpoints = Checkpoints(tmp_path)
    for key in ("one", "other", "damaged"):
        checkpoints.save(1, b"state", key)
    truncate(Checkpoints(tmp_path).latest("damaged").file)
    assert sorted(name.split(".")[1] for name in Checkpoints(tmp_path).sound()) == ["one", "other"]
