"""List of training runs with the settings in which they differ, for output as JSON or CSV."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..config.differences import differing_settings, setting_text
from .listed_run import ListedRun

# Name of an order -> key of a run; the runs with the largest keys come first. The best run is that with the highest
# validation accuracy: if the test images chose it, they would no longer be a test.
ORDERS: dict[str, Callable[[ListedRun], tuple]] = {
    "newest": lambda run: (run.started,),
    "best": lambda run: (-1.0 if run.validation_accuracy is None else run.validation_accuracy, run.started),
}
_ALWAYS_SHOWN = ("epochs",)  # a setting that every record has, whether the runs differ in it or not


@dataclass(frozen=True)
class RunList:
    """Sorted list of training runs, with the settings in which they differ.

    Attributes:
        runs: the runs.
        settings: setting -> its value in each run, for settings that are not the same in all runs.
    """

    runs: Sequence[ListedRun]
    settings: dict[str, list]

    @classmethod
    def of(cls, runs: Sequence[ListedRun], order: str) -> "RunList":
        """Sort training runs, and find the settings in which they differ.

        Args:
            runs: the runs.
            order: a name in `ORDERS`.
        """
        runs = sorted(runs, key=ORDERS[order], reverse=True)
        settings = differing_settings([run.config for run in runs])
        return cls(runs, {name: values for name, values in settings.items() if name not in _ALWAYS_SHOWN})

    def records(self) -> list[dict]:
        """Return one JSON-compatible dictionary per training run, with the run's state and results.

        The differing settings are a dictionary under the key "settings".
        """
        return [
            {**_results(run), "settings": {name: values[i] for name, values in self.settings.items()}}
            for i, run in enumerate(self.runs)
        ]

    def rows(self) -> list[list]:
        """Return the list of training runs as table rows, with the header first.

        There is a column for each setting in which the runs differ. Values of settings are text, as flags take
        them, and None where the setting has no value.
        """
        settings = self.settings.values()
        rows = [
            [*_results(run).values(), *(None if values[i] is None else setting_text(values[i]) for values in settings)]
            for i, run in enumerate(self.runs)
        ]
        return [[*_RESULTS, *self.settings], *rows]


_RESULTS: dict[str, Callable[[ListedRun], object]] = {
    "run": lambda run: str(run.path),
    "state": lambda run: run.state,
    "started": lambda run: run.started.isoformat(timespec="seconds"),
    "test_accuracy": lambda run: run.test_accuracy,
    "validation_accuracy": lambda run: run.validation_accuracy,
    "epochs_done": lambda run: run.epochs_done,
    "epochs": lambda run: run.epochs,
    "seconds": lambda run: round(run.seconds, 2),
    "parameters": lambda run: run.parameters,
    "failure": lambda run: run.failure,
}


def _results(run: ListedRun) -> dict:
    return {name: value(run) for name, value in _RESULTS.items()}
