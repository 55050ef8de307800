"""Multi-model endpoints: models that come and go by the API under /models."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from byoc_cli.doctor.check import Failed, check, must, not_offered
from byoc_cli.doctor.models import Models, place
from byoc_cli.doctor.subject import variables

if TYPE_CHECKING:
    from pathlib import Path

    from byoc_cli.doctor.address import Answer
    from byoc_cli.doctor.subject import Subject

LABEL = "com.amazonaws.sagemaker.capabilities.multi-models"
OK, CONFLICT, NO_MEMORY, NOT_FOUND = 200, 409, 507, 404
REFUSALS = (400, NOT_FOUND)
MEBIBYTE = 1 << 20
# Models that may be loaded until memory is short, and what of it the first three of them do not need.
MOST_MODELS = 24
SLACK = 32 * MEBIBYTE
ENDING_SECONDS = 15.0
CYCLES = 50
CYCLING_SECONDS = 20.0
CROWDED_SECONDS = 6.0
PING_SECONDS = 2.0


def labelled(subject: Subject) -> bool:
    """Tell whether the image claims to hold many models."""
    return (subject.config.get("Labels") or {}).get(LABEL) == "true"


def models(subject: Subject, count: int, *options: str, **others: Path) -> Models:
    """Return a server with models to load; end the check where the image does not claim to hold any."""
    if not labelled(subject):
        not_offered(f"the image has no label {LABEL}=true")
    return Models(subject, count, *options, others=others)


def good(what: str, answer: Answer) -> Answer:
    """Fail the check unless the answer is 200."""
    must(answer.status == OK, f"{what} is answered {answer.summary}")
    return answer


@check(
    86, "M", "served with SAGEMAKER_MULTI_MODEL=true and no model",
    expected='/ping answers 200 and GET /models {"models": []}; the label multi-models=true is there iff that works',
    advice=f"label the image {LABEL}=true, and be ready before there is a model",
)  # fmt: skip
def check_86_no_models(subject: Subject) -> str:
    """The endpoint is in service before the first model is asked for."""
    if labelled(subject):
        with models(subject, 0) as server:
            listed, _ = server.page()
        must(listed == [], f"without a model GET /models lists {listed}")
        return f"ready, no models, and the label {LABEL}=true"
    server_of_one = subject.serve(*variables({"SAGEMAKER_MULTI_MODEL": "true"}))
    with server_of_one.container:
        answer = server_of_one.ask("GET", "/models")
    must(answer.status != OK or '"models"' not in answer.text, f"/models works, but the label {LABEL} is missing")
    return not_offered(f"no label {LABEL}=true, and GET /models is answered by {answer.status}")


@check(
    87, "M", "loaded a model and asked it 100 times at once",
    expected="200 each time: every worker knows the model once POST /models is answered",
    advice="answer POST /models when the model is ready in all workers, or keep each model in one process",
)  # fmt: skip
def check_87_known_at_once(subject: Subject) -> str:
    """Each request on a connection of its own, so that all workers are asked."""
    with models(subject, 1) as server:
        good("POST /models", server.load("m0"))
        for number in range(100):
            good(f"request {number + 1} to the model just loaded", server.invoke("m0"))
    return "100 good answers"


@check(
    88, "M", "loaded a model twice, and asked for one that is not loaded",
    expected="409; and 404 to GET, DELETE and invoke",
    advice="refuse a name that is taken by 409, and any path of a model that is not loaded by 404",
)  # fmt: skip
def check_88_conflicts(subject: Subject) -> str:
    """SageMaker tells its own state from these."""
    with models(subject, 1) as server:
        good("POST /models", server.load("m0"))
        answer = server.load("m0")
        must(answer.status == CONFLICT, f"the same model again is answered {answer.summary}")
        for what, answer in {
            "GET": server.get("nobody"),
            "DELETE": server.unload("nobody"),
            "invoke": server.invoke("nobody"),
        }.items():
            must(answer.status == NOT_FOUND, f"{what} of a model that is not loaded is answered {answer.summary}")
        good("the model that was loaded twice", server.invoke("m0"))
    return "409, and 404 three times"


@check(
    89, "M", "listed five models, two at a time and all at once",
    expected="each once, by modelName and modelUrl; nextPageToken on all pages but the last",
    advice="sort by name, and let the token say where the next page begins",
)  # fmt: skip
def check_89_pages(subject: Subject) -> str:
    """Without a limit the page may be as large as one likes."""
    names = [f"m{number}" for number in range(5)]
    with models(subject, len(names)) as server:
        for name in names:
            good("POST /models", server.load(name))
        one = good("GET /models/m0", server.get("m0")).json()
        # multi-model-server answers by a list of one, and says more.
        one = one[0] if isinstance(one, list) and one else one
        told = isinstance(one, dict) and (one.get("modelName"), one.get("modelUrl"))
        must(told == ("m0", place("m0")), f"GET /models/m0 is answered {one}")
        must(sorted(server.names()) == names, f"GET /models lists {server.names()}")
        listed, token = server.page(limit="2")
        for _ in names:
            if not token:
                break
            more, token = server.page(limit="2", next_page_token=str(token))
            listed += more
        paged = [model["modelName"] for model in listed]
    must(not token and sorted(paged) == names, f"two at a time it lists {', '.join(paged)}")
    return f"{len(names)} models, in pages of two and in one"


@check(
    90, "M", "loaded models until memory was short",
    expected="507, and the container survives; after DELETE of another model the same POST answers 200",
    advice="compare what a model needs with what the cgroup has left before loading, and take MemoryError for 507",
)  # fmt: skip
def check_90_memory(subject: Subject) -> str:
    """Given 507, SageMaker unloads what was used longest ago and tries again."""
    with models(subject, 1) as server:
        empty = server.memory()
        good("POST /models", server.load("m0"))
        limit = server.memory() + 2 * (server.memory() - empty) + SLACK
    with limited(subject, limit) as server:
        for number in range(MOST_MODELS):
            told = f"model {number + 1} within {limit // MEBIBYTE} MB"
            try:
                answer = server.load(f"m{number}")
            except Failed as failed:
                # A connection ends a moment before the container does.
                ended = server.container.wait(ENDING_SECONDS) is not None
                raise Failed(f"{told}: {failed}{'; the container ended' if ended else ''}") from failed
            if answer.status != OK:
                break
        if answer.status == OK:
            not_offered(f"{MOST_MODELS} models fit into {limit // MEBIBYTE} MB: they are too small to try")
        must(answer.status == NO_MEMORY, f"{told} is answered {answer.summary}")
        must(server.container.state()["Running"], f"{told} is answered by 507, and the container ends")
        must(number > 0, f"not even one model fits into {limit // MEBIBYTE} MB")
        good("a model loaded before", server.invoke("m0"))
        good("DELETE", server.unload("m0"))
        good("the same POST after a DELETE", server.load(f"m{number}"))
        good("the model that found room", server.invoke(f"m{number}"))
    return f"507 to {told}; after a DELETE there was room"


def limited(subject: Subject, limit: int) -> Models:
    """Return a server with little memory; more than that, where it needs more to start.

    Raises:
        Failed: half as much again is still too little.
    """
    for factor in (1.0, 1.25):
        options = [f"--memory={int(limit * factor)}", f"--memory-swap={int(limit * factor)}"]
        try:
            return models(subject, MOST_MODELS, *options)
        except Failed:
            continue
    return models(subject, MOST_MODELS, f"--memory={int(limit * 1.5)}", f"--memory-swap={int(limit * 1.5)}")


@check(
    91, "S", f"loaded and unloaded a model up to {CYCLES} times",
    expected="memory comes back to within 10 %, and no file stays open",
    advice="free all that a model holds before DELETE is answered; a process for each model does so by its end",
)  # fmt: skip
def check_91_leaks(subject: Subject) -> str:
    """With ModelCacheSetting=Disabled each request is such a cycle."""
    with models(subject, 1) as server:

        def cycle() -> None:
            good("POST /models", server.load("m0"))
            good("invoke", server.invoke("m0"))
            good("DELETE", server.unload("m0"))

        for _ in range(3):
            cycle()
        memory, files = server.memory(), server.files()
        good("POST /models", server.load("m0"))
        # An allocator may keep what a model or two had, for the next one.
        model = max(0, server.memory() - memory)
        good("DELETE", server.unload("m0"))
        end, count = time.monotonic() + CYCLING_SECONDS, 0
        while count < CYCLES and time.monotonic() < end:
            cycle()
            count += 1
        grown, opened = server.memory() - memory, server.files() - files
    must(
        grown < 0.1 * memory + 2 * model + 8 * MEBIBYTE,
        f"{count} cycles took {grown // MEBIBYTE} MB that did not come back",
    )
    must(opened < max(5, count // 4), f"after {count} cycles {opened} more files are open")
    return f"{count} cycles: memory {grown / MEBIBYTE:+.1f} of {memory // MEBIBYTE} MB, open files {opened:+d}"


@check(
    92, "S", "loaded a model of broken files",
    expected="4xx or 5xx with the reason; it is not listed, and others are as before",
    advice="register a model only once it has been loaded",
)  # fmt: skip
def check_92_broken_model(subject: Subject) -> str:
    """An upload that was cut short, for instance."""
    broken = subject.job() / "model"
    for file in subject.model_files:
        copy = broken / file.relative_to(subject.model)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"\0broken" + file.read_bytes()[:100])
    with models(subject, 1, broken=broken) as server:
        good("POST /models", server.load("m0"))
        answer = server.load("broken")
        must(400 <= answer.status < 600, f"a broken model is answered {answer.summary}")
        must(len(answer.body) > 0, f"a broken model is answered {answer.status} without a reason")
        must(server.names() == ["m0"], f"after a broken model GET /models lists {server.names()}")
        good("the model loaded before", server.invoke("m0"))
    return answer.summary


@check(
    93, "S", "loaded from outside /opt/ml/models, and under names that are paths",
    expected="400 or 404, and nothing is loaded",
    advice="resolve the url and compare it with /opt/ml/models; allow letters, digits, `.`, `_` and `-` in names",
)  # fmt: skip
def check_93_paths(subject: Subject) -> str:
    """A good model lies at each of these places: only the rule keeps it out."""
    outside = f"--volume={subject.model}:/srv/model:ro"
    urls = {"u1": "/srv/model", "u2": "/opt/ml/models/../../../srv/model", "u3": "file:///srv/model"}
    names = ("../m0", "m0/../m1", "a/b", "..%2fm0", "")
    with models(subject, 1, outside) as server:
        answers = {f"url {url}": server.load(name, url) for name, url in urls.items()}
        answers |= {f"name {name!r}": server.load(name, place("m0")) for name in names}
        for path in ("/models/..%2f..%2f..%2fetc", "/models/%2e%2e%2fm0"):
            answers[f"GET {path}"] = server.ask("GET", path)
        for what, answer in answers.items():
            must(answer.status in REFUSALS, f"{what} is answered {answer.summary}")
        must(server.names() == [], f"GET /models lists {server.names()}")
    return f"{len(answers)} refused"


@check(
    94, "S", f"loaded, asked and unloaded four models at once for {CROWDED_SECONDS:.0f} s",
    expected="all goes well, and /ping answers within 2 s throughout",
    advice="hold no lock while a model is loaded, and answer /ping without any",
    timed=True,
)  # fmt: skip
def check_94_crowd(subject: Subject) -> str:
    """Different models, so that none of this may fail."""
    stop = threading.Event()
    with models(subject, 5) as server, ThreadPoolExecutor(5) as pool:
        good("POST /models", server.load("m4"))

        def come_and_go(name: str) -> int:
            count = 0
            while not stop.is_set():
                good(f"POST /models with {name}", server.load(name))
                good(f"invoke of {name}", server.invoke(name))
                good(f"DELETE of {name}", server.unload(name))
                count += 1
            return count

        def stay() -> int:
            count = 0
            while not stop.is_set():
                good("invoke of a model that stays", server.invoke("m4"))
                count += 1
            return count

        work = [*(pool.submit(come_and_go, f"m{number}") for number in range(4)), pool.submit(stay)]
        try:
            slowest = slowest_ping(server, CROWDED_SECONDS)
        finally:
            stop.set()
        *cycles, invoked = [job.result() for job in work]
        must(server.names() == ["m4"], f"in the end GET /models lists {server.names()}")
    return f"{sum(cycles)} cycles and {invoked} answers beside; the slowest /ping took {slowest * 1000:.0f} ms"


def slowest_ping(server: Models, seconds: float) -> float:
    """Ask /ping for some seconds and return the longest that an answer took."""
    slowest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        good("/ping", server.ask("GET", "/ping", timeout=20))
        slowest = max(slowest, time.monotonic() - began)
        must(slowest < PING_SECONDS, f"/ping took {slowest:.1f} s while models were loaded")
        time.sleep(0.05)
    return slowest
