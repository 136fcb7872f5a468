"""Training-step counter that a model tracks as a variable, but leaves out of the files of weights."""

import keras

_NAME = "training_steps"


class StepCounter(keras.random.SeedGenerator):
    """Counter of training steps that is one of a layer's `variables` but not one of the layer's `weights`.

    Keras treats the states of seed generators in this way, and nothing else: every backend's training step carries
    them, and files of weights, `get_weights` and counts of parameters leave them out. No random number is drawn.

    Attributes:
        state: int Keras variable (), the number of steps.
    """

    def __init__(self):  # the seed generator's own state would have two numbers
        self.state = keras.Variable("zeros", shape=(), dtype="int", trainable=False, name=_NAME)


def step_counts(model: keras.Model) -> list[keras.Variable]:
    """Return the variables of all step counters in a Keras model, in the order of `model.variables`."""
    return [variable for variable in model.variables if variable.name == _NAME]
