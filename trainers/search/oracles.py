"""Crash-safe versions of KerasTuner's oracles, so that interrupted hyper-parameter searches can resume.

This is the only file that uses private names of KerasTuner; tests check each of them.
"""

import functools
import logging
from concurrent import futures
from typing import Any

import grpc
import keras_tuner
import numpy as np
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from ..runs.atomic_folder import AtomicFolder
from ..runs.disk_errors import disk_error
from .plan import TUNERS
from .records import ORACLE_FILE, TRIAL_FILE, TRIALS

# KerasTuner stops a search after 3 failures in a row, and the trials after them would never run.
_UNLIMITED_FAILURES = 1 << 31


class _CrashSafeOracle(keras_tuner.Oracle):
    """Mixin that makes a KerasTuner oracle crash-safe.

    It writes files atomically and resumes even if some files are lost.

    KerasTuner itself writes files in place, so a killed search can leave half a file. It names a new trial by the
    number of trials, so that a lost trial makes it overwrite another. It loses a trial that was started and not yet
    listed in its own file.

    Attributes:
        on_trial_ended: function called with every trial that completed or failed.
        finished: True once a worker received STOPPED.
    """

    on_trial_ended = staticmethod(lambda trial: None)
    finished = False
    end_order: list[str]  # KerasTuner's

    def save(self):
        AtomicFolder(self._project_dir).write_json(ORACLE_FILE, self.get_state())

    def _save_trial(self, trial):
        AtomicFolder(self._get_trial_dir(trial.trial_id)).write_json(TRIAL_FILE, trial.get_state())

    def get_trial_path(self, trial_id: str) -> str:
        """Return the path of a KerasTuner trial's folder."""
        return self._get_trial_dir(trial_id)

    def get_state(self):
        """Return a KerasTuner oracle's state, including all trials' hyper-parameter values, as a dictionary.

        A lost trial file can be restored from these values.
        """
        values = {trial_id: trial.hyperparameters.values for trial_id, trial in self.trials.items()}
        return {**super().get_state(), "values": values}

    def reload(self):
        """Resume an interrupted hyper-parameter search from saved files.

        Ended trials are kept. All others are queued again and keep their names.
        """
        folder = AtomicFolder(self._project_dir)
        load_trial = keras_tuner.engine.trial.Trial.load
        trials = [load_trial(str(path)) for path in sorted(folder.path.glob(f"{TRIALS}/{TRIAL_FILE}"))]
        self.trials = {trial.trial_id: trial for trial in trials}
        if folder.file(ORACLE_FILE).exists():
            state = folder.read_json(ORACLE_FILE, "start_order", "values")
            for trial_id in state["start_order"]:
                if trial_id not in self.trials:
                    self.trials[trial_id] = self._replacement_trial(trial_id, state["values"].get(trial_id))
            self.set_state(state)
        else:
            # One random number per trial and setting was drawn before: continue after them.
            self._seed_state += len(self.trials) * len(self.hyperparameters.space)
        self._fill_gaps()
        self._rebuild_queues()

    def _fill_gaps(self):
        """Add a new KerasTuner trial in place of each trial whose file is missing."""
        for number in range(max(map(int, self.trials), default=-1)):
            if not any(int(trial_id) == number for trial_id in self.trials):
                trial_id = str(number).zfill(len(next(iter(self.trials))))
                self.trials[trial_id] = self._replacement_trial(trial_id, None)

    def _replacement_trial(self, trial_id, values):
        """Create a new KerasTuner trial to replace a trial whose file is lost."""
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = values or self._random_values() or {}
        return keras_tuner.engine.trial.Trial(hyperparameters, trial_id)

    def _rebuild_queues(self):
        """Queue all unfinished trials of a hyper-parameter search when the search resumes."""
        order = sorted(self.trials, key=int)
        unfinished = [trial_id for trial_id in order if self.trials[trial_id].status not in ("COMPLETED", "FAILED")]
        for trial_id in unfinished:
            trial = self.trials[trial_id]
            # An objective reported before the interruption would be taken for that of the new attempt.
            trial.metrics = type(trial.metrics)()
        self.ongoing_trials = {}
        self._retry_queue = unfinished[::-1]  # KerasTuner takes the last one first
        self.start_order += [trial_id for trial_id in order if trial_id not in self.start_order]
        listed = [trial_id for trial_id in self.end_order if trial_id not in unfinished]
        self.end_order = listed + [trial_id for trial_id in order if trial_id not in {*unfinished, *listed}]
        for trial_id in order:
            self._record_values(self.trials[trial_id])

    def create_trial(self, tuner_id):
        """Return the next trial for a worker process of a hyper-parameter search.

        While other workers run the last trials, the trial has the status IDLE, which asks the worker to wait: should
        one of the others die, a worker must be left to run its trial again.
        """
        trial = super().create_trial(tuner_id)
        if trial.status == "STOPPED" and self.ongoing_trials:
            self.tuner_ids.add(tuner_id)
            trial.status = "IDLE"
        self.finished = self.finished or trial.status == "STOPPED"
        return trial

    def end_trial(self, trial):
        """Record in the KerasTuner oracle that a trial has ended.

        The hyper-parameter values stored for the trial stay: the worker's copy may have lost digits when it was sent.
        """
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        super().end_trial(trial)
        trial = self.trials[trial.trial_id]
        if trial.status != "INVALID":  # an invalid trial is run again
            self.on_trial_ended(trial)


class _Random(_CrashSafeOracle, keras_tuner.oracles.RandomSearchOracle):
    """Crash-safe version of KerasTuner's oracle for random search."""


class _Bayesian(_CrashSafeOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """Crash-safe version of KerasTuner's oracle for Bayesian optimisation."""

    def populate_space(self, trial_id):
        """Choose hyper-parameters by Bayesian optimisation, or at random if the Gaussian process cannot be fitted.

        KerasTuner would raise an error instead, and never release its lock.
        """
        try:
            return super().populate_space(trial_id)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return self._random_populate_space()


class _Hyperband(_CrashSafeOracle, keras_tuner.oracles.HyperbandOracle):
    """Crash-safe version of KerasTuner's Hyperband oracle."""


class _Grid(_CrashSafeOracle, keras_tuner.oracles.GridSearchOracle):
    """Crash-safe version of KerasTuner's oracle for grid search."""

    _ordered_ids: Any  # KerasTuner's linked list of trials in the order of their combinations

    def _rebuild_queues(self):
        """Queue the unfinished trials of a resumed grid search.

        All trials are also sorted by hyper-parameter values. KerasTuner does not save this order, without which a
        resumed grid search stops at once.
        """
        super()._rebuild_queues()
        self._ordered_ids = type(self._ordered_ids)()

        def compare(first, second):
            return self._compare(*(self.trials[trial_id].hyperparameters.values for trial_id in (first, second)))

        previous = None
        for trial_id in sorted(self.trials, key=functools.cmp_to_key(compare)):
            self._ordered_ids.insert(trial_id, previous)
            previous = trial_id
        self._populate_next = sorted(self.trials, key=int)


_ORACLES = dict(zip(TUNERS, (_Random, _Bayesian, _Hyperband, _Grid), strict=True))


def create_oracle(
    tuner: str,
    hyperparameters: keras_tuner.HyperParameters,
    *,
    objective: str,
    trials: int | None,
    epochs: int,
    seed: int,
) -> keras_tuner.Oracle:
    """Create a KerasTuner oracle, the object that chooses the hyper-parameter values of each trial.

    Args:
        tuner: one of `plan.TUNERS`.
        hyperparameters: KerasTuner's `HyperParameters` with every searched setting declared on it.
        objective: "val_accuracy" (more is better) or "val_loss" (less is better).
        trials: the largest number of trials; None leaves it to a grid or to Hyperband.
        epochs: length of a trial; with Hyperband, of the longest trials.
        seed: seed of the random draws.
    """
    direction = "max" if objective == "val_accuracy" else "min"
    options = {"max_epochs": epochs} if tuner == "hyperband" else {"max_trials": trials}
    oracle = _ORACLES[tuner](
        objective=keras_tuner.Objective(objective, direction),
        hyperparameters=hyperparameters,
        seed=seed + 1,  # KerasTuner treats 0 as no seed
        max_consecutive_failed_trials=_UNLIMITED_FAILURES,
        max_retries_per_trial=1,  # only a trial whose worker died is retried
        **options,
    )
    oracle.max_trials = trials
    oracle.verbose = 0
    return oracle


def _drop_disk_errors(record: logging.LogRecord) -> bool:
    """Tell the log of a search's server to drop a record of a disk error, by returning False for it."""
    error = record.exc_info[1] if record.exc_info else None
    return error is None or disk_error(error) is None


def serve(oracle: keras_tuner.Oracle, address: str) -> tuple[grpc.Server, int]:
    """Start a gRPC server through which worker processes query a KerasTuner oracle.

    KerasTuner's chief starts such a server, too.

    Args:
        oracle: the oracle.
        address: "HOST:PORT"; port 0 takes a free one.

    Returns:
        The server and its port.

    Raises:
        RuntimeError: the address is taken.
    """
    logging.getLogger("grpc._server").addFilter(_drop_disk_errors)  # the search ends with a sentence instead
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=(("grpc.so_reuseport", 0),))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(oracle), server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port
