"""Checks of function arguments, which raise errors that state the expected and the received value."""

import math
import numbers

import keras

_MOST = 2**31 - 1  # of what is counted: TensorFlow has no larger sizes


def whole_number(name: str, value, least: int = 1) -> int:
    """Convert an argument to int, or raise ValueError if it is not an integer, below a minimum or above 2^31 - 1.

    Args:
        name: the argument's name, for the error.
        value: the argument.
        least: the smallest value allowed.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}. Received: {name}={value!r}.")
    if int(value) > _MOST:
        raise ValueError(f"{name} must be an integer of at most {_MOST}. Received: {name}={value!r}.")
    return int(value)


def odd_int(name: str, value) -> int:
    """Convert an argument to int, or raise ValueError if it is not a positive odd integer.

    Symmetric padding needs odd kernels.
    """
    if whole_number(name, value) % 2 == 0:
        raise ValueError(f"{name} must be odd: padding is kernel // 2 on each side. Received: {name}={value!r}.")
    return int(value)


def one_of(name: str, value, choices) -> str:
    """Check that the value of an argument is one of the allowed choices.

    Return the value, or raise ValueError.
    """
    if value not in list(choices):  # a list, so that an unhashable value is refused, too
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}. Received: {name}={value!r}.")
    return value


def finite_number(name: str, value, least: float = -math.inf) -> float:
    """Convert an argument to float, or raise ValueError if the number is not finite or is below a minimum.

    Args:
        name: the argument's name, for the error.
        value: the argument; a NumPy scalar, or a string that `float` reads, is a number too.
        least: the smallest value allowed.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number >= least):
        limit = "" if least == -math.inf else f" of at least {least:g}"
        raise ValueError(f"{name} must be a finite number{limit}. Received: {name}={value!r}.")
    return number


def optional_number(name: str, value, least: float = -math.inf) -> float | None:
    """Convert an argument to a finite float, or return None if the argument is None."""
    return None if value is None else finite_number(name, value, least)


def whole_pair(name: str, value) -> tuple[int, int]:
    """Convert an integer, or a pair of integers, to a (height, width) pair of positive integers.

    Raise ValueError for any other argument.

    Args:
        name: the argument's name, for the error.
        value: an integer for both, or a pair of integers.
    """
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name} must be an integer or a pair of integers. Received: {name}={value!r}.")
    return whole_number(name, pair[0]), whole_number(name, pair[1])


def capsule_sizes(layer: str, input_shape) -> tuple[int, int]:
    """Return the number and the dimension of the capsules in a layer's input.

    Raise ValueError if the shape is not (batch, capsules, capsule_dim).

    Args:
        layer: the layer's name, for the error.
        input_shape: expected to be (batch, capsules, capsule_dim), known but for the batch.
    """
    refuse_empty(layer, input_shape)
    sizes = tuple(input_shape[1:])
    if len(sizes) != 2 or None in sizes:
        raise ValueError(
            f"{layer} expects capsules (batch, capsules, capsule_dim) of known number and size; FlattenCapsules makes "
            f"them from a feature map. Received: input shape {tuple(input_shape)}."
        )
    return sizes


def input_capsule_dim(layer: str, input_shape, num_input_capsules: int) -> int:
    """Return the dimension of the capsules in a feature map.

    Raise ValueError if the shape is not (batch, height, width, channels).

    Args:
        layer: the layer's name, for the error.
        input_shape: expected to be (batch, height, width, channels).
        num_input_capsules: capsules at each position; must divide the channels.
    """
    refuse_empty(layer, input_shape)
    if len(input_shape) != 4 or input_shape[-1] is None or input_shape[-1] % num_input_capsules:
        raise ValueError(
            f"{layer} expects a feature map (batch, height, width, channels) whose channels are a multiple of its "
            f"{num_input_capsules} input capsules. Received: input shape {tuple(input_shape)}."
        )
    return input_shape[-1] // num_input_capsules


def check_shapes(**arrays) -> None:
    """Raise ValueError unless the shapes of arrays fit named axes.

    Axes of one name must have one size in all arrays, and no axis may be empty except the batch's.

    Args:
        **arrays: name of the argument -> (array, names of its axes separated by commas); an array that is None is left
            out.

    Example:

    >>> import numpy as np
    >>> check_shapes(x=(np.ones((4, 3)), "batch, features"), weights=(np.ones(3), "features"))
    """
    sizes: dict[str, int] = {}
    for name, (array, axes) in arrays.items():
        if array is None:
            continue
        shape, axis_names = tuple(array.shape), axes.split(", ")
        received = f"Received: {name} of shape {shape}."
        if len(shape) != len(axis_names):
            raise ValueError(f"{name} must have {len(axis_names)} axes, ({axes}). {received}")
        for axis, size in zip(axis_names, shape, strict=True):
            if size == 0 and axis != "batch":
                raise ValueError(f"{name} ({axes}) must not be empty along {axis}. {received}")
            if None not in (size, sizes.get(axis)) and sizes[axis] != size:
                raise ValueError(f"{name} ({axes}) must have {sizes[axis]} {axis}, as the other arguments. {received}")
            if size is not None:
                sizes[axis] = size


def check_axes(name: str, value, x) -> None:
    """Raise ValueError if a value does not name an axis, or several different axes, of a tensor.

    Args:
        name: the argument's name, for the error.
        value: an integer, or a list or tuple of different integers; negative ones count from the last axis.
        x: the tensor. TensorFlow may not know its number of axes yet, which is then not compared.
    """
    axes = tuple(value) if isinstance(value, list | tuple) else (value,)
    are_integers = all(not isinstance(axis, bool) and isinstance(axis, numbers.Integral) for axis in axes)
    is_known = getattr(x.shape, "rank", 0) is not None
    rank = len(x.shape) if is_known else _MOST
    fit = bool(axes) and are_integers and all(-rank <= int(axis) < rank for axis in axes)
    if not fit or len({axis % rank for axis in axes}) < len(axes):
        known = f"an array with {rank} axes" if is_known else "an array"
        raise ValueError(f"{name} must name axes of {known}. Received: {name}={value!r}.")


def refuse_empty(layer: str, input_shape) -> None:
    """Raise ValueError if a layer's input has no axis besides the batch, or is empty along one.

    Args:
        layer: the layer's name, for the error.
        input_shape: shape of the input, batch included.
    """
    shape = tuple(input_shape)
    if len(shape) < 2 or 0 in shape[1:]:
        raise ValueError(
            f"{layer} expects an input of at least two axes, the first for the batch and none of the others empty. "
            f"Received: input shape {shape}."
        )


def check_input(layer, input_shape, *, any_rank: bool = False) -> None:
    """Raise ValueError if a layer's input is empty along an axis other than the batch, or has no such axis.

    Later calls are checked, too: Keras compares them with the layer's `input_spec`, which is set here.

    Args:
        layer: a Keras layer, in its `build`.
        input_shape: shape of the input, batch included.
        any_rank: whether later inputs may have another number of axes.
    """
    shape = tuple(input_shape)
    refuse_empty(layer.name, shape)
    axes = {} if shape[-1] is None else {-1: shape[-1]}
    rank = {"min_ndim": 2} if any_rank else {"ndim": len(shape)}
    layer.input_spec = keras.layers.InputSpec(axes=axes, **rank)
