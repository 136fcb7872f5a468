"""Stops a run whose numbers are no longer finite, and finds out where it began."""

import keras
import numpy as np
import tensorflow as tf

from ..runs.errors import UserError
from . import training_state
from .checkpoint import Checkpoints
from .strategy import across_machines


class NotANumber(keras.callbacks.Callback):
    """Ends training when the loss stops being a finite number. Checkpoints are of before.

    Args:
        checkpoints: the run's.
        batches_from: function of a number of steps to the training batches after so many.
        steps: steps an epoch.
    """

    def __init__(self, checkpoints: Checkpoints | None, batches_from, steps: int):
        super().__init__()
        self.checkpoints, self.batches_from, self.steps = checkpoints, batches_from, steps

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            raise self.stop(f"The loss became {loss}", self._epoch * self.steps + batch + 1)

    def stop(self, what: str, step: int) -> UserError:
        """What to raise.

        Args:
            what: what was seen.
            step: in which step, counted from 1 over all epochs.
        """
        epoch, of_epoch = divmod(step - 1, self.steps)
        text = f"{what} at step {of_epoch + 1} of epoch {epoch + 1}; training stopped."
        found = (
            self.checkpoints.newest()
            if self.checkpoints and not across_machines(self.model.distribute_strategy)
            else None
        )
        if found is not None:
            path, checkpoint = found
            where = _first(self.model, checkpoint, self.batches_from, self.steps, step)
            text += f" First not finite: {where or 'not to be found again'}. The last good checkpoint is {path}."
        return UserError(f"{text} A lower --learning_rate or --clip_norm=1 usually helps.", status=1)


def _first(model, checkpoint, batches_from, steps, step):
    """Makes the steps since the checkpoint again, looking at every one; says what was not finite first."""
    for group in ("model", "optimizer"):
        training_state.restore(model, checkpoint.arrays, group)
    done = checkpoint.state["epoch"] * steps + checkpoint.state["step"]
    batches = iter(model.distribute_strategy.experimental_distribute_dataset(batches_from(done)))
    while done < step:
        before = training_state.collect(model)
        try:
            model.train_function(batches)
        except StopIteration:
            return None
        done += 1
        if training_state.not_finite(model, training_state.collect(model)) or done == step:
            training_state.restore(model, before, "model")
            (batch,) = batches_from(done - 1).take(1)
            if (where := _in_step(model, *batch)) is not None:
                return f"{where}, in step {(done - 1) % steps + 1}"
    return None


def _in_step(model, images, labels):
    """What is not finite first in one step: a layer's output, a unit's divergence, the loss, or a gradient."""
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    every = keras.Model(model.inputs, [*(layer.output for layer in layers), model.output])
    with tf.GradientTape() as tape:
        *outputs, scores = every(images, training=True)
        terms = {"a regulariser or a unit's divergence": every.losses, "the loss": [model.loss(labels, scores)]}
        total = tf.add_n([tf.cast(term, "float32") for group in terms.values() for term in group])
    for layer, output in zip(layers, outputs, strict=True):
        if not all(_finite(part) for part in keras.tree.flatten(output)):
            return f"the output of {layer.name}"
    for name, group in terms.items():
        if not all(map(_finite, group)):
            return name
    variables = model.trainable_variables
    for variable, gradient in reversed(list(zip(variables, tape.gradient(total, variables), strict=True))):
        if gradient is not None and not _finite(gradient):  # gradients come from the last layer to the first
            return f"the gradient of {variable.path}"
    return None


def _finite(value):
    return bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(value))))
