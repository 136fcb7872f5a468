"""KerasTuner `HyperModel` and `Tuner` that train capsule networks on an image data set.

Networks train as by the command `encapnet train`. The folder of each trial keeps settings, log and result.
"""

import math
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import keras_tuner

from .. import data
from ..config.schema import Config
from ..data.augmentation.views import ENLARGE
from ..data.pipeline.batches import training_batches
from ..evaluation.chance import guessing_limit
from ..fitting.callbacks import MetricsLog
from ..fitting.network import labels_are_rows
from ..fitting.strategy import check_replica_settings, shard_for_workers, validation_batches
from ..runs.errors import UserError, reason
from ..runs.run_directory import RunDirectory
from .hyper_model import EncapNetHyperModel
from .model_reuse import CompiledModels, keep_compiled_functions
from .records import RECORD_FILE
from .roles import EXIT_TO_RESTART
from .space import Space

_HYPERBAND_EPOCHS = "tuner/epochs"  # KerasTuner's name for the length that Hyperband gives a trial
_IDLE_SECONDS = 0.5  # between two requests of an idle worker; KerasTuner would send them without a pause


class TrialModel(EncapNetHyperModel):
    """KerasTuner `HyperModel` that trains capsule networks on an image data set.

    They train as by the command `encapnet train`.

    Args:
        dataset: the `Dataset`; its test images stay unused.
        config: the settings that are not searched.
        space: the searched `Space`.
        grid_points: number of values that a grid search takes from a range.

    Raises:
        UserError: as of `EncapNetHyperModel`; or the batch size exceeds the number of training images.
    """

    unused = ()

    def __init__(self, dataset, config: Config, space: Space, grid_points: int | None = None):
        self.dataset = dataset
        self._trial_config: Config | None = None
        self.compiled = CompiledModels()
        steps = self._steps(config)
        super().__init__(dataset.image_shape, len(dataset.class_names), config, space, steps, grid_points)

    @contextmanager
    def trial(self, hp: keras_tuner.HyperParameters) -> Iterator[Config]:
        """Return a context manager in which `build` and `fit` use a KerasTuner trial's training configuration.

        Args:
            hp: the trial's `HyperParameters`.
        """
        self._trial_config = self.configured(hp)
        try:
            yield self._trial_config
        finally:
            self._trial_config = None

    def _config_for(self, hp) -> Config:
        """Return the training configuration of the current KerasTuner trial.

        Outside of a trial, it is made from the values in `hp`.
        """
        return self._trial_config or self.configured(hp)  # KerasTuner builds a network before the first trial, too

    def configured(self, hp) -> Config:
        config = super().configured(hp)
        # Hyperband's later rounds train from scratch, and longer: the schedule spans the length of its own run.
        # The images are those of the search, whatever size another network would choose.
        epochs = hp.values.get(_HYPERBAND_EPOCHS, config.epochs)
        return replace(config, epochs=epochs, image_size=self.config.image_size)

    def _steps(self, config) -> int:
        """Return the number of training steps per epoch."""
        images = len(self.dataset.train)
        if images < config.batch_size:
            raise UserError(
                f"--batch_size={config.batch_size} is more than the {images} training images. Choose a smaller batch."
            )
        return images // config.batch_size

    def _data_for(self, config):
        """Return the data set for a search trial, and reload the images if the trial needs another image size.

        The size depends on the augmentation, which may enlarge images before cropping.
        """
        enlarged_alike = ENLARGE[config.augment[0]] == self.dataset.views.enlarge
        return self.dataset if enlarged_alike else data.load(config)

    def build(self, hp):
        """Build and compile the network of a hyper-parameter search trial, with the same seed for all trials.

        In a trial, the compiled model of an earlier one is taken over where it differs in numbers only.
        """
        config = self._config_for(hp)
        self.steps_per_epoch, self.mixed_labels = self._steps(config), labels_are_rows(config)
        self.compiled.set_random_seed(self.config.seed)
        model = self._build_and_compile(config)
        return self.compiled.take_over(config, model) if self._trial_config else model

    def fit(self, hp, model, run: RunDirectory, callbacks=()):  # type: ignore[override]  # the data are the data set's
        """Train the network of a hyper-parameter search trial.

        Args:
            hp: the trial's `HyperParameters`.
            model: the trial's network.
            run: the trial's folder, for the log.
            callbacks: KerasTuner's callbacks.

        Raises:
            UserError: a setting cannot be used with this number of replicas.
        """
        config, replicas = self._config_for(hp), model.distribute_strategy.num_replicas_in_sync
        check_replica_settings(config, replicas)
        dataset = self._data_for(config)
        augmentation = dataset.augmentation(config.augment)
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
    """KerasTuner `Tuner` that writes the result or failure of each trial to a file.

    Its hypermodel is a `TrialModel`.

    A trial that fails is recorded with its traceback and not retried; a trial whose worker died is.

    Args:
        heartbeat: file to touch while this process makes progress; None touches none.
        max_compilations: number of compiled models after which the process exits with `roles.EXIT_TO_RESTART`; None
            sets no limit.
        **options: arguments of `keras_tuner.Tuner`, such as `distribution_strategy`.
    """

    def __init__(self, heartbeat: Path | None = None, max_compilations: int | None = None, **options):
        self._heartbeat, self._last_heartbeat = heartbeat, 0.0
        self._idle, self._max_compilations = False, max_compilations
        super().__init__(**options)

    def save(self):
        """Save the state of the KerasTuner oracle, or do nothing in a worker process."""
        # KerasTuner's own tuner file is left out: where it exists, KerasTuner reloads by itself.
        if isinstance(self.oracle, keras_tuner.Oracle):
            self.oracle.save()

    def pre_create_trial(self):
        self._beat()
        if self._idle:
            time.sleep(_IDLE_SECONDS)
        self._idle = True

    def on_trial_begin(self, trial):
        self._idle = False
        super().on_trial_begin(trial)

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        if self._max_compilations is not None and self.hypermodel.compiled.compilations >= self._max_compilations:
            raise SystemExit(EXIT_TO_RESTART)

    def on_batch_end(self, trial, model, batch, logs=None):
        self._beat()

    def _beat(self):
        """Update the heartbeat file of a worker process, at most once a second."""
        if self._heartbeat is not None and time.monotonic() - self._last_heartbeat > 1:
            self._last_heartbeat = time.monotonic()
            self._heartbeat.touch()

    def _try_build(self, hp):
        """Build the network of a KerasTuner trial, and keep functions that were compiled for earlier trials."""
        with keep_compiled_functions():  # KerasTuner clears the session of Keras
            return super()._try_build(hp)

    def run_trial(self, trial: keras_tuner.engine.trial.Trial):
        """Train the network of a hyper-parameter search trial, and write the result or failure to a file.

        Raises:
            keras_tuner.errors.FailedTrialError: anything went wrong; the record has the traceback.
        """
        run = RunDirectory(self.get_trial_dir(trial.trial_id))
        model, hp = self.hypermodel, trial.hyperparameters
        record = {
            "trial": trial.trial_id,
            "status": "running",
            "seed": model.config.seed,
            "settings": {name: hp.values.get(name) for name in model.space.names},
            "epochs": hp.values.get(_HYPERBAND_EPOCHS, model.config.epochs),
            "worker": self.tuner_id,
            "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        }
        run.file(RunDirectory.metrics_file).unlink(missing_ok=True)  # of an interrupted attempt
        run.write_json(RECORD_FILE, record)
        start = time.perf_counter()
        try:
            with model.trial(hp) as config:
                record |= {"settings": model.space.declare(hp, model.grid_points), "epochs": config.epochs}
                run.write_json(RunDirectory.config_file, {"config": config.to_json()})
                (history,) = super().run_trial(trial, run=run)
            record |= {
                "status": "completed",
                **_best_epoch(history.history, self.oracle.objective.name),
                "guessing_limit": guessing_limit(model.dataset.validation.labels),
            }
            return history
        except Exception as error:
            record |= {"status": "failed", "reason": reason(error), "traceback": traceback.format_exc()}
            raise keras_tuner.errors.FailedTrialError(record["reason"]) from error
        finally:
            if record["status"] != "running":  # an interrupted trial stays "running" and is run again
                record["seconds"] = round(time.perf_counter() - start, 2)
                run.write_json(RECORD_FILE, record)


def _best_epoch(history, objective) -> dict:
    """Find the best epoch in a Keras training history, by validation accuracy or validation loss.

    Accuracy and loss break each other's ties. The result has the epoch's number, accuracy and loss.
    """
    epochs = list(zip(history["val_accuracy"], history["val_loss"], strict=True))
    for number, (accuracy, loss) in enumerate(epochs, start=1):
        if not (math.isfinite(accuracy) and math.isfinite(loss)):
            raise UserError(f"Validation at epoch {number} gave accuracy {accuracy} and loss {loss}.", status=1)

    def rank(index):
        accuracy, loss = epochs[index]
        return (accuracy, -loss) if objective == "val_accuracy" else (-loss, accuracy)

    best = max(range(len(epochs)), key=rank)
    accuracy, loss = epochs[best]
    return {"best_epoch": best + 1, "validation_accuracy": accuracy, "validation_loss": loss}
