"""ReLU function that passes NaN elements and their gradients through unchanged."""

from keras import ops as K


def positive_part(x):
    """Apply a ReLU that passes NaN elements and their gradients through unchanged.

    `keras.ops.relu` has equal values, but under XLA and on JAX its gradient is 0 where x is NaN. A loss would then be
    NaN while the weights keep moving by what the other terms say.

    Args:
        x: floating tensor.

    Returns:
        Tensor of the shape and dtype of `x`; the gradient at 0 is 0.
    """
    return K.where(x <= 0, 0.0, x)
