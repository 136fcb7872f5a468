"""Adam with the L2 penalty in the gradient."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("encapnet_tf")
class AdamL2(keras.optimizers.Adam):
    """Adam that adds `l2 * variable` to every variable's gradient, batch normalisations and biases included.

    What the paper trains with ("Adam ... weight decay 5e-4"): the penalty passes through Adam's moments, unlike the
    decoupled decay of AdamW, and does not show in the logged loss, unlike a regulariser.

    Args:
        learning_rate: a number or a schedule.
        l2: the penalty's weight; its gradient is l2 * variable.
        name: the optimizer's name.
        **options: as `keras.optimizers.Adam`. Clipping acts before the penalty is added.

    Raises:
        ValueError: `l2` is negative.

    Example:

    >>> import keras, numpy as np
    >>> variable = keras.Variable([2.0])
    >>> optimizer = AdamL2(learning_rate=0.1, l2=0.5)
    >>> optimizer.apply([keras.ops.zeros(1)], [variable])  # the penalty alone moves it, by Adam's first step
    >>> round(float(variable[0]), 3)
    1.9
    """

    def __init__(self, learning_rate=0.001, l2=5e-4, name="adam_l2", **options):
        super().__init__(learning_rate, name=name, **options)
        if not l2 >= 0:
            raise ValueError(f"l2 must be at least 0. Received: l2={l2!r}.")
        self.l2 = float(l2)

    def update_step(self, gradient, variable, learning_rate):
        penalty = ops.multiply(ops.cast(self.l2, gradient.dtype), ops.cast(variable, gradient.dtype))
        super().update_step(ops.add(gradient, penalty), variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
