"""ONNX Runtime: a session made before a fork answers after it, chunks do not show, and a foreign file is refused."""

import multiprocessing

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

from byoc.errors import ModelError
from byoc.flavors import onnx as flavor
from byoc.schema import Column, Schema
from tabular.convert import to_onnx

ROWS, CLASSES = load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def content():
    forest = RandomForestClassifier(20, random_state=0).fit(ROWS, CLASSES)
    schema = Schema(tuple(Column(f"c{n}", "number") for n in range(4)), "y", "classification", (0, 1, 2))
    return to_onnx(forest, schema).SerializeToString()


def test_forked_workers_use_the_session_of_before_the_fork(content):
    """What FORK_SAFE promises: used before the fork, then in several workers at a time."""
    session = flavor.Session(content)
    wanted = session.run(ROWS)["probabilities"]

    def work(results):
        for _ in range(20):
            results.put(np.array_equal(session.run(ROWS)["probabilities"], wanted))

    context = multiprocessing.get_context("fork")
    results = context.Queue()
    workers = [context.Process(target=work, args=(results,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert all(results.get(timeout=60) for _ in range(60))
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0


def test_a_session_has_no_threads_of_its_own(content):
    """The reason why it survives a fork."""
    from pathlib import Path

    # ONNX Runtime's threads are none of Python's: the kernel knows them all. Those of other tests may end meanwhile.
    before = {*Path("/proc/self/task").iterdir()}
    session = flavor.Session(content)
    session.run(ROWS)
    assert {*Path("/proc/self/task").iterdir()} <= before


def test_rows_are_computed_in_chunks(content, monkeypatch):
    session = flavor.Session(content)
    whole = session.run(ROWS)["probabilities"]
    monkeypatch.setattr(flavor, "CHUNK", 64)
    np.testing.assert_array_equal(session.run(ROWS)["probabilities"], whole)
    assert session.run(ROWS[:0])["probabilities"].shape == (0, 3)


def test_only_the_file_that_was_saved_is_loaded(content, tmp_path):
    digest = flavor.save(content, tmp_path)
    assert flavor.load(tmp_path, digest).run(ROWS)
    (tmp_path / flavor.FILE).write_bytes(content[:-1])
    with pytest.raises(ModelError, match=r"model\.onnx cannot be loaded: it is not this model's own"):
        flavor.load(tmp_path, digest)
    (tmp_path / flavor.FILE).unlink()
    with pytest.raises(ModelError, match=r"model\.onnx cannot be read"):
        flavor.load(tmp_path, digest)
    with pytest.raises(ModelError, match="cannot write"):
        flavor.save(content, tmp_path / "nowhere")
