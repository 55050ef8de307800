"""Logs that cannot be read, which stops nothing; those that can are read in the tests against the emulator."""

from byoc_cli.sagemaker.log_tail import LogTail
from byoc_cli.sagemaker.watch import failure

GROUP = "/aws/sagemaker/TrainingJobs"


def test_several_hosts_go_by_their_names(cloud, stubbed):
    logs, streams = stubbed("logs"), ["job/algo-2-1790000001", "job/algo-1-1790000000"]
    listed = [{"logStreamName": name, "creationTime": number} for number, name in enumerate(streams)]
    wanted = {"logGroupName": GROUP, "limit": 50, "logStreamNamePrefix": "job/"}
    logs.add_response("describe_log_streams", {"logStreams": listed}, wanted)
    for stream in streams:
        where = {"logGroupName": GROUP, "logStreamName": stream, "startFromHead": True}
        told = {"events": [{"message": f"by {stream[4:10]}"}], "nextForwardToken": "f/1"}
        logs.add_response("get_log_events", told, where)
        logs.add_response("get_log_events", {"events": [], "nextForwardToken": "f/1"}, {**where, "nextToken": "f/1"})
    assert list(LogTail(cloud, "TrainingJobs", "job/").new_lines()) == ["algo-2  by algo-2", "algo-1  by algo-1"]


def test_a_log_that_is_not_there_yet(cloud, stubbed):
    stubbed("logs").add_client_error("describe_log_streams", "ResourceNotFoundException", "no", 400)
    tail = LogTail(cloud, "TrainingJobs", "job/")
    assert (list(tail.new_lines()), tail.problem) == ([], "")


def test_a_log_that_may_not_be_read_is_asked_for_once(cloud, stubbed):
    stubbed("logs").add_client_error("describe_log_streams", "AccessDeniedException", "no", 400)
    tail = LogTail(cloud, "TrainingJobs", "job/")
    for _ in range(2):
        assert list(tail.new_lines()) == []
    text, last = failure("Job failed", "it broke", tail, advice=["do this"])
    assert text.splitlines()[:2] == [
        "Job failed: it broke",
        "its log cannot be read: logs:DescribeLogStreams is not allowed; a policy of theirs needs this statement:",
    ]
    assert text.splitlines()[-1] == "do this"
    assert last == []
