"""The process in which contestants live: `python -m benchmarks.worker`. So frameworks keep their thread pools apart.

One JSON request a line comes in, one answer a line goes out:

    {"do": "prepare", "key", "factory", "arguments", "calibrate"} -> {"seconds", "facts"}    compiles, by running once
    {"do": "time", "key", "repetitions"}                          -> {"seconds"}             of one repetition
    {"do": "forget"}                                              -> {}                      drops what was prepared
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

HIDDEN = "BENCHMARKS_HIDDEN_PACKAGES"  # environment variable: packages that the process is to do without


def answer(request, prepared):
    """Does what a request asks.

    Args:
        request: as in the module's docstring.
        prepared: what has been prepared so far, key -> function; changed in place.

    Returns:
        The answer.
    """
    if request["do"] == "prepare":
        module, function = request["factory"].split(":")
        made = getattr(importlib.import_module(module), function)(**request["arguments"])
        made.run()
        prepared[request["key"]] = made.run
        return {"seconds": seconds_of(made.run, 1) if request["calibrate"] else None, "facts": made.facts}
    if request["do"] == "time":
        if request["key"] not in prepared:
            raise RuntimeError("another contestant ended the process that they share")
        return {"seconds": seconds_of(prepared[request["key"]], request["repetitions"])}
    if request["do"] == "forget":
        prepared.clear()
        return {}
    if request["do"] == "peak":
        return peak_memory()
    raise ValueError(f"unknown request {request['do']!r}")


def seconds_of(run, repetitions):
    """Mean seconds of one of several runs in a row."""
    start = time.perf_counter()
    for _ in range(repetitions):
        run()
    return (time.perf_counter() - start) / repetitions


def peak_memory():
    """Largest resident size of this process so far, and the largest amount used on a JAX accelerator (or None)."""
    device = None
    if "jax" in sys.modules:
        statistics = sys.modules["jax"].devices()[0].memory_stats()
        device = (statistics or {}).get("peak_bytes_in_use")
    # Not getrusage's ru_maxrss: a child begins with its parent's.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"resident": int(status["VmHWM"].split()[0]) * 1024, "device": device}


class Hider:
    """An import finder by which some packages are not installed.

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
    sys.meta_path.insert(0, Hider(os.environ.get(HIDDEN, "").split(",")))
    # What libraries print to standard output goes to standard error; the answers have the pipe to themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    prepared = {}
    for line in sys.stdin:
        try:
            reply = answer(json.loads(line), prepared)
        except Exception as error:
            traceback.print_exc()
            lines = str(error).strip().splitlines()  # TensorFlow says what happened last
            reply = {"error": f"{type(error).__name__}: {lines[-1].strip() if lines else ''}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    serve()
