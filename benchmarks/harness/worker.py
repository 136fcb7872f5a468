"""A benchmark's subprocess, which compiles and times implementations for the main process.

Run by `python -m benchmarks.harness.worker`, one for each framework's thread pool.

It reads one JSON request a line and writes one JSON answer a line:

    {"do": "prepare", "key", "factory", "arguments", "calibrate"} -> {"seconds", "facts"}    compiles, by running once
    {"do": "time", "key", "repetitions"}                          -> {"seconds"}             of one repetition
    {"do": "forget"}                                              -> {}                      drops everything prepared
    {"do": "peak"}                                                -> {"resident", "device"}  bytes; device or null

A request that fails is answered with {"error": one line}.
"""

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

HIDDEN = "BENCHMARKS_HIDDEN_PACKAGES"  # environment variable: packages that the process must not import


def answer(request, runs):
    """Carry out one benchmark request: compile or time an implementation, or measure memory.

    Another request is to forget all contestants. Return the answer.

    Args:
        request: one of the requests in the module's docstring.
        runs: key -> function of every contestant prepared so far; changed in place.
    """
    if request["do"] in ("build", "prepare"):
        if request["key"] not in runs:
            module, function = request["factory"].split(":")
            runs[request["key"]] = getattr(importlib.import_module(module), function)(**request["arguments"])
        if request["do"] == "build":
            return {}
        contestant = runs[request["key"]]
        contestant.run()
        return {"seconds": mean_seconds(contestant.run, 1) if request["calibrate"] else None, "facts": contestant.facts}
    if request["do"] == "time":
        if request["key"] not in runs:
            raise RuntimeError("another contestant ended the process that they share")
        return {"seconds": mean_seconds(runs[request["key"]].run, request["repetitions"])}
    if request["do"] == "forget":
        runs.clear()
        return {}
    if request["do"] == "peak":
        return peak_memory()
    raise ValueError(f"unknown request {request['do']!r}")


def reply_to(request, runs):
    """Carry out one benchmark request, and return its answer, or {"error": one line} if it fails.

    Args:
        request, runs: as in `answer`.
    """
    try:
        return answer(request, runs)
    except Exception as error:
        traceback.print_exc()
        lines = str(error).strip().splitlines()  # TensorFlow puts the cause on the last line
        return {"error": f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"}


def mean_seconds(run, repetitions):
    """Return the mean duration, in seconds, of repeated calls of a function."""
    start = time.perf_counter()
    for _ in range(repetitions):
        run()
    return (time.perf_counter() - start) / repetitions


def peak_memory():
    """Return this process's peak memory so far, in bytes, on the host and on a JAX accelerator.

    It is {"resident", "device"}, the latter None without an accelerator.
    """
    device = None
    if "jax" in sys.modules:
        statistics = sys.modules["jax"].devices()[0].memory_stats()
        device = (statistics or {}).get("peak_bytes_in_use")
    # Not getrusage's ru_maxrss: a child begins with its parent's.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"resident": int(status["VmHWM"].split()[0]) * 1024, "device": device}


class ImportBlocker:
    """An import hook that makes chosen packages look as if they were not installed.

    Args:
        packages: their names.
    """

    def __init__(self, packages):
        self._packages = packages

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._packages:
            raise ModuleNotFoundError(f"{name} is hidden from this process", name=name)
        return None


def serve():
    """Execute benchmark requests from standard input, and print the answers as JSON.

    Each takes one line. The function returns at the end of file.
    """
    sys.meta_path.insert(0, ImportBlocker(os.environ.get(HIDDEN, "").split(",")))
    # Libraries that print to standard output must not write between the answers: they get standard error.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    runs = {}
    for line in sys.stdin:
        print(json.dumps(reply_to(json.loads(line), runs)), file=answers, flush=True)


if __name__ == "__main__":
    serve()
