"""Functions that time several implementations in turn, over several rounds, and compare the measured times.

Peak memory is measured too.
"""

import math
import statistics

from benchmarks.harness.contestant import NotRun, Timing
from benchmarks.harness.processes import Processes, WorkerFailed

ROUNDS = 15
QUICK_ROUNDS = 3
SLOW_ROUNDS = 1
ROUND_SECONDS = 0.03  # shortest round: a contestant faster than this is repeated within its round
MAX_REPETITIONS = 100


def measure(contestants, rounds=ROUNDS, processes=None, *, builds_all_first=False):
    """Measure the run times of several implementations, one after the other in each of several rounds.

    The order is A B C A B C ..., so that other load on the machine affects all of them alike.

    Each is compiled and run before the first round. One that fails, at any time, is left out from then on and its
    result is the reason.

    Args:
        contestants: `Contestant`s with different names.
        rounds: how often each is timed.
        processes: the `Processes` to use, left running; default: new ones, ended here.
        builds_all_first: whether all are built before the first is run. Those that compile in threads of their own then
            compile at the same time.

    Returns:
        {name: `Timing` or `NotRun`}, in the order of `contestants`.
    """
    if processes is None:
        with Processes() as new_processes:
            return measure(contestants, rounds, new_processes, builds_all_first=builds_all_first)
    failures, seconds, repetitions, facts = {}, {}, {}, {}
    for contestant in {c.process: c for c in contestants}.values():
        _request({}, contestant, processes, do="forget")
    for c in contestants if builds_all_first else ():
        _request(failures, c, processes, do="build", key=c.name, factory=c.factory, arguments=c.arguments)
    for c in contestants:
        if c.name in failures:
            continue
        fields = {"key": c.name, "factory": c.factory, "arguments": c.arguments, "calibrate": not c.slow}
        reply = _request(failures, c, processes, do="prepare", **fields)
        if reply is not None:
            seconds[c.name], facts[c.name] = [], reply["facts"]
            repetitions[c.name] = 1 if c.slow else _repetitions(reply["seconds"])
    for round_number in range(rounds):
        for c in contestants:
            if c.name in failures or (c.slow and round_number >= SLOW_ROUNDS):
                continue
            reply = _request(failures, c, processes, do="time", key=c.name, repetitions=repetitions[c.name])
            if reply is not None:
                seconds[c.name].append(reply["seconds"])
    timings = {name: Timing(tuple(seconds[name]), repetitions[name], facts[name]) for name in seconds}
    return {c.name: failures.get(c.name) or timings[c.name] for c in contestants}


def peak_memory(contestant, repetitions=3):
    """Measure a benchmarked implementation's peak memory in a new process.

    The process runs it a few times.

    Args:
        contestant: a `Contestant`.
        repetitions: number of runs.

    Returns:
        {"resident": bytes, "device": bytes on the accelerator or None}, or `NotRun`.
    """
    with Processes() as processes:
        try:
            fields = {"key": "contestant", "factory": contestant.factory, "arguments": contestant.arguments}
            processes.request(contestant, do="prepare", calibrate=False, **fields)
            processes.request(contestant, do="time", key="contestant", repetitions=repetitions - 1)
            return processes.request(contestant, do="peak")
        except WorkerFailed as failure:
            return NotRun(str(failure))


def median(timing):
    """Return the median run time of an implementation in seconds, or None if the implementation did not run."""
    return statistics.median(timing.seconds) if isinstance(timing, Timing) else None


def ratio(timing, other):
    """Compare two implementations' run times, and return the ratio of the medians and the median of the ratios.

    The second is the median, over rounds, of the ratio of the run times in one round.

    Return None if one of them did not run.
    """
    if not (isinstance(timing, Timing) and isinstance(other, Timing)):
        return None
    rounds = [a / b for a, b in zip(timing.seconds, other.seconds, strict=False)]  # a slow contestant has fewer
    return median(timing) / median(other), statistics.median(rounds)


def fastest(results, names=None):
    """Return the name of the implementation with the smallest median time, or None if none ran.

    Args:
        results: of `measure`.
        names: contestants to choose from; default: all.
    """
    ran = [name for name in (results if names is None else names) if isinstance(results.get(name), Timing)]
    return min(ran, key=lambda name: median(results[name]), default=None)


def _repetitions(seconds):
    return max(1, min(MAX_REPETITIONS, math.ceil(ROUND_SECONDS / max(seconds, 1e-9))))


def _request(failures, contestant, processes, **fields):
    """Send a command to a process that runs benchmarks, and return the answer, or None if the process failed.

    The failure is recorded as a `NotRun`.
    """
    try:
        return processes.request(contestant, **fields)
    except WorkerFailed as failure:
        failures[contestant.name] = NotRun(str(failure))
        return None
