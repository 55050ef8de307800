"""Runs inside an image with PyTorch, which has no pytest: python3 torch_checks.py prints each check's name once it holds.

What the flavor answers is compared with the module itself; what it refuses must be told by one line.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import nn

from byoc import flavors
from byoc.errors import ModelError
from byoc.flavors import torch as flavor
from byoc.schema import Column, Schema

ROWS = np.random.default_rng(0).normal(size=(2500, 12))
BATCH = torch.from_numpy(ROWS).float()


class Net(nn.Module):
    """Dropout tells whether it is in training, the loop over its shape whether it is given images."""

    def __init__(self, width: int = 12, outputs: int = 3) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, outputs))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.layers(rows.flatten(1))


class Squares(Net):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        assert rows.shape[1:] == (3, 2, 2)
        return super().forward(rows)


class Exhausted(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


class Scalar(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.sum()


class Fewer(nn.Module):
    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows[:7]


class Program:
    """What a hostile file may hold: unpickling it leaves a trace."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/hostile",)


def make(kind: type[nn.Module] = Net, **arguments: int) -> nn.Module:
    torch.manual_seed(0)
    return kind(**arguments).eval()


def same(found: object, module: nn.Module, rows: torch.Tensor = BATCH, tolerance: float = 1e-5) -> None:
    with torch.no_grad():
        np.testing.assert_allclose(found, module(rows).numpy(), rtol=tolerance, atol=tolerance)


@contextlib.contextmanager
def refused(*words: str, by: type[Exception] = ModelError):
    try:
        yield
    except by as error:
        text = str(error)
        assert "\n" not in text, text
        assert all(word in text for word in words), text
    else:
        raise AssertionError(f"not refused: {words}")


def check_weights_of_a_class_with_arguments(folder: Path) -> None:
    module = make(outputs=5)
    flavor.save(module.train(), folder, {"outputs": 5})
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    model = flavors.load(folder)
    assert model.takes == "numbers"
    same(model.predict(ROWS), module.eval())
    same(model.predict(ROWS[:1]), module, BATCH[:1])


def check_shape_of_a_row(folder: Path) -> None:
    module = make(Squares)
    flavor.save(module, folder, shape=(3, 2, 2), autocast="bfloat16")
    is_exact = flavor.device().type == "cpu"
    same(flavors.load(folder).predict(ROWS), module, BATCH.reshape(-1, 3, 2, 2), 1e-5 if is_exact else 0.03)


def check_classes_make_labels_and_probabilities(folder: Path) -> None:
    module = make()
    flavor.save(module, folder, classes=["a", "b", "c"])
    found = flavors.load(folder).predict(ROWS)
    with torch.no_grad():
        shares = torch.softmax(module(BATCH), 1)
    np.testing.assert_allclose(found.probabilities, shares.numpy(), rtol=1e-5, atol=1e-6)
    assert list(found.labels) == [("a", "b", "c")[at] for at in shares.argmax(1)]
    assert found.classes == ("a", "b", "c")


def check_classes_of_the_schema(folder: Path) -> None:
    columns = tuple(Column(f"x{number}", "number") for number in range(12))
    schema = Schema(columns, "y", "classification", ("no", "yes"))
    module = make(outputs=1)
    flavor.save(module, folder, {"outputs": 1}, schema=schema)
    assert Schema.load(folder) == schema
    found = flavors.load(folder).predict(ROWS)
    with torch.no_grad():
        shares = torch.sigmoid(module(BATCH))[:, 0].numpy()
    np.testing.assert_allclose(found.probabilities[:, 1], shares, rtol=1e-5, atol=1e-6)
    assert list(found.labels) == ["yes" if share > 0.5 else "no" for share in shares]
    Schema(columns, "y", "classification", ("a", "b", "c")).save(folder)
    with refused("1 outputs", "3 classes", by=ValueError):
        flavors.load(folder).predict(ROWS)


def check_one_output_is_a_number_a_row(folder: Path) -> None:
    flavor.save(make(outputs=1), folder, {"outputs": 1})
    assert flavors.load(folder).predict(ROWS).shape == (2500,)


def check_other_types_of_numbers(folder: Path) -> None:
    module = make().double()
    flavor.save(module, folder)
    model = flavors.load(folder)
    with torch.no_grad():
        # A module made anew has float32 weights, and takes those of the file over as they fit.
        np.testing.assert_allclose(model.predict(ROWS), module(torch.from_numpy(ROWS)).numpy(), rtol=1e-5, atol=1e-6)
    torch.jit.script(module.bfloat16()).save(str(folder / "half.pt"))
    (folder / "model.safetensors").unlink()
    assert flavors.load(folder).predict(ROWS).dtype == np.float32


def check_numbers_of_any_type(folder: Path) -> None:
    module = make()
    flavor.save(module, folder)
    model, whole = flavors.load(folder), (ROWS * 20).clip(0, 255).round()
    for kind in ("uint8", "int16", "float16", "float32", "uint16", "int64", ">f4", ">i2", "bool"):
        rows = whole.astype(kind)
        same(model.predict(rows), module, torch.from_numpy(rows.astype(np.float32)))


def check_torchscript(folder: Path) -> None:
    module = make()
    torch.jit.script(module).save(str(folder / "net.pt"))
    assert flavors.find(folder).flavor.name == "PyTorch, as TorchScript"
    same(flavors.load(folder).predict(ROWS), module)


def check_exported_program(folder: Path) -> None:
    module = make()
    rows = torch.export.Dim("rows")
    torch.export.save(torch.export.export(module, (BATCH[:5],), dynamic_shapes=({0: rows},)), folder / "net.pt2")
    same(flavors.load(folder).predict(ROWS), module)
    same(flavors.load(folder).predict(ROWS[:1]), module, BATCH[:1])


def check_exported_for_images(folder: Path) -> None:
    module, images = make(Squares), BATCH.reshape(-1, 3, 2, 2)
    rows = torch.export.Dim("rows")
    torch.export.save(torch.export.export(module, (images[:5],), dynamic_shapes=({0: rows},)), folder / "net.pt2")
    same(flavors.load(folder).predict(ROWS), module, images)


def check_exported_for_one_size_is_refused(folder: Path) -> None:
    torch.export.save(torch.export.export(make(), (BATCH[:5],)), folder / "net.pt2")
    with refused("net.pt2", "batches of 5 rows", "dynamic"):
        flavors.load(folder)


def check_exported_with_a_pickle_in_it_is_refused(folder: Path) -> None:
    good, bad = folder / "good.zip", folder / "net.pt2"
    torch.export.save(torch.export.export(make(), (BATCH[:5],)), good)
    checkpoint = folder / "weights.zip"
    torch.save({"layers.0.weight": Program()}, checkpoint)
    replaced = 0
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if content.startswith(b"PK"):
                content, replaced = checkpoint.read_bytes(), replaced + 1
            target.writestr(name, content)
    assert replaced, source.namelist()
    with refused("net.pt2", "cannot be loaded"):
        flavors.load(folder)
    assert not Path("/tmp/hostile").exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def check_pickles_are_refused(folder: Path) -> None:
    for name in ("net.pt", "last.ckpt", "old.pth"):
        torch.save({"state_dict": Program()}, folder / name)
        with refused(name, "pickled checkpoint", "safetensors"):
            flavors.load(folder)
        (folder / name).unlink()
    (folder / "net.pt").write_bytes(pickle.dumps(Program()))
    with refused("net.pt", "pickled checkpoint"):
        flavors.load(folder)
    assert not Path("/tmp/hostile").exists()


def check_only_modules_are_called(folder: Path) -> None:
    weights = make().state_dict()
    for name, *words in (
        ("os:system", "os:system", "no PyTorch module"),
        ("subprocess:Popen", "no PyTorch module"),
        ("builtins:eval", "no PyTorch module"),
        ("torch.nn:functional", "no PyTorch module"),
        ("torch.nn:Nothing", "no PyTorch module"),
        ("not_there:Net", "not_there", "entry point"),
        ("os:system; rm", "does not say of which class"),
        ("", "does not say of which class", "byoc.flavors.torch.save"),
    ):
        metadata = {"class": name, "arguments": '{"args": ["mkdir", "/tmp/hostile"]}'}
        safetensors.torch.save_file(weights, folder / "model.safetensors", metadata)
        with refused("model.safetensors", *words):
            flavors.load(folder)
    assert not Path("/tmp/hostile").exists()


def check_weights_that_do_not_fit(folder: Path) -> None:
    for arguments, word in (('{"outputs": 4}', "size mismatch"), ('{"depth": 4}', "depth"), ("[1]", "arguments")):
        metadata = {"class": "torch_checks:Net", "arguments": arguments}
        safetensors.torch.save_file(make().state_dict(), folder / "model.safetensors", metadata)
        with refused("model.safetensors", word):
            flavors.load(folder)


def check_damaged_files_are_refused(folder: Path) -> None:
    flavor.save(make(), folder)
    torch.jit.script(make()).save(str(folder / "net.zip"))
    for name, source in (("model.safetensors", "model.safetensors"), ("net.pt2", "net.zip"), ("net.pt", "net.zip")):
        content = (folder / source).read_bytes()
        sub = folder / name.replace(".", "-")
        sub.mkdir()
        # A zip archive's list of names is at its end: only what is in it is damaged.
        (sub / name).write_bytes(
            content[:-100] if name == "model.safetensors" else content.replace(b"Linear", b"Lin??r")
        )
        with refused(name, "cannot be loaded"):
            flavors.load(sub)


def check_what_cannot_be_saved(folder: Path) -> None:
    class Local(Net):
        pass

    with refused("Local", "top of its file"):
        flavor.save(Local(), folder)
    with refused("Net", "JSON", "arguments="):
        flavor.save(make(), folder, {"outputs": np.int64(3)})
    with refused("cannot write"):
        flavor.save(make(), folder / "not-there")


def check_memory_that_runs_out(folder: Path) -> None:
    flavor.save(make(Exhausted), folder)
    with refused("allocate", by=MemoryError):
        flavors.load(folder).predict(ROWS)


def check_answers_of_another_kind(folder: Path) -> None:
    for kind, told in (Scalar, "()"), (Fewer, "(7, 12)"):
        flavor.save(make(kind), folder)
        with refused(f"a tensor {told} for 1024 rows", by=TypeError):
            flavors.load(folder).predict(ROWS)


def check_threads_are_those_of_the_worker(folder: Path) -> None:
    before = torch.get_num_threads()
    os.environ["OMP_NUM_THREADS"] = "1"
    flavor.save(make(), folder)
    flavors.load(folder)
    assert torch.get_num_threads() == 1
    os.environ["OMP_NUM_THREADS"] = str(before)


def main() -> None:
    # Saved modules are classes of this file, found by its name.
    sys.modules["torch_checks"] = sys.modules["__main__"]
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            with tempfile.TemporaryDirectory() as folder:
                check(Path(folder))
            print(name, flush=True)


if __name__ == "__main__":
    main()
