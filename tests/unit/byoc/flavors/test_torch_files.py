"""What is told of PyTorch's files where there is no PyTorch: the models themselves are tested in an image that has it."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING

import pytest

from byoc import flavors
from byoc.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def write_zip(file: Path, *names: str) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(f"{file.stem}/{name}", b"")


@pytest.mark.parametrize("name", ["model.safetensors", "net.pt2", "net.pt", "net.pth"])
def test_an_image_without_pytorch_names_the_extra(tmp_path: Path, name: str) -> None:
    write_zip(tmp_path / name, "data.pkl", "code/__torch__.py")
    with pytest.raises(ModelError, match=rf"^{name} is a model of PyTorch, .*build it with --extra torch$"):
        flavors.load(tmp_path)


@pytest.mark.parametrize("name", ["net.pt", "net.pth", "last.ckpt"])
def test_a_pickle_is_refused_whatever_it_is_packed_in(tmp_path: Path, name: str) -> None:
    write_zip(tmp_path / name, "data.pkl", "data/0", "version")
    with pytest.raises(ModelError, match=rf"^{name} is a pickled checkpoint.*safetensors"):
        flavors.load(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps({}))
    with pytest.raises(ModelError, match="is a pickled checkpoint"):
        flavors.load(tmp_path)


def test_two_models_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "last.ckpt").touch()
    with pytest.raises(ModelError, match=r"model\.safetensors \(PyTorch.*last\.ckpt \(a pickle of PyTorch, refused\)"):
        flavors.find(tmp_path)
