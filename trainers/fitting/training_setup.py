"""Class that prepares the devices, the data and the compiled network for a training run."""

from contextlib import nullcontext
from dataclasses import dataclass

import keras
import tensorflow as tf

from encapnet_tf.keras_private import patch_multi_worker_training

from .. import data
from ..config.schema import Config
from ..data.pipeline.batches import training_batches
from ..runs.errors import UserError
from . import network
from .checkpoints import training_state
from .strategy import is_chief, is_multi_worker, prepare, shard_for_workers


@dataclass(frozen=True)
class TrainingSetup:
    """Data, compiled network and devices of a training run.

    Attributes:
        config: the run's configuration.
        dataset: the data set.
        steps: steps an epoch.
        model: the network, compiled, with the variables of its optimizer and its metrics.
        schedules: the callbacks that the loss and the optimizer need during training.
        chief: whether this process writes the run.
    """

    config: Config
    dataset: data.Dataset
    steps: int
    model: keras.Model
    schedules: list[keras.callbacks.Callback]
    chief: bool

    @classmethod
    def of(cls, config: Config) -> "TrainingSetup":
        """Set up the devices, load the data, and build and compile the network of a training configuration.

        Raises:
            UserError: devices, data or settings cannot be used.
        """
        strategy = prepare(config)  # before TensorFlow creates its devices
        dataset = data.load(config)
        dataset.test.raise_if_corrupt()  # test images are read after training, when it would be too late to reject one
        steps = len(dataset.train) // config.batch_size
        if not steps:
            raise UserError(
                f"--batch_size={config.batch_size} is more than the {len(dataset.train)} training images, so there is "
                "no full batch for a training step. Use a smaller --batch_size."
            )
        keras.utils.set_random_seed(config.seed)
        with strategy.scope() if strategy else nullcontext():
            model = network.build(config, dataset.image_shape, len(dataset.class_names))
        schedules = _compile(model, config, steps, len(dataset.class_names))
        return cls(config, dataset, steps, model, schedules, chief=not is_multi_worker(strategy) or is_chief())

    @property
    def strategy(self) -> tf.distribute.Strategy:
        """Distribution strategy of the network, which is TensorFlow's default strategy on a single device."""
        return self.model.distribute_strategy

    @property
    def one_hot_classes(self) -> int | None:
        """Length of each training label vector, or None if training labels are integers.

        The length is the number of classes.
        """
        return len(self.dataset.class_names) if network.labels_are_rows(self.config) else None

    def batches_from(self, first_step: int) -> tf.data.Dataset:
        """Return the training batches from a given step to the end of the last epoch.

        Steps are counted over all epochs.
        """
        augmentation = self.dataset.augmentation(self.config.augment)
        train, config = self.dataset.train, self.config
        return shard_for_workers(
            training_batches(train, config.batch_size, config.epochs, config.seed, augmentation, first_step)
        )


def _compile(model: keras.Model, config: Config, steps: int, classes: int) -> list[keras.callbacks.Callback]:
    """Compile a network for training, and return the Keras callbacks that the loss and the optimizer need.

    The optimizer and metric variables are created too.
    """
    has_label_rows = network.labels_are_rows(config)
    strategy = model.distribute_strategy
    with strategy.scope():
        schedules = network.compile_model(model, config, steps, mixed_labels=has_label_rows)
    if is_multi_worker(strategy):
        patch_multi_worker_training(model)
    training_state.build(model, (classes,) if has_label_rows else ())  # the shape of one label
    return schedules
