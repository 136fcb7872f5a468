"""Classes for benchmarked implementations and measured run times.

A result is times, or the reason why there are none.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Prepared(NamedTuple):
    """A function to be timed in a benchmark, with additional values for the report, such as a parameter count.

    The factory of a contestant returns it.

    Attributes:
        run: does the work once and waits for its end on the device; its result is ignored.
        facts: other figures for the report, JSON types: accuracy, parameters, ...
    """

    run: Callable[[], Any]
    facts: dict = {}  # noqa: RUF012 (never written to)


@dataclass(frozen=True)
class Contestant:
    """Description of an implementation to benchmark: name, import path, arguments and worker process.

    Attributes:
        name: column of the report.
        factory: "package.module:function", called in the worker; returns a `Prepared`.
        arguments: the factory's, JSON types.
        worker: name of the process that runs it. Contestants of one framework may share one; default: a process for
            this contestant alone.
        environment: environment variables of that process.
        slow: whether it is timed in the first round only.
    """

    name: str
    factory: str
    arguments: dict = field(default_factory=dict)
    worker: str = ""
    environment: dict = field(default_factory=dict)
    slow: bool = False

    @property
    def process(self) -> str:
        return self.worker or self.name


@dataclass(frozen=True)
class Timing:
    """The measured run times of one benchmarked implementation.

    Attributes:
        seconds: of one repetition, one entry a round.
        repetitions: averaged over in each round.
        facts: the factory's.
    """

    seconds: tuple[float, ...]
    repetitions: int
    facts: dict

    def summary(self) -> dict:
        """Summarise measured run times by their median, quartiles and extremes.

        The number of rounds is there too.
        """
        one_round = len(self.seconds) == 1
        lower, median, upper = (
            self.seconds * 3 if one_round else statistics.quantiles(self.seconds, n=4, method="inclusive")
        )
        return {
            "median": median,
            "quartiles": [lower, upper],
            "min": min(self.seconds),
            "max": max(self.seconds),
            "rounds": len(self.seconds),
            "repetitions": self.repetitions,
            "facts": self.facts,
        }


@dataclass(frozen=True)
class NotRun:
    """Benchmark result of an implementation that could not be run.

    The implementation failed or is not installed.

    Attributes:
        reason: one line.
    """

    reason: str

    def summary(self) -> dict:
        """Return a dictionary with the reason why an implementation was not timed."""
        return {"reason": self.reason}
