"""Functions that assign arrays to the weights of a Keras layer or model by name.

Either all weights are assigned or none.
"""

from collections.abc import Callable, Mapping

import keras
import numpy as np

Target = tuple[keras.Variable, Callable[[np.ndarray], np.ndarray]]  # a variable, and the conversion of its array


def require_built(layer: keras.Layer):
    """Raise ValueError if a Keras layer has no weights yet."""
    if not layer.built:
        raise ValueError(f"{layer.name} is not built. Call it once, or its build(input_shape), before loading.")


def assign_by_name(layer: keras.Layer, targets: Mapping[str, Target], arrays: Mapping[str, np.ndarray], hint: str):
    """Assign arrays to a layer's variables, or raise ValueError and change nothing if the arrays do not fit.

    Args:
        layer: the layer or model, for the error.
        targets: name -> variable, and function that converts an array of this name to the variable's layout.
        arrays: name -> array; the names must be those of `targets`.
        hint: sentence that ends the error about missing or unused names.
    """
    missing, unused = sorted(targets.keys() - arrays.keys()), sorted(arrays.keys() - targets.keys())
    if missing or unused:
        raise ValueError(
            f"The weights do not fit {layer.name}. Missing: {_abridged(missing)}. Not used: {_abridged(unused)}. {hint}"
        )
    values = {}
    for name, (variable, convert) in targets.items():
        array = np.asarray(arrays[name])
        try:
            values[name] = convert(array)
        except (ValueError, IndexError, TypeError):  # an array of other rank or size cannot be converted
            raise ValueError(
                f"{name} has shape {array.shape}, which cannot be converted to that of {variable.path}, "
                f"{tuple(variable.shape)}."
            ) from None
        if values[name].shape != tuple(variable.shape):
            raise ValueError(
                f"{name} has shape {array.shape}, which is {values[name].shape} in Keras's layout; "
                f"{variable.path} expects {tuple(variable.shape)}."
            )
    for name, (variable, _) in targets.items():
        variable.assign(values[name])


def _abridged(names):
    return (", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")) or "none"
