"""A `fit` of plain PyTorch, whose ranks take steps together; hyperparameters say what becomes of the second one."""

import os
import signal
import time

import torch
from torch import distributed

DISTRIBUTION = "torchrun"


def model_fn(model_dir: str) -> str:
    """Serve, as an entry point has to."""
    return model_dir


def predict_fn(data: object, model: str) -> list[str]:
    """Answer anything."""
    return [model]


def fit(job) -> None:
    """Count the steps that all ranks took together, and save that."""
    given = {"steps": 5, "asks": True, "trouble": "", **job.hyperparameters}
    distributed.init_process_group("gloo")
    taken = torch.zeros(1)
    for step in range(given["steps"]):
        if step == 3 and job.rank == 1:
            trouble(given["trouble"])
        agreed = torch.tensor([1.0, float(given["asks"] and job.stopping)])
        distributed.all_reduce(agreed)
        taken += agreed[:1]
        job.metric("steps", step)
        time.sleep(0.05)
        if agreed[1]:
            break
    (job.model_dir / "steps").write_text(f"{taken.item():.0f} of rank {job.rank} of {job.world_size}")
    (job.output_dir / f"rank-{job.rank}").write_text(f"{os.environ['LOCAL_RANK']} {job.cpus}")


def trouble(kind: str) -> None:
    """Fail in the way that is asked for."""
    if kind == "error":
        raise ValueError("the second rank has had enough")
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        raise SystemExit(3)
