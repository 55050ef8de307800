"""The machines of a job, which here are containers: what each is called and what it is told of the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GROUP = "homogeneousCluster"
NETWORK_INTERFACE = "eth0"


@dataclass(frozen=True)
class Host:
    """One of them."""

    name: str
    instance_type: str
    group: str


def of(resource_config: Mapping[str, Any]) -> list[Host]:
    """Return the hosts that a ResourceConfig asks for: algo-1 and so on, through all its groups."""
    groups = resource_config.get("InstanceGroups") or [{**resource_config, "InstanceGroupName": GROUP}]
    kinds = [(group["InstanceType"], group["InstanceGroupName"]) for group in groups for _ in range(_count(group))]
    return [Host(f"algo-{number}", *kind) for number, kind in enumerate(kinds, 1)]


def resources(hosts: Sequence[Host], current: Host) -> dict[str, Any]:
    """Return a host's ``resourceconfig.json``, with all keys that real jobs show."""
    groups = {host.group: host.instance_type for host in hosts}
    return {
        "current_host": current.name,
        "current_instance_type": current.instance_type,
        "current_group_name": current.group,
        # As text: algo-10 comes before algo-2.
        "hosts": sorted(host.name for host in hosts),
        "instance_groups": [
            {
                "instance_group_name": group,
                "instance_type": instance_type,
                "hosts": sorted(host.name for host in hosts if host.group == group),
            }
            for group, instance_type in groups.items()
        ],
        "network_interface_name": NETWORK_INTERFACE,
        "topology": None,
    }


def _count(group: Mapping[str, Any]) -> int:
    return int(group["InstanceCount"])
