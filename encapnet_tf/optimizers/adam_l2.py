"""Adam optimizer with an L2 penalty added to the gradient."""

import keras

from encapnet_tf.arguments import finite_number
from encapnet_tf.optimizers.fused_updates import update_in_one_operation
from encapnet_tf.optimizers.l2_penalty import add_l2_gradient


@keras.saving.register_keras_serializable("encapnet_tf")
class AdamL2(keras.optimizers.Adam):
    """Adam optimizer that adds an L2 penalty to the gradient of every variable, including biases.

    The term is `l2 * variable`, also for the variables of batch normalisations. It is the optimizer of the paper ("Adam
    ... weight decay 5e-4"). The penalty passes through Adam's moments, unlike the decoupled decay of AdamW, and is not
    part of the logged loss, unlike a regulariser's.

    Args:
        learning_rate: a number or a schedule.
        l2: weight of the penalty l2 / 2 * |variable|^2, whose gradient is l2 * variable.
        name: the optimizer's name.
        **options: arguments of `keras.optimizers.Adam`. Gradients are clipped before the penalty is added.

    Raises:
        ValueError: `l2` is negative or not finite.

    Example:

    >>> import keras, numpy as np
    >>> variable = keras.Variable([2.0])
    >>> optimizer = AdamL2(learning_rate=0.1, l2=0.5)
    >>> optimizer.apply([keras.ops.zeros(1)], [variable])  # Adam's first step for a gradient of 1
    >>> round(float(variable[0]), 3)
    1.9
    """

    def __init__(self, learning_rate=0.001, l2=5e-4, name="adam_l2", **options):
        super().__init__(learning_rate, name=name, **options)
        self.l2 = finite_number("l2", l2, least=0)

    def update_step(self, gradient, variable, learning_rate):
        gradient = add_l2_gradient(gradient, variable, self.l2)
        if not update_in_one_operation(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
