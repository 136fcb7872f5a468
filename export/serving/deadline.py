"""Total time limit of a blocking function, such as a request to a server that sends one byte a second."""

import queue
import threading
from collections.abc import Callable
from typing import TypeVar

_Result = TypeVar("_Result")


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Return the result of a function, or raise TimeoutError if it takes too long.

    The time limits of sockets hold for each byte that arrives, and looking up a host's name has none. So the function
    runs in a thread, which is left to itself after the time limit and does not keep the process alive.

    Args:
        seconds: time limit.
        work: the function, whose exceptions are raised here.
    """
    results: queue.SimpleQueue = queue.SimpleQueue()

    def run():
        try:
            results.put((work(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"there was no complete answer within {seconds:g} s") from None
    if error is not None:
        raise error
    return result
