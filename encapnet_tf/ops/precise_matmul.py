"""Function that multiplies matrices in full precision, also on GPUs that round float32 numbers to TF32."""

from keras import backend
from keras import ops as K

from encapnet_tf.ops.acceleration import default_device


def precise_matmul(a, b):
    """Multiply two matrices, or two batches of matrices, with the precision of their dtype on every device.

    By default, JAX and TensorFlow round float32 matrices to TF32 on a GPU, which has a precision of 1e-3. Transport
    costs need more: the Sinkhorn kernel divides their errors by epsilon and takes the exponential.

    Args:
        a: (..., n, k).
        b: (..., k, m).

    Returns:
        (..., n, m).

    Example:

    >>> import numpy as np
    >>> print(np.asarray(precise_matmul(np.ones((1, 2), "float32"), np.ones((2, 1), "float32"))))
    [[2.]]
    """
    if backend.backend() == "jax":
        from encapnet_tf.ops.acceleration import on_jax

        return on_jax.precise_matmul(a, b)
    is_rounded = backend.backend() == "tensorflow" and default_device() == "gpu" and 1 not in (a.shape[-2], b.shape[-1])
    if not is_rounded:  # products with single vectors never are
        return K.matmul(a, b)
    dtype = backend.standardize_dtype(a.dtype)
    return K.cast(K.matmul(K.cast(a, "float64"), K.cast(b, "float64")), dtype)
