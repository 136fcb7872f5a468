"""Everything that changes while a model trains, out of it and back into it."""

import random

import keras
import numpy as np
import tensorflow as tf

from ..runs.errors import UserError


def build(model, label_shape=()):
    """Makes the variables that Keras would make in the first step: the optimizer's and the metrics'.

    Args:
        model: a compiled functional model.
        label_shape: shape of one label.
    """
    with model.distribute_strategy.scope():
        model.optimizer.build(model.trainable_variables)
        if tf.distribute.has_strategy():
            return  # there Keras makes the metrics' as `fit` begins
        model.compute_metrics(
            None, np.zeros((1, *label_shape), "float32"), np.zeros((1, *model.output_shape[1:]), "float32")
        )
        model.reset_metrics()


def collect(model) -> dict[str, list[np.ndarray]]:
    """Copies of all variables, by group: "model", "optimizer", "metrics". Several workers must do it together."""
    with model.distribute_strategy.scope():  # where metrics are read as the replicas' sum
        return {
            group: [keras.ops.convert_to_numpy(variable) for variable in variables]
            for group, variables in _groups(model).items()
        }


def restore(model, arrays: dict, group: str):
    """Puts one group of what `collect` gave back.

    Raises:
        UserError: the model has other variables.
    """
    variables, values = _groups(model)[group], arrays.get(group, [])
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise UserError(
            f"The checkpoint does not fit the network: its {group} has {len(values)} variables, this one "
            f"{len(variables)}, or their shapes differ. Was it written by another version of this package?"
        )
    with model.distribute_strategy.scope():
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def not_finite(model, arrays: dict) -> str | None:
    """The path of the first variable, of those that `collect` gave, with a NaN or an infinity in it; or None."""
    groups = _groups(model)
    for group in ("model", "optimizer"):
        for variable, value in zip(groups[group], arrays[group], strict=True):
            if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
                return variable.path
    return None


def _groups(model):
    return {"model": model.variables, "optimizer": model.optimizer.variables, "metrics": model.metrics_variables}


def random_state() -> dict:
    """State of Python's and NumPy's generators, for JSON. Keras's and the data's follow from variables and the seed."""
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    return {"python": [version, list(numbers), gauss], "numpy": [kind, keys.tolist(), *rest]}


def restore_random_state(state: dict):
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
