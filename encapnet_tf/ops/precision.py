"""Precision of norms, costs and transport plans: at least float32."""

from keras import backend
from keras import ops as K


def at_least_float32(x):
    """Return `x` as a tensor in at least float32: float16 and bfloat16 are cast, float64 stays."""
    x = K.convert_to_tensor(x)
    is_half = backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return K.cast(x, "float32") if is_half else x
