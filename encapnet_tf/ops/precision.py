"""Casting of half-precision tensors to float32.

Norms, costs and transport plans are computed in at least float32.
"""

from keras import backend
from keras import ops as K


def at_least_float32(x):
    """Cast a float16 or bfloat16 tensor to float32, and return other dtypes unchanged."""
    x = K.convert_to_tensor(x)
    is_half = backend.standardize_dtype(x.dtype) in ("float16", "bfloat16")
    return K.cast(x, "float32") if is_half else x
