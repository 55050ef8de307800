"""The doctor's checks of training, failure and signals, each seen red on an image that is bad in its way.

A table has, by fault, the check that must see it and the words by which it does. The faults of one table do not hide
one another; those of a good program's are in `test_doctor.py`.
"""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.docker

HYPERPARAMETERS = ("--hyperparameters", '{"epochs": "4", "rounded": "true"}')

TRAINING = {
    "needs a hyperparameter": (4, r"exit code 1: KeyError: 'epochs'"),
    "knows one spelling": (6, r'\{"epochs": "\\"4\\"", "rounded": "True"\}: exit code 1: '),
    "takes reserved names": (7, r"exit code 1: ValueError: invalid literal for int"),
    "drops unknown hyperparameters": (8, r"no_such_hyperparameter is not named"),
    "needs a ContentType": (9, r"exit code 1: KeyError: 'ContentType'"),
    "compares content types": (10, r"channel training is TEXT/CSV; charset=utf-8, not text/csv"),
    "writes to the channel": (11, r"Read-only file system: '/opt/ml/input/data/training/cache'"),
    "lists the data folder": (12, r"NotADirectoryError: .*training-manifest"),
    "reads one folder": (13, r"channel training has no CSV file with rows"),
    "has no validation": (14, r"there is no channel validation here"),
    "takes topology for granted": (16, r"TypeError: 'NoneType' object"),
    "every host writes the model": (17, r"^algo-10 too: means\.json; algo-2 too: means\.json$"),
    "rank by the host's number": (18, r"^algo-10 has rank 9, algo-2 has rank 1$"),
    "needs resourceconfig.json": (19, r"exit code 1: KeyError: 'current_host'"),
    "one name for all hosts": (20, r"^on several hosts: report\.json$"),
    "buffers its metrics": (22, r"^4 lines of train:distance came out at once: they are buffered$"),
    "starts anew": (23, r"nothing in the log says that the second job went on from a checkpoint"),
    "writes to its own folder": (24, r"Read-only file system: '/opt/doctored/cache'"),
    "needs the job's ARN": (25, r"exit code 1: KeyError: 'TRAINING_JOB_ARN'"),
    "names classes by chance": (27, r"^the answers differ$"),
}
# No good training comes out of these.
FAILURE = {
    "takes text as it is": (5, r"exit code 1: TypeError: "),
    "opens pipes at once": (15, r"exit code 1: FileNotFoundError: .*training_0"),
    "does not wait for its peers": (17, r"^algo-1: exit code 1: gaierror: "),
    "names no channel": (29, r"^no channel is named: FileNotFoundError: it has no CSV"),
    "dies without a word on bad JSON": (30, r"^exit code 1, but no text in /opt/ml/output/failure$"),
    "overwrites the failure file": (31, r"^overwritten: exit code 1: FileNotFoundError"),
    "joins what it finds": (32, r"No objects to concatenate"),
    "tells what it read": (33, r"doctors-canary"),
}
STOPPING = {
    "dies of a damaged checkpoint": (23, r"^with 00000\d\.json damaged: exit code 1: JSONDecodeError"),
    "leaves half a model": (36, r"^what it left, means\.json, cannot be served: the container ended"),
    "drops what is in flight": (39, r"^the request in flight: POST /invocations got no answer"),
    "ends on SIGHUP": (43, r"^SIGHUP ended the container$"),
}
WORKERS = {
    "forgets its workers": (41, r"^2 workers, 1 \d+ s after one was killed$"),
    "forgets its zombies": (42, r"^(1 zombies after 1|2 zombies after 2) workers: "),
}
# No other check of a stop gets to what it is about.
ROUGH = {"takes a stop for a failure": (37, r"^at the start: exit code 1 after ")}
# What takes no long job, no cluster and no server is also seen green on the same program.
QUICK = sorted({number for number, _ in (TRAINING | FAILURE).values()} - {15, 17, 18, 20, 22, 23, 27})


@pytest.mark.parametrize(
    "faults",
    [TRAINING, FAILURE, STOPPING, ROUGH, WORKERS],
    ids=["training", "failure", "stopping", "rough", "workers"],
)
def test_each_check_sees_what_it_is_there_for(catches, faults):
    # Checks that count workers one at a time: while others run, some of those to be counted may still be starting.
    jobs = ("--jobs", "1") if faults is WORKERS else ()
    catches(faults, *HYPERPARAMETERS, *jobs)


def test_a_server_that_outlives_gunicorn_is_seen(catches):
    catches({"lives on without gunicorn": (40, r"^gunicorn was killed, and the container lives on$")})


def test_without_a_fault_the_same_program_passes(bad_image, examine):
    examined = examine(bad_image(), "--only", ",".join(map(str, QUICK)), *HYPERPARAMETERS)
    assert {number: result["seen"] for number, result in examined.results.items() if result["status"] != "passed"} == {}
    assert sorted(examined.results) == QUICK


def test_what_is_wrong_with_an_image_before_it_runs(bad_image, examine):
    image = bad_image(ending='RUN chmod -x /opt/doctored/train && rm /bin/bash\nCMD ["serve"]')
    results = examine(image, "--only", "1,26,35").results
    seen = {number: result["seen"] for number, result in results.items() if result["status"] == "failed"}
    assert re.search(r'exec: "train": .*(not found|permission denied)', seen[1])
    assert "/bin/bash" in seen[26]
    assert seen[35] == 'CMD is ["serve"]'
