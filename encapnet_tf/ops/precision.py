"""Norms, costs and transport plans are computed in at least float32."""

import keras
from keras import ops


def at_least_float32(x):
    """`x` as a tensor, half precision raised to float32; float64 stays."""
    x = ops.convert_to_tensor(x)
    half = keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return ops.cast(x, "float32") if half else x
