"""KerasTuner's oracles made to survive: files are whole or absent, and a search resumes from whatever files are left.

The one file that uses names KerasTuner keeps to itself; tests hold each of them.
"""

import functools
from concurrent import futures

import grpc
import keras_tuner
import numpy as np
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from ..runs.run_directory import RunDirectory
from .plan import TUNERS
from .records import ORACLE_FILE, TRIAL_FILE, TRIALS

_NEVER = 1 << 31  # so many failures in a row end a search: KerasTuner's 3 would hide the trials after them


class _Lasting:
    """What every oracle of `oracle` does beside KerasTuner's own.

    KerasTuner writes files in place, so a killed search can leave half a file; its ids are counts of trials, so a
    missing one makes it overwrite another; a trial that was begun but not yet listed is lost.
    """

    told = staticmethod(lambda trial: None)  # called with every trial that has ended
    over = False  # whether a worker was sent home

    def save(self):
        RunDirectory(self._project_dir).write_json(ORACLE_FILE, self.get_state())

    def _save_trial(self, trial):
        RunDirectory(self._get_trial_dir(trial.trial_id)).write_json(TRIAL_FILE, trial.get_state())

    def get_trial_path(self, trial_id: str) -> str:
        """The trial's folder."""
        return self._get_trial_dir(trial_id)

    def get_state(self):
        values = {trial_id: trial.hyperparameters.values for trial_id, trial in self.trials.items()}
        return {**super().get_state(), "values": values}  # for a trial whose own file is lost

    def reload(self):
        """Goes on from the files: finished trials stay finished, every other one is run again under its name."""
        folder = RunDirectory(self._project_dir)
        load = keras_tuner.engine.trial.Trial.load
        found = [load(str(path)) for path in sorted(folder.path.glob(f"{TRIALS}/{TRIAL_FILE}"))]
        self.trials = {trial.trial_id: trial for trial in found}
        if folder.file(ORACLE_FILE).exists():
            state = folder.read_json(ORACLE_FILE, "start_order", "values")
            for trial_id in state["start_order"]:
                if trial_id not in self.trials:
                    self.trials[trial_id] = self._begun(trial_id, state["values"].get(trial_id))
            self.set_state(state)
        else:
            self._seed_state += len(self.trials) * len(self.hyperparameters.space)  # goes on drawing where it was
        for number in range(max(map(int, self.trials), default=-1)):
            if not any(int(trial_id) == number for trial_id in self.trials):
                trial_id = str(number).zfill(len(next(iter(self.trials))))
                self.trials[trial_id] = self._begun(trial_id, None)
        self._reconcile()

    def _begun(self, trial_id, values):
        hyperparameters = self.hyperparameters.copy()
        hyperparameters.values = values or self._random_values() or {}
        return keras_tuner.engine.trial.Trial(hyperparameters, trial_id)

    def _reconcile(self):
        """Brings the lists of trials in line with the trials themselves."""
        order = sorted(self.trials, key=int)
        unfinished = [trial_id for trial_id in order if self.trials[trial_id].status not in ("COMPLETED", "FAILED")]
        for trial_id in unfinished:
            trial = self.trials[trial_id]
            trial.metrics = type(trial.metrics)()  # an objective reported before would be taken for the new one
        self.ongoing_trials = {}
        self._retry_queue = unfinished[::-1]  # the last is taken first
        self.start_order += [trial_id for trial_id in order if trial_id not in self.start_order]
        ended = [trial_id for trial_id in self.end_order if trial_id not in unfinished]
        self.end_order = ended + [trial_id for trial_id in order if trial_id not in {*unfinished, *ended}]
        for trial_id in order:
            self._record_values(self.trials[trial_id])

    def create_trial(self, tuner_id):
        """KerasTuner's, but nobody is sent home while a trial is running: should it die, someone must run it again."""
        trial = super().create_trial(tuner_id)
        if trial.status == "STOPPED" and self.ongoing_trials:
            self.tuner_ids.add(tuner_id)
            trial.status = "IDLE"
        self.over = self.over or trial.status == "STOPPED"
        return trial

    def end_trial(self, trial):
        """KerasTuner's; the values stay those drawn here, for a worker's copies may have lost digits on the way."""
        trial.hyperparameters = self.trials[trial.trial_id].hyperparameters
        super().end_trial(trial)
        ended = self.trials[trial.trial_id]
        if ended.status != "INVALID":  # which is run again
            self.told(ended)


class _Random(_Lasting, keras_tuner.oracles.RandomSearchOracle):
    pass


class _Bayesian(_Lasting, keras_tuner.oracles.BayesianOptimizationOracle):
    def populate_space(self, trial_id):
        """KerasTuner's; a model that cannot be fitted would leave its lock closed, so a random draw stands in."""
        try:
            return super().populate_space(trial_id)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return self._random_populate_space()


class _Hyperband(_Lasting, keras_tuner.oracles.HyperbandOracle):
    pass


class _Grid(_Lasting, keras_tuner.oracles.GridSearchOracle):
    def _reconcile(self):
        """The order of combinations, too, which KerasTuner does not save: resumed, it would stop at once."""
        super()._reconcile()
        self._ordered_ids = type(self._ordered_ids)()

        def compared(one, other):
            return self._compare(*(self.trials[trial_id].hyperparameters.values for trial_id in (one, other)))

        before = None
        for trial_id in sorted(self.trials, key=functools.cmp_to_key(compared)):
            self._ordered_ids.insert(trial_id, before)
            before = trial_id
        self._populate_next = sorted(self.trials, key=int)


_ORACLES = dict(zip(TUNERS, (_Random, _Bayesian, _Hyperband, _Grid), strict=True))


def oracle(kind: str, hyperparameters, objective: str, trials: int | None, epochs: int, seed: int):
    """Makes the oracle of a search.

    Args:
        kind: one of `plan.TUNERS`.
        hyperparameters: KerasTuner's `HyperParameters` with everything that is searched declared on it.
        objective: "val_accuracy" (more is better) or "val_loss".
        trials: at most so many; None leaves it to a grid or to Hyperband.
        epochs: of a trial; with Hyperband, of its longest.
        seed: of what is drawn.
    """
    direction = "max" if objective == "val_accuracy" else "min"
    options = {"max_epochs": epochs} if kind == "hyperband" else {"max_trials": trials}
    made = _ORACLES[kind](
        objective=keras_tuner.Objective(objective, direction),
        hyperparameters=hyperparameters,
        seed=seed + 1,  # KerasTuner takes 0 for no seed
        max_consecutive_failed_trials=_NEVER,
        max_retries_per_trial=1,  # for a trial whose worker died; others fail for good
        **options,
    )
    made.max_trials = trials
    made.verbose = 0
    return made


def serve(made, address: str):
    """Answers workers' requests for an oracle, as KerasTuner's chief does.

    Args:
        made: the oracle.
        address: "127.0.0.1:0" takes a free port.

    Returns:
        The gRPC server and its port.

    Raises:
        RuntimeError: the address is taken.
    """
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1), options=(("grpc.so_reuseport", 0),))
    protos.get_service_grpc().add_OracleServicer_to_server(OracleServicer(made), server)
    port = server.add_insecure_port(address)
    server.start()
    return server, port
