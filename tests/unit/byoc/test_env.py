"""What SageMaker tells a container, and every mistake in it, all at once."""

import json
import logging

import pytest

from byoc.env import Paths, Reader, TrainingEnvironment
from byoc.errors import ConfigurationError
from tests.program import write_job


def read(base, **environ):
    return TrainingEnvironment.read({"SAGEMAKER_BASE_DIR": str(base), **environ})


def test_paths_are_below_opt_ml_unless_told_otherwise(tmp_path):
    assert str(Paths.from_environ({}).failure) == "/opt/ml/output/failure"
    assert Paths.from_environ({"SAGEMAKER_BASE_DIR": ""}).model == Paths().model
    paths = Paths.from_environ({"SAGEMAKER_BASE_DIR": str(tmp_path)})
    assert [paths.model, paths.config, paths.data, paths.output_data, paths.checkpoints] == [
        tmp_path / "model",
        tmp_path / "input/config",
        tmp_path / "input/data",
        tmp_path / "output/data",
        tmp_path / "checkpoints",
    ]


def test_a_bare_docker_run_has_no_config_files_and_is_the_only_host(tmp_path):
    """CONTRACT check 19."""
    environment = read(tmp_path)
    assert environment.hosts == ("algo-1",)
    assert environment.is_leader
    assert environment.hyperparameters == {}
    assert environment.channels == {}
    assert environment.log_level == logging.INFO


RESOURCES = {
    "documented": {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"], "network_interface_name": "eth0"},
    "real job of 2025": {
        "current_host": "algo-1",
        "current_instance_type": "ml.c5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-2"],
        "instance_groups": [{"instance_group_name": "homogeneousCluster", "hosts": ["algo-1", "algo-2"]}],
        "network_interface_name": "eth0",
        "topology": None,
    },
    "local mode": {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]},
    "nulls": {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"], "network_interface_name": None},
}


@pytest.mark.parametrize("resources", RESOURCES.values(), ids=RESOURCES)
def test_resourceconfig(tmp_path, resources):
    """CONTRACT checks 16 and 25: the documented keys are enough, and others do no harm."""
    environment = read(write_job(tmp_path, resourceconfig=resources))
    assert environment.hosts == ("algo-1", "algo-2")
    assert environment.network_interface == "eth0"
    assert environment.is_leader


@pytest.mark.parametrize(("current", "leads"), [("algo-1", True), ("algo-10", False), ("algo-2", False)])
def test_the_leader_is_the_first_host_of_the_list(tmp_path, current, leads):
    """CONTRACT check 18: the list's order counts, not the numbers in the names."""
    resources = {"current_host": current, "hosts": ["algo-1", "algo-10", "algo-2"]}
    assert read(write_job(tmp_path, resourceconfig=resources)).is_leader is leads


def test_hyperparameters_that_are_no_strings_are_spelt_as_json(tmp_path):
    """Only a hand-written file has them; `decode` then gives the value back."""
    environment = read(write_job(tmp_path, {"depth": 5, "layers": [1, 2], "name": "x"}))
    assert environment.hyperparameters == {"depth": "5", "layers": "[1, 2]", "name": "x"}


def test_channels_may_have_no_entry_or_no_content_type(tmp_path):
    """CONTRACT check 9."""
    channels = {"train": {"TrainingInputMode": "File"}, "validation": None}
    environment = read(write_job(tmp_path, inputdataconfig=channels))
    assert environment.channels == {"train": {"TrainingInputMode": "File"}, "validation": {}}


BAD = {
    "not JSON": ("hyperparameters.json", b"{", "hyperparameters.json cannot be read as JSON"),
    "not UTF-8": ("hyperparameters.json", b'{"a": "\xff"}', "hyperparameters.json cannot be read as JSON"),
    "a list": ("inputdataconfig.json", b"[]", "inputdataconfig.json must hold a JSON object, not list"),
    "a stranger": (
        "resourceconfig.json",
        json.dumps({"current_host": "algo-9", "hosts": ["algo-1"]}).encode(),
        "current_host 'algo-9' is not in hosts ['algo-1']",
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_a_bad_config_file_is_named(tmp_path, name, content, message):
    """CONTRACT check 30."""
    (write_job(tmp_path) / "input/config" / name).write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path)
    assert message in str(refused.value)


def test_every_problem_is_told_at_once(tmp_path):
    config = write_job(tmp_path) / "input/config"
    (config / "hyperparameters.json").write_text("{")
    (config / "inputdataconfig.json").write_text("[]")
    with pytest.raises(ConfigurationError) as refused:
        read(tmp_path, SAGEMAKER_CONTAINER_LOG_LEVEL="loud")
    assert len(refused.value.problems) == 3


def test_an_empty_config_file_is_an_empty_object(tmp_path):
    (write_job(tmp_path) / "input/config/hyperparameters.json").write_text("")
    assert read(tmp_path).hyperparameters == {}


FLAGS = [("true", True), ("True", True), ("1", True), ("on", True), ("false", False), ("FALSE", False), ("0", False)]


@pytest.mark.parametrize(("text", "value"), FLAGS)
def test_flags_in_any_case(text, value):
    """CONTRACT check 75: AWS writes ``true``, the SDK's local mode ``True``."""
    assert Reader({"F": text}).flag(["F"], default=not value) is value


def test_what_is_not_set_or_blank_is_the_default():
    reader = Reader({"A": " ", "B": ""})
    assert reader.integer(["A", "B", "C"], 7, 1, 9) == 7
    assert reader.flag(["A"], default=True) is True
    reader.finish()


@pytest.mark.parametrize("text", ["0", "10", "-1", "2.0", "two", "1_0", "--1", "9" * 5000])
def test_a_bad_number_is_told_with_its_name(text):
    reader = Reader({"N": text})
    assert reader.integer(["N"], 5, 1, 9) == 5
    with pytest.raises(ConfigurationError, match="N='"):
        reader.finish()


def test_aliases_that_agree_are_one_value_and_others_contradict():
    agreed = Reader({"A": "3", "B": "03"})
    assert agreed.integer(["A", "B"], 1, 1, 9) == 3
    agreed.finish()
    contrary = Reader({"A": "3", "B": "4"})
    contrary.integer(["A", "B"], 1, 1, 9)
    with pytest.raises(ConfigurationError, match="A=3 and B=4 contradict"):
        contrary.finish()


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({}, "ml/checkpoints"),
        ({"checkpointconfig": {"LocalPath": "/opt/ml/checkpoints/mine"}}, "ml/checkpoints/mine"),
        ({"checkpointconfig": {"S3Uri": "s3://bucket/x", "LocalPath": None}}, "ml/checkpoints"),
        ({"checkpointconfig": {"LocalPath": "/mnt/spot"}}, "/mnt/spot"),
    ],
)
def test_the_checkpoints_are_where_the_job_says(tmp_path, config, place):
    base = write_job(tmp_path / "ml", **config)
    assert read(base).checkpoints == tmp_path / place
