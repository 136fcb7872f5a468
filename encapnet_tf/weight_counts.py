"""Function that counts the weights of a Keras model without allocating them."""

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

import keras


@dataclass(frozen=True)
class WeightCounts:
    """Number of all weights and number of trainable weights of a Keras model.

    Attributes:
        weights: all, with the moving statistics of batch normalisation.
        trainable: those that have optimizer slots.
    """

    weights: int
    trainable: int


def count_weights(build: Callable[[], keras.Model]) -> WeightCounts | None:
    """Count the weights of a Keras model without allocating them, or return None if the model cannot be built.

    The network is built in a thread of its own, because Keras counts the names of layers in each thread. So the names
    and the random numbers of later networks stay what they are without this function.

    Args:
        build: function that builds the network.
    """
    counts: list[WeightCounts] = []

    def build_and_count():
        try:
            with keras.StatelessScope(initialize_variables=False):
                model = build()
                weights, trainable = (
                    sum(math.prod(weight.shape) for weight in some) for some in (model.weights, model.trainable_weights)
                )
        except Exception:  # the real network, which is built next, raises it again
            return
        counts.append(WeightCounts(weights, trainable))

    state = random.getstate()  # Keras takes the seeds of initializers from it
    try:
        thread = threading.Thread(target=build_and_count, daemon=True)
        thread.start()
        thread.join()
    finally:
        random.setstate(state)
    return counts[0] if counts else None
