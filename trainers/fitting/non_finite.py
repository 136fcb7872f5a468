"""Detection of NaN or infinite values during training.

Steps are repeated to find the tensor where they first appeared.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from ..runs.errors import UserError
from .checkpoints import training_state
from .checkpoints.checkpoint import Checkpoint, Checkpoints


@dataclass(frozen=True)
class Diagnosis:
    """Diagnosis of a NaN or infinite loss by repeating training steps from the newest checkpoint.

    It finds the first tensor with such a value. It repeats steps in this process alone, so it is not for a model
    that several workers train.

    Attributes:
        checkpoints: the run's checkpoints.
        batches_from: function that maps a number of steps to the training batches after that many steps.
        steps: steps an epoch.
    """

    checkpoints: Checkpoints
    batches_from: Callable
    steps: int

    def describe(self, model, last_step: int) -> str:
        """Return an error message that names the first tensor in which a NaN or an infinity appeared.

        The message also gives the path of the newest undamaged checkpoint, and is empty if there is none.

        Args:
            model: the network; its weights are changed.
            last_step: the step that ended the run, counted from 1 over all epochs.
        """
        newest = self.checkpoints.newest()
        if newest is None:
            return ""
        path, checkpoint = newest
        place = self._repeat_steps(model, checkpoint, last_step) or "not found when the steps were repeated"
        return f" First non-finite number: {place}. The last good checkpoint is {path}."

    def _repeat_steps(self, model, checkpoint: Checkpoint, last_step: int) -> str | None:
        """Repeat training from a checkpoint, and return the name of the first tensor with a NaN or infinity."""
        for group in ("model", "optimizer"):
            training_state.restore(model, checkpoint.arrays, group)
        step = checkpoint.state["epoch"] * self.steps + checkpoint.state["step"]
        batches = iter(model.distribute_strategy.experimental_distribute_dataset(self.batches_from(step)))
        while step < last_step:
            weights_before = training_state.collect(model)
            try:
                model.train_function(batches)
            except StopIteration:
                return None
            step += 1
            if training_state.first_non_finite(model, training_state.collect(model)) or step == last_step:
                training_state.restore(model, weights_before, "model")
                (batch,) = self.batches_from(step - 1).take(1)
                if (place := _first_non_finite_in_step(model, *batch)) is not None:
                    return f"{place}, in step {(step - 1) % self.steps + 1}"
        return None


class NonFiniteWatch(keras.callbacks.Callback):
    """Keras callback that raises `UserError` when the training loss becomes NaN or infinite.

    `keras.callbacks.TerminateOnNaN` would end `fit` as if all were well, and say nothing of where it began.

    Args:
        diagnosis: the search for the first non-finite number, to be described in the error; None leaves it out.
    """

    def __init__(self, diagnosis: Diagnosis | None = None):
        super().__init__()
        self.diagnosis = diagnosis

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise self.error(f"The loss became {loss}", self._epoch, batch + 1)

    def error(self, problem: str, epoch: int, step: int) -> UserError:
        """Return a `UserError` that reports a NaN or an infinity at a training step.

        Args:
            problem: the number that is not finite, as the beginning of a sentence.
            epoch: the epoch, counted from 0.
            step: the step of that epoch, counted from 1.
        """
        message = f"{problem} at step {step} of epoch {epoch + 1}; training stopped."
        if self.diagnosis is not None:
            message += self.diagnosis.describe(self.model, epoch * self.diagnosis.steps + step)
        return UserError(f"{message} A lower --learning_rate or --clip_norm=1 usually helps.", status=1)


def _first_non_finite_in_step(model, images, labels) -> str | None:
    """Return the name of the first non-finite tensor (layer output, loss or gradient) in a training step.

    Returns:
        The name; None if all numbers are finite.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    probe = keras.Model(model.inputs, [*(layer.output for layer in layers), model.output])
    with tf.GradientTape() as tape:
        *outputs, scores = probe(images, training=True)
        terms = {"a regulariser or a unit's divergence": probe.losses, "the loss": [model.loss(labels, scores)]}
        total = tf.add_n([tf.cast(term, "float32") for group in terms.values() for term in group])
    for layer, output in zip(layers, outputs, strict=True):
        if not all(_is_finite(tensor) for tensor in keras.tree.flatten(output)):
            return f"the output of {layer.name}"
    for name, group in terms.items():
        if not all(map(_is_finite, group)):
            return name
    variables = model.trainable_variables
    gradients = tape.gradient(total, variables)
    for variable, gradient in reversed(list(zip(variables, gradients, strict=True))):  # in the backward pass's order
        if gradient is not None and not _is_finite(gradient):
            return f"the gradient of {variable.path}"
    return None


def _is_finite(value) -> bool:
    return bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(value))))
