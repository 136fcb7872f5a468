"""Stochastic gradient descent with momentum and an L2 penalty added to the gradient."""

import keras

from encapnet_tf.arguments import finite_number
from encapnet_tf.optimizers.l2_penalty import add_l2_gradient


@keras.saving.register_keras_serializable("encapnet_tf")
class SGDL2(keras.optimizers.SGD):
    """Stochastic gradient descent that adds an L2 penalty to the gradient of every variable, including biases.

    The term is `l2 * variable`, which passes through the momentum, as PyTorch's `weight_decay` does. It is the
    optimizer with which the papers of inverted attention and of self-routing train.

        g = gradient + l2 * variable,    v = momentum * v - learning_rate * g,    variable <- variable + v

    Args:
        learning_rate: a number or a schedule.
        momentum: share of the last step that the next one keeps.
        l2: weight of the penalty l2 / 2 * |variable|^2, whose gradient is l2 * variable.
        name: the optimizer's name.
        **options: arguments of `keras.optimizers.SGD`. Gradients are clipped before the penalty is added.

    Raises:
        ValueError: `l2` is negative or not finite.

    Example:

    >>> import keras
    >>> variable = keras.Variable([2.0])
    >>> SGDL2(learning_rate=0.1, l2=0.5).apply([keras.ops.zeros(1)], [variable])
    >>> round(float(variable[0]), 3)
    1.9
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, l2=5e-4, name="sgd_l2", **options):
        super().__init__(learning_rate, momentum=momentum, name=name, **options)
        self.l2 = finite_number("l2", l2, least=0)

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(add_l2_gradient(gradient, variable, self.l2), variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
