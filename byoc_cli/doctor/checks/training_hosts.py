"""Training on one host or several: resourceconfig.json, DNS, ranks, and who writes what."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import check, must, not_offered
from byoc_cli.doctor.cluster import HOSTS, LATE, train_on_hosts
from byoc_cli.doctor.subject import HOST

if TYPE_CHECKING:
    from byoc_cli.doctor.subject import Subject

RANK = re.compile(r"\brank\W{0,4}(\d+)", re.IGNORECASE)
FULL_RESOURCES = {
    "current_host": HOST,
    "current_instance_type": "ml.c5.xlarge",
    "current_group_name": "homogeneousCluster",
    "hosts": [HOST],
    "instance_groups": [
        {"instance_group_name": "homogeneousCluster", "instance_type": "ml.c5.xlarge", "hosts": [HOST]}
    ],
    "network_interface_name": "eth0",
    "topology": None,
}


@check(
    16, "M", "trained with the full resourceconfig.json of 2025",
    expected="exit code 0 with instance groups and `topology: null`, and with the three documented keys alone",
    advice="read every key but current_host and hosts with a default, and take null for absent",
)  # fmt: skip
def check_16_resources(subject: Subject) -> str:
    """The three documented keys are what every other check has."""
    must(subject.trained.code == 0, subject.trained.cause)
    return f"exit code {subject.good_training(subject.job(resources=FULL_RESOURCES)).code}"


@check(
    17, "M", "trained on three hosts, the first of which does not find the others at once",
    expected="all end with 0, and only the first of `hosts` writes a model",
    advice="look a host up again until DNS knows it; write the model on hosts[0] alone, as equal names overwrite",
)  # fmt: skip
def check_17_hosts(subject: Subject) -> str:
    """The model folders of all hosts become one archive."""
    ends = subject.once(train_on_hosts)
    for host, trained in ends.items():
        must(trained.code == 0, f"{host}: {trained.cause}")
    leader, *others = HOSTS
    must(ends[leader].model_files, f"{leader} wrote no model")
    written = [f"{host} too: {', '.join(path.name for path in ends[host].model_files)}" for host in others]
    must(not any(ends[host].model_files for host in others), "; ".join(written))
    return f"three times exit code 0, the first host {LATE:.0f} s before the others; a model on {leader} alone"


@check(
    18, "S", "looked for the rank of each of the hosts algo-1, algo-10 and algo-2",
    expected="it is the place in `hosts`: algo-10 has rank 1",
    advice="take hosts.index(current_host), never the number in the name",
)  # fmt: skip
def check_18_rank(subject: Subject) -> str:
    """Told by the log where it has the word."""
    ends = subject.once(train_on_hosts)
    told = {host: match[1] for host, trained in ends.items() if (match := RANK.search(trained.log))}
    if not told:
        not_offered("no host tells its rank in the log")
    wrong = [f"{host} has rank {rank}" for host, rank in told.items() if int(rank) != HOSTS.index(host)]
    must(not wrong, ", ".join(wrong))
    return ", ".join(f"{host} has rank {rank}" for host, rank in told.items())


@check(
    19, "S", "trained without resourceconfig.json",
    expected="exit code 0 as a single host, or a failure that names the file",
    advice="take one host for granted where the file is missing: that is a bare docker run",
)  # fmt: skip
def check_19_no_resources(subject: Subject) -> str:
    """A bare docker run."""
    ml = subject.job()
    (ml / "input/config/resourceconfig.json").unlink()
    trained = subject.train(ml)
    must(trained.code == 0 or "resourceconfig" in trained.failure, trained.cause)
    return trained.cause if trained.code else "exit code 0"


@check(
    20, "M", "looked through /opt/ml/output/data of three hosts",
    expected="no file has the same name on two hosts",
    advice="put the host's name into the names of files, or of their folder: all hosts' become one archive",
)  # fmt: skip
def check_20_side_outputs(subject: Subject) -> str:
    """What one host wrote must not overwrite what another did."""
    folders = [trained.ml / "output/data" for trained in subject.once(train_on_hosts).values()]
    names = Counter(str(path.relative_to(folder)) for folder in folders for path in folder.rglob("*") if path.is_file())
    if not names:
        not_offered("no host writes anything there")
    twice = [name for name, count in names.items() if count > 1]
    must(not twice, f"on several hosts: {', '.join(twice)}")
    return ", ".join(sorted(names))
