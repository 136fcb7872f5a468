"""Functions that collect and restore training state: weights, optimizer, metrics and random generators."""

import random

import keras
import numpy as np
import tensorflow as tf
from keras import ops as K

from encapnet_tf.blocks.step_counter import step_counts
from encapnet_tf.blocks.unsaved_number import unsaved_numbers

from ...runs.errors import UserError

_ADDED_GROUPS = (
    "step_counts",
    "numbers",
)  # of the model; apart from the others, as checkpoints of version 0.1 have none


def build(model: keras.Model, label_shape: tuple[int, ...] = ()) -> None:
    """Create the optimizer and metric variables of a compiled model before the first training step.

    Args:
        model: a compiled functional model.
        label_shape: shape of one label.
    """
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)
        if tf.distribute.has_strategy():
            return  # `fit` creates the variables of the metrics itself under a strategy, before the first step
        model.compute_metrics(
            None, np.zeros((1, *label_shape), "float32"), np.zeros((1, *model.output_shape[1:]), "float32")
        )
        model.reset_metrics()


def collect(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Return all variables of a Keras model, its optimizer and its metrics as NumPy arrays.

    Several workers must call it together.
    """
    with model.distribute_strategy.scope():  # in the scope, a metric's variable is read as the sum of its replicas'
        return {
            group: [K.convert_to_numpy(variable) for variable in variables]
            for group, variables in _variables(model).items()
        }


def restore(model: keras.Model, arrays: dict[str, list[np.ndarray]], group: str) -> None:
    """Assign saved arrays to the variables of a model, of its optimizer or of its metrics.

    Checkpoints of version 0.1 have no step counts of the batch normalisations, and no numbers of the feedback units.
    The counts stay 0, so that the restored statistics count as trained for long (see `BatchNorm`), and the numbers are
    those of the configuration.

    Args:
        model: a compiled model whose variables exist.
        arrays: what `collect` returned.
        group: "model" (and its step counts and numbers), "optimizer" or "metrics".

    Raises:
        UserError: the model has other variables.
    """
    for added in _ADDED_GROUPS:
        if group == "model" and added in arrays:
            restore(model, arrays, added)
    variables, values = _variables(model)[group], arrays.get(group, [])
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise UserError(
            f"The checkpoint does not fit the network: its group {group!r} has {len(values)} variables, the network "
            f"has {len(variables)}, or their shapes differ. Resume with the version of this package that wrote it."
        )
    with model.distribute_strategy.scope():
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def place_of_learning_rate(optimizer: keras.optimizers.Optimizer) -> int:
    """Return the index of the learning-rate variable in an optimizer's list of variables.

    Learning rate schedules are no variables; their optimizer has another variable at this index.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of the optimizer that scales the loss in float16
    return next(i for i, variable in enumerate(optimizer.variables) if variable is inner.iterations) + 1


def first_non_finite(model: keras.Model, arrays: dict[str, list[np.ndarray]]) -> str | None:
    """Return the name of the first model or optimizer variable that has a NaN or infinite value.

    None if all values are finite.
    """
    groups = _variables(model)
    for group in ("model", "optimizer"):
        for variable, value in zip(groups[group], arrays[group], strict=True):
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                return variable.path
    return None


def _variables(model):
    added = dict(zip(_ADDED_GROUPS, (step_counts(model), unsaved_numbers(model)), strict=True))
    ids = {id(variable) for variables in added.values() for variable in variables}
    return {
        "model": [variable for variable in model.variables if id(variable) not in ids],
        **added,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }


def random_state() -> dict:
    """Return the state of Python's and NumPy's random generators as JSON values.

    Keras keeps the state of its generators in variables, and the order of the data follows from the seed.
    """
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    return {"python": [version, list(numbers), gauss], "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def restore_random_state(state: dict) -> None:
    """Set Python's and NumPy's random generators to a saved state."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
