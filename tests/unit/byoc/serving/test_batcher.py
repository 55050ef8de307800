"""Natural batching, with a model that stands still until the test lets it go on."""

import os
import threading
import time

import gevent
import pytest

from byoc.errors import RowError
from byoc.serving.batcher import Batcher
from byoc.serving.errors import RequestError, bad_request
from tests.program import wait_until

pytestmark = pytest.mark.timeout(60)


class Model:
    """Doubles numbers; its calls wait at a gate that is open or shut, and are noted."""

    def __init__(self):
        self.calls = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, batch):
        self.calls.append([*batch])
        assert self.gate.wait(30)
        return [value if isinstance(value, BaseException) else value * 2 for value in batch]


@pytest.fixture
def model():
    given = Model()
    yield given
    given.gate.set()


def make(model, queue=100, batch_rows=100, deadline=20.0):
    return Batcher(model, queue=queue, batch_rows=batch_rows, deadline=deadline)


def submit(batcher, *items):
    """Submit (data, rows, layout) each, in this order; return their greenlets."""
    spawned = [gevent.spawn(batcher.submit, *item) for item in items]
    gevent.sleep(0)
    return spawned


def hold(batcher, model):
    """Occupy the model, so that what comes next has to wait; return the occupant."""
    model.gate.clear()
    (first,) = submit(batcher, (0, 1, "held"))
    poll(lambda: model.calls)
    return first


def poll(condition):
    wait_until(lambda: (gevent.sleep(0.001), condition())[1], 20)


def outcome(greenlet):
    try:
        return greenlet.get()
    except (RequestError, RowError) as error:
        return getattr(error, "status", 400)


def test_alone_when_nothing_runs(model):
    batcher = make(model)
    assert batcher.submit(21, 1, "a") == 42
    assert model.calls == [[21]]


# (rows, layout) of what waits · the calls it makes, by positions
MERGES = {
    "alike": ([(1, "a"), (1, "a"), (1, "a")], [[1, 2, 3]]),
    "unlike": ([(1, "a"), (1, "b"), (1, "a"), (1, "b")], [[1, 3], [2, 4]]),
    "never shared": ([(1, None), (1, None)], [[1], [2]]),
    "one that shares not between those that do": ([(1, "a"), (1, None), (1, "a")], [[1, 3], [2]]),
    "as many rows as fit": ([(4, "a"), (4, "a"), (4, "a")], [[1, 2], [3]]),
    "a smaller one behind fits": ([(4, "a"), (8, "a"), (4, "a")], [[1, 3], [2]]),
    "large ones alone": ([(1, "a"), (10, "a"), (50, "a"), (1, "a")], [[1, 4], [2], [3]]),
    "a large one first": ([(10, "a"), (1, "a"), (1, "a")], [[1], [2, 3]]),
}


@pytest.mark.parametrize(("waiting", "calls"), MERGES.values(), ids=MERGES)
def test_the_next_call_takes_what_is_alike_in_order(model, waiting, calls):
    batcher = make(model, batch_rows=10)
    first = hold(batcher, model)
    others = submit(batcher, *((number, *item) for number, item in enumerate(waiting, 1)))
    model.gate.set()
    gevent.joinall([first, *others], timeout=20)
    assert model.calls == [[0], *calls]
    assert [each.get() for each in others] == [2 * number for number in range(1, len(waiting) + 1)]


def test_answers_are_never_mixed_up(model):
    """CONTRACT checks 64 and 83."""
    batcher = make(model, queue=1000, batch_rows=7)

    def client(number):
        for value in range(number, 2000, 40):
            assert batcher.submit(value, 1 + value % 3, f"layout {value % 2}") == 2 * value
            gevent.sleep(0)

    clients = [gevent.spawn(client, number) for number in range(40)]
    gevent.joinall(clients, timeout=40, raise_error=True)
    assert all(each.successful() for each in clients)
    assert sorted(value for call in model.calls for value in call) == [*range(2000)]
    assert len(model.calls) < 2000
    assert all(len({value % 2 for value in call}) == 1 for call in model.calls)


def test_the_queue_is_bounded(model):
    """CONTRACT check 74: at once, not after a time-out; what was taken in is answered."""
    batcher = make(model, queue=2)
    first = hold(batcher, model)
    waiting = submit(batcher, (1, 1, "a"), (2, 1, "a"))
    with pytest.raises(RequestError, match="2 requests are waiting already") as refused:
        batcher.submit(3, 1, "a")
    assert (refused.value.status, refused.value.retry_after) == (503, 1)
    model.gate.set()
    assert [outcome(each) for each in (first, *waiting)] == [0, 2, 4]


def test_the_deadline_while_running_and_while_waiting(model):
    """CONTRACT check 62: 504 by the model's fault, 503 where the turn did not come; the model is free again after."""
    batcher = make(model, deadline=0.2)
    running = hold(batcher, model)
    (waiting,) = submit(batcher, (1, 1, "a"))
    assert [outcome(each) for each in (running, waiting)] == [504, 503]
    assert batcher.busy_since
    batcher.busy_since = time.monotonic() - 0.2  # no longer ago, however busy the machine is
    assert not batcher.is_stuck
    model.gate.set()
    poll(lambda: not batcher.busy_since)
    assert batcher.submit(4, 1, "a", within=20.0) == 8
    assert model.calls == [[0], [4]]


def test_a_prediction_that_never_returns_is_seen_and_those_waiting_are_let_go(model):
    """CONTRACT check 49."""
    batcher = make(model)
    first = hold(batcher, model)
    assert not batcher.is_stuck
    batcher.busy_since -= 22.0
    assert batcher.is_stuck
    waiting = submit(batcher, (1, 1, "a"), (2, 1, None))
    batcher.abandon("worker")
    assert [outcome(each) for each in waiting] == [503, 503]
    model.gate.set()
    assert first.get(timeout=20) == 0


def test_an_error_reaches_its_own_request_only(model):
    """CONTRACT check 70."""
    batcher = make(model)
    first = hold(batcher, model)
    others = submit(batcher, (1, 1, "a"), (bad_request("no"), 1, "a"), (3, 1, "a"))
    model.gate.set()
    assert [outcome(each) for each in (first, *others)] == [0, 2, 400, 6]
    assert model.calls == [[0], [1, others[1].exception, 3]]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), MemoryError(), ValueError("x")])
def test_whatever_a_call_raises_fails_that_call_only(model, error):
    """CONTRACT check 70."""

    def call(batch):
        if batch == ["bad"]:
            raise error
        return model(batch)

    batcher = make(call)
    # What would end a greenlet's own process comes as an ordinary error.
    with pytest.raises(type(error) if isinstance(error, Exception) else RuntimeError):
        batcher.submit("bad", 1, "a")
    assert batcher.submit(1, 1, "a") == 2


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (ValueError("ours"), 1),
        (RequestError(500, "c", "ours"), 1),
        (bad_request("theirs"), 0),
        (RowError("theirs", 1), 0),
    ],
)
def test_only_our_own_failures_are_counted(model, error, counted):
    """CONTRACT check 49: a caller's mistakes make no worker unhealthy."""
    batcher = make(model)
    for _ in range(2):
        with pytest.raises(type(error)):
            batcher.submit(error, 1, "a")
    assert batcher.failures == 2 * counted
    batcher.submit(1, 1, "a")
    assert batcher.failures == 0


def test_the_model_runs_in_one_ordinary_thread_and_its_work_is_shown(model):
    seen = []
    batcher = make(lambda batch: [threading.get_ident() for _ in batch])
    batcher.on_change = lambda: seen.append(bool(batcher.busy_since))
    threads = {batcher.submit(1, 1, None) for _ in range(5)}
    assert len(threads) == 1
    assert threads != {threading.get_ident()}
    assert os.getpid() not in threads
    poll(lambda: seen[-1] is False)
    assert True in seen


def test_who_was_just_answered_joins_the_next_call():
    """Else clients stay split for ever into those that wait and those that are served."""
    calls, gate = [], threading.Event()

    def double(batch):
        calls.append(len(batch))
        assert gate.wait(30)
        time.sleep(0.04)
        return [value * 2 for value in batch]

    batcher = Batcher(double, queue=100, batch_rows=100, deadline=20.0)

    def ask():
        for _ in range(6):
            batcher.submit(1, 1, "all")
            # As the answer's way out and the next request's way in.
            for _ in range(5):
                gevent.sleep(0)

    first = gevent.spawn(ask)
    poll(lambda: calls)
    others = [gevent.spawn(ask) for _ in range(3)]
    gevent.sleep(0)  # they wait
    gate.set()
    gevent.joinall([first, *others], timeout=20)
    assert calls == [1, *[4] * 5, 3]


# --- brief calls, on the event loop


class Pure:
    """Doubles numbers, in a time of its own making; notes the threads of its calls."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.threads = []
        self.calls = []

    def __call__(self, batch):
        seconds = self.seconds
        self.threads.append(threading.get_ident())
        self.calls.append([*batch])
        if seconds:  # even sleep(0) gives the CPU away
            time.sleep(seconds)
        return [value if isinstance(value, BaseException) else value * 2 for value in batch]

    @property
    def on_loop(self):
        return [thread == threading.get_ident() for thread in self.threads]


def pure(model, batch_rows=100):
    return Batcher(model, queue=100, batch_rows=batch_rows, deadline=20.0, pure=True)


def test_an_instant_call_needs_no_thread_once_its_time_is_known():
    # A busy machine may come between a call's beginning and its end, but not each time.
    for _ in range(50):
        model = Pure()
        batcher = pure(model)
        assert [batcher.submit(value, 1, "all") for value in (1, 2, 3)] == [2, 4, 6]
        if model.on_loop == [False, True, True]:
            break
    assert model.on_loop == [False, True, True]


def try_out(batcher, model):
    """Have a call for one row tried out until it took no longer than it takes: a busy machine may come between."""
    while not batcher._pace.is_instant(1):
        batcher.try_out(0, 1)
    assert all(model.on_loop)
    model.calls.clear()
    model.threads.clear()


def test_a_call_that_was_tried_out_needs_no_thread_at_all():
    model = Pure()
    batcher = pure(model)
    try_out(batcher, model)
    assert batcher.submit(1, 1, "all") == 2
    assert model.on_loop == [True]


def test_brief_calls_are_made_in_their_turn_and_together():
    model = Pure()
    batcher = pure(model)
    for rows in (1, 2, 3, 4):
        batcher._pace.note(rows, 0.0004)
    spawned = submit(batcher, (1, 1, "all"), (2, 1, "all"), (3, 1, "all"))
    assert [greenlet.get() for greenlet in spawned] == [2, 4, 6]
    assert (model.calls, all(model.on_loop)) == ([[1, 2, 3]], True)


def test_a_call_that_gains_nothing_by_company_goes_at_once():
    model = Pure()
    batcher = pure(model)
    batcher._pace.note(1, 0.00001)
    batcher._pace.note(50, 0.0006)
    batcher._pace.note = lambda *_: None  # what a busy machine adds to the first call is not learned
    spawned = submit(batcher, (1, 50, "all"), (2, 50, "all"))
    assert [greenlet.get() for greenlet in spawned] == [2, 4]
    assert (model.calls, all(model.on_loop)) == ([[1], [2]], True)


def test_a_long_call_goes_to_the_thread_and_an_instant_one_passes_it():
    model, gate = Pure(), threading.Event()

    def call(batch):
        answers = model(batch)
        assert batch != [5] or gate.wait(30)
        return answers

    batcher = pure(call)
    try_out(batcher, model)
    (long,) = submit(batcher, (5, 64, "all"))
    poll(lambda: len(model.calls) == 1)
    assert batcher.submit(1, 1, "all") == 2
    assert not long.ready()
    gate.set()
    assert long.get() == 10
    assert model.on_loop == [False, True]


def test_a_call_that_became_slow_goes_back_to_the_thread():
    model = Pure()
    batcher = pure(model)
    try_out(batcher, model)
    model.seconds = 0.1
    for _ in range(2):
        batcher.submit(1, 1, "all")
    assert model.on_loop == [True, False]


def test_what_shares_no_calls_is_never_instant():
    model = Pure()
    batcher = pure(model)
    try_out(batcher, model)
    batcher.submit(1, 1, None)
    assert model.on_loop == [False]


def test_failures_on_the_loop_are_counted_and_raised():
    model = Pure()
    batcher = pure(model)
    try_out(batcher, model)
    with pytest.raises(ZeroDivisionError):
        batcher.submit(ZeroDivisionError(), 1, "all")
    assert batcher.failures == 1
    with pytest.raises(RowError):
        batcher.submit(RowError("bad"), 1, "all")
    assert batcher.failures == 1
    assert batcher.submit(1, 1, "all") == 2
    assert batcher.failures == 0
