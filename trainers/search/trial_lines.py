"""Printing of one progress line for each started trial and each finished epoch of a hyper-parameter search."""

import threading
from pathlib import Path

import keras_tuner

from ..fitting.callbacks import describe_epoch
from ..runs.atomic_folder import AtomicFolder
from ..runs.errors import UserError
from ..runs.run_directory import RunDirectory
from .records import RECORD_FILE, TRIALS, describe_settings


class TrialLines:
    """Progress output of a hyper-parameter search, with a line for each started trial and each finished epoch.

    The printer reads the trials' files, so it also shows trials of worker processes, on this machine or on others.

    Args:
        oracle: the search's oracle, which knows the running trials.
        out: the search's folder; what its trials did before is not printed.
    """

    def __init__(self, oracle: keras_tuner.Oracle, out: Path):
        self.oracle, self.out = oracle, out
        self._lock = threading.Lock()  # the end of a trial is printed in a thread of the oracle's server
        earlier = [path.name.removeprefix("trial_") for path in out.glob(TRIALS)]
        self._earlier = {_attempt(self._record(trial)) for trial in earlier}
        self._printed: dict[tuple, int] = {}  # attempt at a trial -> number of its epochs printed

    def print_running(self) -> None:
        """Print the newly finished epochs of all running hyper-parameter search trials, one line per epoch."""
        for trial in list(self.oracle.ongoing_trials.values()):
            self.print_trial(trial.trial_id)

    def print_trial(self, trial: str) -> None:
        """Print the newly finished epochs of one hyper-parameter search trial, one line per epoch."""
        with self._lock:
            record = self._record(trial)
            attempt = _attempt(record)
            if not record or attempt in self._earlier:
                return
            if attempt not in self._printed:
                self._printed[attempt] = 0
                print(f"trial {trial} begins: {describe_settings(record['settings'])}", flush=True)
            rows = self._read(trial, lambda folder: folder.read_json_lines(RunDirectory.metrics_file), [])
            for row in rows[self._printed[attempt] :]:
                print(f"trial {trial}: {describe_epoch(row, record['epochs'])}", flush=True)
                self._printed[attempt] += 1

    def _record(self, trial) -> dict:
        return self._read(trial, lambda folder: folder.read_json(RECORD_FILE, "settings", "epochs"), {})

    def _read(self, trial, read, default):
        try:
            return read(AtomicFolder(self.out / f"trial_{trial}"))
        except UserError:  # not written yet
            return default


def _attempt(record: dict) -> tuple:
    """Return a tuple that identifies one attempt to run a trial of a hyper-parameter search.

    Its items are the trial, the search worker and the start time.
    """
    return tuple(record.get(key) for key in ("trial", "worker", "started"))
