"""Positive part of a tensor, which keeps NaN visible in the value and in the gradient."""

from keras import ops as K


def positive_part(x):
    """Return max(0, x), with NaN where x is NaN, and a gradient that lets NaN through there.

    `keras.ops.relu` has equal values, but under XLA and on JAX its gradient is 0 where x is NaN. A loss would then be
    NaN while the weights keep moving by what the other terms say.

    Args:
        x: floating tensor.

    Returns:
        Tensor of the shape and dtype of `x`; the gradient at 0 is 0.
    """
    return K.where(x <= 0, 0.0, x)
