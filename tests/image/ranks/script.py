"""A script that SageMaker's SDK sends, with distribution={"torch_distributed": {"enabled": True}}."""

import argparse
import os
from pathlib import Path

import torch
from torch import distributed

parser = argparse.ArgumentParser()
parser.add_argument("--trouble", default="")
trouble = parser.parse_args().trouble

distributed.init_process_group("gloo")
rank = distributed.get_rank()
total = torch.tensor([rank + 1])
distributed.all_reduce(total)
if trouble and rank == 1:
    raise ValueError(trouble)
distributed.barrier()
if rank == 0:
    told = f"{total.item()} by {distributed.get_world_size()} on {os.environ['SM_CURRENT_HOST']}"
    Path(os.environ["SM_MODEL_DIR"], "total").write_text(told)
