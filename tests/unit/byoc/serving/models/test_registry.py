"""Which models are told, page by page, and what a model is let in by; tests/process/test_models.py has the rest."""

import contextlib

import pytest

from byoc import machine
from byoc.env import Paths
from byoc.serving.errors import RequestError
from byoc.serving.models import admission
from byoc.serving.models.model import Model
from byoc.serving.models.registry import Entry, Registry, State
from byoc.serving.settings import MEBIBYTE, Settings

LOADED, LOADING, LEAVING = State.LOADED, State.LOADING, State.LEAVING


@pytest.fixture
def registry(tmp_path):
    return Registry(Settings.from_environ({}, cpus=1, memory=1 << 30), Paths(tmp_path), tmp_path)


def put(registry, name, state=LOADED):
    model = Model(registry._settings, registry._folder, name, f"/opt/ml/models/{name}/model", registry._folder)
    registry._entries[name] = Entry(model, state)


def names(page):
    return [model["modelName"] for model in page["models"]]


def test_pages_lose_and_repeat_nothing_while_models_come_and_go(registry):
    """CONTRACT check 89."""
    for number in range(250):
        put(registry, f"m{number:03d}")
    seen, token = [], ""
    while token is not None:
        page = registry.page(100, token)
        seen += names(page)
        token = page.get("nextPageToken")
        # The last one told goes, or stays, and another comes before it.
        if len(seen) == 100:
            registry._entries.pop(seen[-1])
        put(registry, f"a{len(seen)}")
    assert seen == [f"m{number:03d}" for number in range(250)]


def test_the_last_page_has_no_token(registry):
    assert registry.page(1, "") == {"models": []}
    put(registry, "only")
    assert registry.page(1, "") == {"models": [{"modelName": "only", "modelUrl": "/opt/ml/models/only/model"}]}
    put(registry, "other")
    assert registry.page(2, "").keys() == {"models"}
    assert registry.page(1, "")["nextPageToken"] == "only"


def test_only_loaded_models_are_there(registry):
    put(registry, "coming", LOADING)
    put(registry, "going", LEAVING)
    put(registry, "there")
    assert names(registry.page(9, "")) == ["there"]
    for name in ("coming", "going", "nowhere"):
        with pytest.raises(RequestError) as told:
            registry.describe(name)
        assert (told.value.status, told.value.code) == (404, "model_not_found")
        assert registry.explain(name).status == 404


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "0" * 64, "9c1185a5c5e9fc54612808977ee8f548b2258d31"])
def test_good_names(name):
    assert admission.check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".a", "-a", "a/b", "a\n", "a%2f", "ä", "a b", "0" * 65, None, 7, ["a"]]
)
def test_bad_names(name):
    """CONTRACT check 93."""
    with pytest.raises(RequestError) as told:
        admission.check_name(name)
    assert told.value.status == 400


def test_a_url_is_found_below_the_base_folder_too(tmp_path):
    """As on a laptop, where SAGEMAKER_BASE_DIR stands for /opt/ml; links that stay below are followed."""
    folder = tmp_path / "models/a/model"
    folder.mkdir(parents=True)
    (folder / "weights").write_text("1")
    (folder / "link").symlink_to("weights")
    (tmp_path / "models/b").symlink_to("a")
    paths = Paths(tmp_path)
    for url in ("/opt/ml/models/a/model", str(folder), "/opt/ml/models/b/model", "/opt/ml/models/x/../a/model/"):
        assert admission.find(url, paths) == folder


@pytest.mark.parametrize(("left", "fits"), [(0, False), (63, False), (64, True), (65, True)])
def test_some_memory_stays_free(monkeypatch, left, fits):
    """CONTRACT check 90."""
    monkeypatch.setattr(machine, "memory_left", lambda: left * MEBIBYTE)
    assert passes() is fits


def test_the_files_of_a_model_have_to_fit(monkeypatch, tmp_path):
    (tmp_path / "deep").mkdir()
    for file in (tmp_path / "a", tmp_path / "deep" / "b"):
        with file.open("wb") as opened:
            opened.truncate(100 * MEBIBYTE)
    for left, fits in ((263, False), (264, True)):
        monkeypatch.setattr(machine, "memory_left", lambda left=left: left * MEBIBYTE)
        assert passes(tmp_path) is fits


def passes(*folder):
    with contextlib.suppress(RequestError):
        admission.check_memory(*folder)
        return True
    with pytest.raises(RequestError) as told:
        admission.check_memory(*folder)
    assert (told.value.status, told.value.code) == (507, "insufficient_memory")
    return False
