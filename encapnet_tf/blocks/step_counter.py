"""Variable that counts training steps in a Keras layer and is not part of the layer's saved weights."""

import keras

_NAME = "training_steps"


class StepCounter(keras.random.SeedGenerator):
    """Training-step counter of a Keras layer, stored in a variable that is not saved with the weights.

    Keras treats the states of seed generators in this way, and nothing else: every backend's training step carries
    them, and files of weights, `get_weights` and counts of parameters leave them out. No random number is drawn.

    Attributes:
        state: int Keras variable (), the number of steps.
    """

    def __init__(self):  # the seed generator's own state would have two numbers
        self.state = keras.Variable("zeros", shape=(), dtype="int", trainable=False, name=_NAME)


def step_counts(model: keras.Model) -> list[keras.Variable]:
    """Return all variables of a Keras model that count training steps.

    They are in the order of `model.variables`.
    """
    return [variable for variable in model.variables if variable.name == _NAME]
