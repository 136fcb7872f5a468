"""Contestants of known duration and behaviour, for the tests of the harness."""

import os
import time
from pathlib import Path

from benchmarks.harness.contestant import Prepared


def sleeper(seconds, log=None, word="", facts=None):
    """Return a contestant that sleeps, and writes a word to a file each time it runs."""

    def run():
        time.sleep(seconds)
        if log:
            with Path(log).open("a", encoding="utf-8") as file:
                file.write(word + "\n")

    return Prepared(run, facts or {})


def converging(iterations, factor=1.0):
    """Return a contestant whose gradient error falls with its iterations; a factor of None makes it not finite."""
    return Prepared(lambda: None, {"gradient error": factor and factor / iterations})


def not_installed():
    import a_package_that_does_not_exist  # noqa: F401


def needs_wave():
    import wave

    return Prepared(lambda: wave)


def fails_later():
    """Return a contestant that runs twice, to compile and to calibrate, then raises."""
    calls = []

    def run():
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("first line\nwhat happened")

    return Prepared(run)


def dies():
    os._exit(3)


def chatty():
    """Return a contestant that prints to standard output, which carries the worker's answers."""
    return Prepared(lambda: print('{"seconds": -1}', flush=True))


def memory_hog(mebibytes, seconds=0.0):
    """Return a contestant that allocates memory at every run and keeps it."""
    blocks = []

    def run():
        blocks.append(b"x" * (mebibytes << 20))
        time.sleep(seconds)

    return Prepared(run)
