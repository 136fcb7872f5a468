"""Conversion of integer, boolean and half-precision tensors to the dtype used for a computation.

Norms, costs and transport plans are computed in at least float32.
"""

from keras import KerasTensor, backend
from keras import ops as K


def numeric(x, name: str = "the input"):
    """Convert an array to a tensor, or raise TypeError if it has no real numbers.

    Args:
        x: tensor, array, number or nested lists of numbers.
        name: what the array is, for the error.
    """
    try:
        tensor = x if isinstance(x, KerasTensor) else K.convert_to_tensor(x)
        dtype = backend.standardize_dtype(tensor.dtype)
    except Exception as error:  # each backend has exceptions of its own
        raise TypeError(
            f"Expected an array of numbers for {name}. Received: {_shorten(x)} of type {type(x).__name__}."
        ) from error
    if not ("float" in dtype or "int" in dtype or dtype == "bool"):
        raise TypeError(f"Expected real numbers for {name}. Received: an array of dtype {dtype}.")
    return tensor


def cast_numbers(x, dtype, name: str = "the input"):
    """Cast an array of numbers to a dtype, or raise TypeError if it has no real numbers.

    Keras casts floating inputs of layers only.
    """
    return K.cast(numeric(x, name), dtype)


def floating(x, name: str = "the input"):
    """Cast an integer or boolean tensor to `keras.config.floatx()`, and return floating tensors unchanged.

    Raises:
        TypeError: `x` has no real numbers.
    """
    x = numeric(x, name)
    return x if "float" in backend.standardize_dtype(x.dtype) else K.cast(x, backend.floatx())


def at_least_float32(x):
    """Cast a tensor to a floating dtype of at least 32 bits.

    A float16 or bfloat16 tensor becomes float32. An integer or boolean one takes the dtype `keras.config.floatx()`,
    but at least float32. Others are unchanged.
    """
    x = floating(x)
    is_half = backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return K.cast(x, "float32") if is_half else x


def floating_together(*tensors):
    """Cast tensors to a common floating dtype.

    It is the widest of their dtypes.

    Integer and boolean tensors take the dtype of the floating ones, or `keras.config.floatx()` where there are none.
    """
    converted = [numeric(x) for x in tensors]
    dtype = backend.result_type(*(x.dtype for x in converted))
    dtype = dtype if "float" in dtype else backend.floatx()
    return [K.cast(x, dtype) for x in converted]


def _shorten(x) -> str:
    text = repr(x)
    return text if len(text) <= 80 else f"{text[:80]}..."
