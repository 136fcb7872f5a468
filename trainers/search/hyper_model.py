"""KerasTuner `HyperModel` that builds and trains capsule networks.

Needs the extra `tune`, which installs KerasTuner.
"""

from dataclasses import replace

import keras_tuner

from ..config.recipes import RECIPES
from ..config.schema import Config
from ..fitting import network
from ..fitting.non_finite import NonFiniteWatch
from ..runs.errors import UserError
from .space import DEFAULT, Space


class EncapNetHyperModel(keras_tuner.HyperModel):
    """KerasTuner `HyperModel` that trains capsule networks on arrays of images.

    Any KerasTuner tuner can search its settings.

    Images have pixels from 0 to 255, which the network's first layer rescales, and labels are integers. Objectives are
    "val_accuracy", "val_loss" or, without the terms of the feedback units,
    `keras_tuner.Objective("val_class_loss", "min")`; early stopping at that metric needs `mode="min"`, too.

    Args:
        input_shape: (height, width, channels) of an image.
        classes: number of classes.
        config: a `Config` with the settings that are not searched. Default: the digits recipe's network with two
            units a module and a constant learning rate. Its `epochs` are those of the schedule; `search` takes its own
            `epochs`, `batch_size` and images, and each trial starts from other weights (`seed` is not used).
        space: name of a setting (or "lambda", or "depth") -> (low, high), a list of values, or None for its usual
            range. Default: lambda and epsilon, logarithmically.
        steps_per_epoch: number of batches in an epoch; needed where the learning rate changes (`config.schedule`).
        grid_points: number of values that a grid search takes from a range; None leaves ranges continuous.

    Raises:
        UserError: a setting cannot be searched, or a value is outside of a setting's choices or bounds.

    Example:

    >>> import keras_tuner
    >>> from encapnet_tf.trainers.search import EncapNetHyperModel
    >>> hypermodel = EncapNetHyperModel((8, 8, 1), 10, space={"lambda": (0.01, 1.0), "cost": None})
    >>> tuner = keras_tuner.RandomSearch(hypermodel, objective="val_accuracy", max_trials=3, overwrite=True)
    >>> sorted(hp.name for hp in tuner.oracle.get_space().space)
    ['cost', 'feedback_weight']
    >>> # tuner.search(images, labels, validation_split=0.1, epochs=5)
    """

    # Settings without effect here: KerasTuner's search() makes the batches, and of images without augmentation.
    unused: tuple[str, ...] = ("augment", "batch_size")

    def __init__(self, input_shape, classes, config=None, space=None, steps_per_epoch=None, grid_points=None):
        super().__init__()
        if config is None:
            config = replace(RECIPES["digits"].config, feedback="two", schedule="constant")
        if config.schedule != "constant" and steps_per_epoch is None:
            raise UserError(
                f"The schedule {config.schedule!r} needs steps_per_epoch, the batches of an epoch; or choose the "
                "schedule 'constant'."
            )
        self.space = space if isinstance(space, Space) else Space.of(space or dict.fromkeys(DEFAULT))
        self.space.check(config)
        if idle := sorted(set(self.unused) & set(self.space.names)):
            raise UserError(f"With arrays of your own, {', '.join(idle)} would change nothing. Search other settings.")
        self.input_shape, self.classes, self.config = tuple(input_shape), classes, config
        self.steps_per_epoch, self.grid_points = steps_per_epoch, grid_points
        self.mixed_labels = False
        self._callbacks = []

    def configured(self, hp) -> Config:
        """Return the training configuration of a KerasTuner trial.

        Args:
            hp: KerasTuner's `HyperParameters`; the searched settings are declared on it.
        """
        return self.space.configured(self.config, self.space.declare(hp, self.grid_points))

    def _config_for(self, hp) -> Config:
        return self.configured(hp)

    def build(self, hp):
        """Build and compile the network of a KerasTuner trial."""
        return self._build_and_compile(self._config_for(hp))

    def _build_and_compile(self, config):
        """Build and compile the network for a training configuration.

        The Keras callbacks that training needs are stored for `fit`.
        """
        model = network.build(config, self.input_shape, self.classes)
        self._callbacks = network.compile_model(model, config, self.steps_per_epoch or 1, self.mixed_labels)
        return model

    def fit(self, hp, model, *args, callbacks=(), **kwargs):
        """Train the network of a KerasTuner trial, and stop if the loss becomes NaN or infinite.

        Raises:
            UserError: the loss is NaN or infinite, or the learning rate changes over another number of epochs.
        """
        config, epochs = self._config_for(hp), kwargs.get("epochs", 1) - kwargs.get("initial_epoch", 0)
        if config.schedule != "constant" and epochs != config.epochs:
            raise UserError(
                f"The schedule {config.schedule!r} is made for config.epochs={config.epochs}, but this trial trains "
                f"for {epochs}. Call search(epochs={config.epochs}), pass a config with other epochs, or choose the "
                "schedule 'constant', as for KerasTuner's Hyperband, whose trials differ in length."
            )
        return model.fit(*args, callbacks=[NonFiniteWatch(), *self._callbacks, *callbacks], **kwargs)
