"""The variables SM_* that scripts written for SageMaker's own images read; the platform itself sets none of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from byoc import machine
from byoc.training import hyperparameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from byoc.env import TrainingEnvironment


def variables(
    environment: TrainingEnvironment, module_dir: str = "", program: str = "", arguments: Sequence[str] = ()
) -> dict[str, str]:
    """Return the variables: text as it is, None as "", all else as JSON.

    Args:
        environment: the job.
        module_dir: where the script came from.
        program: the script's name.
        arguments: what it is called with.

    """
    user = hyperparameters.user_values(environment.hyperparameters)
    facts = {
        **_places(environment),
        **_cluster(environment),
        "hps": user,
        "framework_params": {
            name: hyperparameters.decode(text) for name, text in environment.hyperparameters.items() if name not in user
        },
        "log_level": environment.log_level,
        "num_cpus": machine.cpus(),
        "num_gpus": machine.devices("nvidia"),
        "num_neurons": machine.devices("neuron"),
        "module_dir": module_dir,
        "module_name": program.removesuffix(".py"),
        "user_entry_point": program,
        "user_args": list(arguments),
    }
    told = {**facts, "training_env": {**facts, "job_name": environment.job_name}}
    told |= {f"channel_{name}": path for name, path in _channels(environment).items()}
    for name, value in user.items():
        # SageMaker's training toolkit keeps a hyphen, SDK v3 does not; a shell can only read the latter.
        told |= {f"hp_{name}": value, f"hp_{name.replace('-', '_')}": value}
    return {f"SM_{name.upper()}": _text(value) for name, value in told.items()}


def _places(environment: TrainingEnvironment) -> dict[str, Any]:
    paths = environment.paths
    return {
        "model_dir": str(paths.model),
        "input_dir": str(paths.config.parent),
        "input_config_dir": str(paths.config),
        "input_data_config": environment.channels,
        "channels": sorted(_channels(environment)),
        "output_dir": str(paths.output),
        "output_data_dir": str(paths.output_data),
        "output_intermediate_dir": str(paths.output / "intermediate"),
    }


def _cluster(environment: TrainingEnvironment) -> dict[str, Any]:
    resources = environment.resources
    groups = resources.get("instance_groups") or []
    return {
        "resource_config": resources,
        "hosts": list(environment.hosts),
        "current_host": environment.current_host,
        "network_interface_name": environment.network_interface,
        "current_instance_type": resources.get("current_instance_type"),
        "current_instance_group": resources.get("current_group_name"),
        "instance_groups": [group.get("instance_group_name") for group in groups],
        "instance_groups_dict": {group.get("instance_group_name"): group for group in groups},
    }


def _channels(environment: TrainingEnvironment) -> dict[str, str]:
    """Return the channels' folders; on a laptop, without a configuration, those that are there."""
    data = environment.paths.data
    names = list(environment.channels) or [path.name for path in data.glob("*") if path.is_dir()]
    return {name: str(data / name) for name in names}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, separators=(",", ":"))
