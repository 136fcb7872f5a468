"""Trials: each trains as `encapnet train` does and keeps its settings, its log and how it went in its folder."""

import math
import time
import traceback
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import keras
import keras_tuner

from .. import data
from ..data.augmentation.augment import Augmentation, mixes_labels
from ..data.augmentation.views import ENLARGE
from ..data.pipeline.batches import training_batches
from ..fitting.callbacks import MetricsLog
from ..fitting.strategy import check_replica_settings, shard_for_workers, validation_batches
from ..runs.errors import UserError, reason
from ..runs.run_directory import RunDirectory
from .hyper_model import EncapNetHyperModel
from .records import RECORD_FILE
from .supervisor import ENOUGH

_HYPERBAND_EPOCHS = "tuner/epochs"  # KerasTuner's name for the length that Hyperband gives a trial
_PAUSE = 0.5  # seconds between questions while there is nothing to do; KerasTuner asks without pause


class TrialModel(EncapNetHyperModel):
    """An `EncapNetHyperModel` on a data set of the trainers: a trial is what `encapnet train` does with its settings.

    Args:
        dataset: the `Dataset`; its test images are not looked at.
        config: the settings that are not searched.
        space: what is searched.
        grid_points: values of a range, for a grid search.

    Raises:
        UserError: as `EncapNetHyperModel`, or a batch is more than the training images.
    """

    unused = ()

    def __init__(self, dataset, config, space, grid_points=None):
        self.dataset = dataset
        steps = self._steps(config)
        super().__init__(dataset.image_shape, len(dataset.class_names), config, space, steps, grid_points)

    def configured(self, hp):
        config = super().configured(hp)
        # Hyperband's later rounds train anew, and longer: a rate's schedule belongs to the length of its run.
        return replace(config, epochs=hp.values.get(_HYPERBAND_EPOCHS, config.epochs))

    def _steps(self, config) -> int:
        images = len(self.dataset.train)
        if images < config.batch_size:
            raise UserError(f"--batch_size={config.batch_size} is more than the {images} training images.")
        return images // config.batch_size

    def _data_for(self, config):
        """The data set as a trial's augmentation needs it: one that enlarges images differently loads them anew."""
        enlarged_alike = ENLARGE[config.augment[0]] == self.dataset.views.enlarge
        return self.dataset if enlarged_alike else data.load(config)

    def build(self, hp):
        config = self.configured(hp)
        self.steps_per_epoch, self.mixed_labels = self._steps(config), mixes_labels(config.augment)
        keras.utils.set_random_seed(self.config.seed)
        return super().build(hp)

    def fit(self, hp, model, run, callbacks=()):
        """Trains a trial.

        Args:
            hp: its values.
            model: its network.
            run: its folder, for the log.
            callbacks: KerasTuner's.

        Raises:
            UserError: its replicas cannot do what its settings say.
        """
        config, replicas = self.configured(hp), model.distribute_strategy.num_replicas_in_sync
        check_replica_settings(config, replicas)
        dataset = self._data_for(config)
        augmentation = Augmentation(config.augment, dataset.views, self.classes)
        batches = training_batches(dataset.train, config.batch_size, config.epochs, config.seed, augmentation)
        return super().fit(
            hp,
            model,
            shard_for_workers(batches),
            validation_data=validation_batches(dataset, replicas, self.classes if self.mixed_labels else None),
            epochs=config.epochs,
            steps_per_epoch=self.steps_per_epoch,
            shuffle=False,  # the pipeline shuffles
            verbose=0,
            callbacks=[*callbacks, MetricsLog(run, config.epochs, quiet=True)],
        )


class SearchTuner(keras_tuner.Tuner):
    """KerasTuner's tuner for `TrialModel`, with any of its arguments (`distribution_strategy` for one).

    A trial that fails is recorded with its traceback and never run again; only one whose worker died is.

    Args:
        alive: file to touch while there is life in this process; None touches none.
        most_trials: end the process after so many, for a supervisor to start a fresh one; None goes on.
        **options: of `keras_tuner.Tuner`.
    """

    def __init__(self, alive: Path | None = None, most_trials: int | None = None, **options):
        self._alive, self._touched, self._waited, self._left = alive, 0.0, False, most_trials
        super().__init__(**options)

    def save(self):
        """Only the oracle has something to save; KerasTuner's own file would decide what is reloaded."""
        if isinstance(self.oracle, keras_tuner.Oracle):  # not a worker's, which asks another process
            self.oracle.save()

    def pre_create_trial(self):
        self._live()
        if self._waited:
            time.sleep(_PAUSE)
        self._waited = True

    def on_trial_begin(self, trial):
        self._waited = False
        super().on_trial_begin(trial)

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        if self._left is not None:
            self._left -= 1
            if not self._left:
                raise SystemExit(ENOUGH)

    def on_batch_end(self, trial, model, batch, logs=None):
        self._live()

    def _live(self):
        if self._alive is not None and time.monotonic() - self._touched > 1:
            self._touched = time.monotonic()
            self._alive.touch()

    def run_trial(self, trial):
        """Trains a trial and writes its record.

        Raises:
            keras_tuner.errors.FailedTrialError: whatever went wrong.
        """
        run = RunDirectory(self.get_trial_dir(trial.trial_id))
        model, hp = self.hypermodel, trial.hyperparameters
        record = {
            "trial": trial.trial_id,
            "status": "running",
            "seed": model.config.seed,
            "settings": {name: hp.values.get(name) for name in model.space.names},
            "worker": self.tuner_id,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        run.write_json(RECORD_FILE, record)
        began = time.perf_counter()
        try:
            config = model.configured(hp)
            record |= {"settings": model.space.declare(hp, model.grid_points), "epochs": config.epochs}
            run.write_json(RunDirectory.config_file, {"config": config.to_json()})
            run.file(RunDirectory.metrics_file).unlink(missing_ok=True)  # of an attempt that was cut off
            (history,) = super().run_trial(trial, run=run)
            record |= {"status": "completed", **_best(history.history, self.oracle.objective.name)}
            return history
        except Exception as error:
            record |= {"status": "failed", "reason": reason(error), "traceback": traceback.format_exc()}
            raise keras_tuner.errors.FailedTrialError(record["reason"]) from error
        finally:
            if record["status"] != "running":  # an interrupted trial is run again
                record["seconds"] = round(time.perf_counter() - began, 2)
                run.write_json(RECORD_FILE, record)


def _best(history, objective) -> dict:
    """What the best epoch reached: by the objective, of equals the other of accuracy and loss decides."""
    rows = list(zip(history["val_accuracy"], history["val_loss"], strict=True))
    for epoch, row in enumerate(rows, start=1):
        if not all(map(math.isfinite, row)):
            raise UserError(f"Validation at epoch {epoch} gave accuracy {row[0]} and loss {row[1]}.", status=1)

    def rank(epoch):
        accuracy, loss = rows[epoch]
        return (accuracy, -loss) if objective == "val_accuracy" else (-loss, accuracy)

    best = max(range(len(rows)), key=rank)
    accuracy, loss = rows[best]
    return {"best_epoch": best + 1, "validation_accuracy": accuracy, "validation_loss": loss}
