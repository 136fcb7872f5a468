"""Numerical settings of Keras layers, changeable without recompiling the training step."""

import keras


class UnsavedNumber(keras.random.SeedGenerator):
    """Numerical hyper-parameter of a Keras layer that can change without recompilation of the training step.

    A compiled step reads it from a variable. As with `StepCounter`, the variable is one of the layer's `variables` but
    not one of its `weights`: files of weights, `get_weights` and counts of parameters leave it out, and the layer's
    `get_config` saves `number`. No random number is drawn.

    Args:
        number: initial value.
        dtype: dtype of the layer's variables; the number is kept in at least float32.
        name: name of the variable.

    Attributes:
        state: Keras variable (), for the layer's `call`.
    """

    def __init__(self, number: float, dtype: str, name: str):  # the seed generator's own state would have two numbers
        dtype = "float64" if dtype == "float64" else "float32"
        self._number = float(number)
        self.state = keras.Variable(self._initial_value, (), trainable=False, dtype=dtype, autocast=False, name=name)
        self.state.is_unsaved_number = True

    def _initial_value(self, shape, dtype):  # a function, so that a network can be built without being allocated
        return keras.ops.convert_to_tensor(self._number, dtype)

    @property
    def number(self) -> float:
        """Exact value of a layer's numerical hyper-parameter as a Python float, not rounded to float32."""
        return self._number

    @number.setter
    def number(self, value):
        self._number = float(value)
        self.state.assign(self._number)


def unsaved_numbers(model: keras.Model) -> list[keras.Variable]:
    """Return all variables of a Keras model that hold numerical hyper-parameters of layers.

    They are in the order of `model.variables`.
    """
    return [variable for variable in model.variables if getattr(variable, "is_unsaved_number", False)]
