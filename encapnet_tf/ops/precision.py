"""Conversion of integer, boolean and half-precision tensors to the dtype used for a computation.

Norms, costs and transport plans are computed in at least float32.
"""

from keras import backend
from keras import ops as K


def floating(x):
    """Cast an integer or boolean tensor to `keras.config.floatx()`, and return floating tensors unchanged."""
    x = K.convert_to_tensor(x)
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
    converted = [K.convert_to_tensor(x) for x in tensors]
    dtype = backend.result_type(*(x.dtype for x in converted))
    dtype = dtype if "float" in dtype else backend.floatx()
    return [K.cast(x, dtype) for x in converted]
