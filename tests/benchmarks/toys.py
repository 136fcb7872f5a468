"""Contestants whose times are known, for the tests of the harness."""

import os
import time
from pathlib import Path

from benchmarks.contestant import Prepared


def sleeper(seconds, log=None, says="", facts=None):
    """Sleeps; writes a word to a file each time it runs."""

    def run():
        time.sleep(seconds)
        if log:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(says + "\n")

    return Prepared(run, facts or {})


def not_installed():
    import a_package_that_does_not_exist  # noqa: F401


def needs_wave():
    import wave

    return Prepared(lambda: wave)


def fails_later():
    """Compiles and calibrates, then raises."""
    calls = []

    def run():
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("first line\nwhat happened")

    return Prepared(run)


def dies():
    os._exit(3)


def chatty():
    """Prints to standard output, where the answers go."""
    return Prepared(lambda: print('{"seconds": -1}', flush=True))


def keeper_of_memory(mebibytes, seconds=0.0):
    """Fills memory."""
    kept = []

    def run():
        kept.append(b"x" * (mebibytes << 20))
        time.sleep(seconds)

    return Prepared(run)
