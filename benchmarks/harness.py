"""Times contestants against each other: interleaved rounds, medians, ratios."""

import math
import statistics

from benchmarks.contestant import NotRun, Timing
from benchmarks.processes import Processes, WorkerFailed

ROUNDS = 15
QUICK_ROUNDS = 3
SLOW_ROUNDS = 1
ROUND_SECONDS = 0.03  # a contestant faster than this is repeated within its round
MOST_REPETITIONS = 100


def measure(contestants, rounds=ROUNDS, processes=None):
    """Times contestants in turn, A B C A B C ..., so that whatever else the machine does meets them all.

    Each is compiled and run before the first round. One that fails, at any time, is out and says why.

    Args:
        contestants: `Contestant`s with different names.
        rounds: how often each is asked.
        processes: the `Processes` to use, left running; by default new ones, ended here.

    Returns:
        {name: `Timing` or `NotRun`}, in the order given.
    """
    if processes is None:
        with Processes() as own:
            return measure(contestants, rounds, own)
    results, seconds, repetitions, facts = {}, {}, {}, {}
    for process in {c.process: c for c in contestants}.values():
        _attempt({}, process, processes, do="forget")
    for c in contestants:
        request = {"key": c.name, "factory": c.factory, "arguments": c.arguments, "calibrate": not c.slow}
        reply = _attempt(results, c, processes, do="prepare", **request)
        if reply is not None:
            seconds[c.name], facts[c.name] = [], reply["facts"]
            repetitions[c.name] = 1 if c.slow else _repetitions(reply["seconds"])
    for done in range(rounds):
        for c in contestants:
            if c.name in results or (c.slow and done >= SLOW_ROUNDS):
                continue
            reply = _attempt(results, c, processes, do="time", key=c.name, repetitions=repetitions[c.name])
            if reply is not None:
                seconds[c.name].append(reply["seconds"])
    for name in seconds:
        results.setdefault(name, Timing(tuple(seconds[name]), repetitions[name], facts[name]))
    return {c.name: results[c.name] for c in contestants}


def peak_memory(contestant, repetitions=3):
    """Largest memory of a fresh process that prepares a contestant and runs it a few times.

    Args:
        contestant: a `Contestant`.
        repetitions: number of runs.

    Returns:
        {"resident": bytes, "device": bytes on the accelerator or None}, or `NotRun`.
    """
    with Processes() as processes:
        try:
            request = {"key": "it", "factory": contestant.factory, "arguments": contestant.arguments}
            processes.ask(contestant, do="prepare", calibrate=False, **request)
            processes.ask(contestant, do="time", key="it", repetitions=repetitions - 1)
            return processes.ask(contestant, do="peak")
        except WorkerFailed as failure:
            return NotRun(str(failure))


def median(timing):
    """Median seconds of a `Timing`; None of a `NotRun`."""
    return statistics.median(timing.seconds) if isinstance(timing, Timing) else None


def ratio(timing, other):
    """How many times as long as the other it takes: (ratio of the medians, median of the rounds' ratios), or None."""
    if not (isinstance(timing, Timing) and isinstance(other, Timing)):
        return None
    rounds = [a / b for a, b in zip(timing.seconds, other.seconds, strict=False)]  # a slow one has fewer
    return median(timing) / median(other), statistics.median(rounds)


def fastest(results, names=None):
    """Name of the contestant with the smallest median, or None where none ran.

    Args:
        results: of `measure`.
        names: who is looked at; all by default.
    """
    ran = [name for name in (results if names is None else names) if isinstance(results.get(name), Timing)]
    return min(ran, key=lambda name: median(results[name]), default=None)


def _repetitions(seconds):
    return max(1, min(MOST_REPETITIONS, math.ceil(ROUND_SECONDS / max(seconds, 1e-9))))


def _attempt(results, contestant, processes, **request):
    """The worker's answer; None, and a `NotRun` among the results, where it has none."""
    try:
        return processes.ask(contestant, **request)
    except WorkerFailed as failure:
        results[contestant.name] = NotRun(str(failure))
        return None
