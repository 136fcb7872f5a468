"""Gradient of an L2 penalty, for optimizers that add it to the gradient of the loss."""

from keras import ops as K


def add_l2_gradient(gradient, variable, l2):
    """Add the gradient of an L2 penalty on a variable to the variable's gradient.

    The gradient of the penalty is `l2 * variable`, computed in the dtype of `gradient`.
    """
    return K.add(gradient, K.multiply(K.cast(l2, gradient.dtype), K.cast(variable, gradient.dtype)))
