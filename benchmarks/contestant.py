"""What takes part in a benchmark: a name, and where the worker process finds the code."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Prepared(NamedTuple):
    """What a contestant's factory returns.

    Attributes:
        run: does the work once, to its end (nothing left running on a device); its result is ignored.
        facts: what else is worth reporting, JSON types: accuracy, parameters, ...
    """

    run: Callable[[], Any]
    facts: dict = {}  # noqa: RUF012 (never written to)


@dataclass(frozen=True)
class Contestant:
    """One entry of a comparison.

    Attributes:
        name: column of the report.
        factory: "package.module:function", called in the worker; returns a `Prepared`.
        arguments: the factory's, JSON types.
        worker: the process it lives in. Contestants of one framework may share one; by default it has its own.
        environment: environment variables of that process.
        slow: whether it is timed once, in the first round, and no more.
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
    """Times of a contestant.

    Attributes:
        seconds: of one repetition, one entry a round.
        repetitions: averaged over in each round.
        facts: the factory's.
    """

    seconds: tuple[float, ...]
    repetitions: int
    facts: dict


@dataclass(frozen=True)
class NotRun:
    """A contestant that is not installed or failed.

    Attributes:
        reason: one line.
    """

    reason: str
