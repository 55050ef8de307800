"""The first host meets the others, loses them, and tells them its end (CONTRACT checks 17 and 18)."""

import json
import select
import socket
import struct
import threading

import pytest

from byoc.training import meeting
from byoc.training.cluster import ClusterError
from byoc.training.meeting import Meeting, Seat
from tests.program import free_port, wait_until


@pytest.fixture
def port():
    return free_port()


HOSTS = ["algo-1", "algo-10", "algo-2"]


@pytest.fixture
def sit():
    """Seat all hosts but the first one, each from a thread of its own; give the dictionary that they are put in."""
    seats, threads = {}, []

    def take(host, workers, port):
        seats[host] = Seat(host, "localhost", workers, 5, port)

    def fill(hosts, port):
        threads.extend(threading.Thread(target=take, args=(host, n, port)) for n, host in enumerate(hosts[1:], 1))
        for thread in threads:
            thread.start()
        return seats

    yield fill
    for thread in threads:
        thread.join()
    for seat in seats.values():
        seat.close()


def test_all_come_are_told_the_end_and_bring_their_workers(port, sit):
    meeting = Meeting(HOSTS, port)
    seats = sit(HOSTS, port)
    assert meeting.gather(5) == 1 + 2
    assert sorted(meeting.guests) == ["algo-10", "algo-2"]
    wait_until(lambda: len(seats) == 2)
    assert seats["algo-2"].word(0.01) == ""
    meeting.end("done")
    assert [seats[host].word(5) for host in HOSTS[1:]] == ["done", "done"]


def test_hosts_may_come_before_the_first_one(port, sit):
    seats = sit(HOSTS, port)
    meeting = Meeting(HOSTS, port)
    meeting.gather(5)
    meeting.end("stopped")
    wait_until(lambda: len(seats) == 2)
    assert seats["algo-10"].word(5) == "stopped"


def test_a_failure_is_told_with_its_reason(port, sit):
    meeting = Meeting(HOSTS, port)
    seats = sit(HOSTS, port)
    meeting.gather(5)
    wait_until(lambda: len(seats) == 2)
    meeting.end("failed", "DataError: no rows")
    with pytest.raises(ClusterError, match="failed on host localhost: DataError: no rows"):
        seats["algo-2"].word(5)


def test_who_does_not_come_is_named_and_no_stranger_takes_the_place(port, sit):
    meeting = Meeting(HOSTS, port)
    strangers = [b'{"host": "algo-7", "workers": 1}\n', b"GET / HTTP/1.1\r\n\r\n", b"[]\n"]
    connections = [socket.create_connection(("localhost", port)) for _ in strangers]
    for connection, said in zip(connections, strangers, strict=True):
        connection.sendall(said)
    seats = sit(HOSTS[:2], port)
    wait_until(lambda: seats)  # it stands at the door too: only algo-2 can be late
    with pytest.raises(ClusterError, match="host algo-2 did not come within 1 s"):
        meeting.gather(1)
    assert list(meeting.guests) == ["algo-10"]
    assert list(seats) == ["algo-10"]
    meeting.end("failed")
    for connection in connections:
        connection.close()


def test_a_port_that_is_taken_is_told(port):
    with socket.create_server(("", port)), pytest.raises(ClusterError, match=f"port {port} of algo-1: Address already"):
        Meeting(["algo-1", "algo-2"], port)


def test_a_first_host_that_never_listens_is_named(port):
    with pytest.raises(ClusterError, match="host localhost, which leads, cannot be reached after 0 s"):
        Seat("algo-2", "localhost", 1, 0.3, port)
    with pytest.raises(ClusterError, match=r"host no-such-host\.invalid"):
        Seat("algo-2", "no-such-host.invalid", 1, 0.3, port)


def test_who_goes_is_lost_once(port, sit):
    meeting = Meeting(HOSTS, port)
    seats = sit(HOSTS, port)
    meeting.gather(5)
    wait_until(lambda: len(seats) == 2)
    assert meeting.lost() == []
    seats["algo-10"]._connection.close()
    assert wait_until(meeting.lost, 5) == ["algo-10"]
    assert meeting.lost() == []
    meeting.end("done")
    assert seats["algo-2"].word(5) == "done"


def test_a_first_host_that_goes_without_a_word_is_lost(port, sit):
    meeting = Meeting(HOSTS[:2], port)
    seats = sit(HOSTS[:2], port)
    meeting.gather(5)
    wait_until(lambda: seats)
    meeting.guests["algo-10"].close()
    with pytest.raises(ClusterError, match="host localhost, which leads, is lost"):
        seats["algo-10"].word(5)
    meeting.end("done")


def test_a_first_host_that_goes_before_it_is_greeted_is_lost(port, monkeypatch):
    """As one does that gave up just then: a reset, not an error of ours."""

    connected = threading.Event()

    def hang_up():
        connection, _ = door.accept()
        # Not earlier, when that would be a connection that did not come about.
        assert connected.wait(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    def wait_for_reset(connection):
        connected.set()
        assert select.select([connection], (), (), 10)[0]

    monkeypatch.setattr(meeting, "_watch", wait_for_reset)
    with socket.create_server(("localhost", port)) as door:
        thread = threading.Thread(target=hang_up)
        thread.start()
        seat = Seat("algo-2", "localhost", 1, 5, port)
        with pytest.raises(ClusterError, match="host localhost, which leads, is lost"):
            seat.word(5)
        seat.close()
        thread.join()


def test_what_is_said_is_a_line_of_json(port):
    meeting = Meeting(HOSTS[:2], port)
    with socket.create_connection(("localhost", port)) as connection:
        connection.sendall(b'{"host": "algo-10", "workers": 4}\n')
        assert meeting.gather(5) == 4
        meeting.end("done")
        assert json.loads(connection.recv(100)) == {"end": "done", "reason": ""}


def test_guests_and_first_host_talk_meanwhile(port, sit):
    """Two messages that come together are still two."""
    meeting = Meeting(HOSTS[:2], port)
    seats = sit(HOSTS[:2], port)
    meeting.gather(5)
    wait_until(lambda: seats)
    assert meeting.hellos["algo-10"] == {"host": "algo-10", "workers": 1}
    assert seats["algo-10"].hear(0) == {}
    meeting.tell({"start": [1]})
    meeting.end("failed", "enough", "algo-2")
    assert seats["algo-10"].hear(5) == {"start": [1]}
    with pytest.raises(ClusterError, match="failed on host algo-2: enough"):
        seats["algo-10"].word(5)


def test_what_a_guest_says_is_heard_and_that_it_goes(port, sit):
    meeting = Meeting(HOSTS, port)
    seats = sit(HOSTS, port)
    meeting.gather(5)
    wait_until(lambda: len(seats) == 2)
    assert meeting.hear() == {}
    seats["algo-2"].tell({"end": "failed", "reason": "x" * 3000})
    assert wait_until(meeting.hear, 5) == {"algo-2": {"end": "failed", "reason": "x" * 3000}}
    seats["algo-2"].close()
    assert wait_until(meeting.hear, 5) == {"algo-2": {}}
    assert list(meeting.guests) == ["algo-10"]
    meeting.end("done")


def test_a_guest_that_speaks_meanwhile_still_hears_the_end(port, sit):
    meeting = Meeting(HOSTS[:2], port)
    seats = sit(HOSTS[:2], port)
    meeting.gather(5)
    wait_until(lambda: seats)
    seats["algo-10"].tell({"end": "done"})
    meeting.end("failed", "enough", "algo-1")
    with pytest.raises(ClusterError, match="failed on host algo-1: enough"):
        seats["algo-10"].word(5)
