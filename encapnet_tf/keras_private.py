"""Keras's private names, all of them: what is mended of Keras 3.15 where several replicas train one model.

Each piece has a test of its own in tests/distribution, which says what goes wrong without it.
"""

import sys
import threading
import weakref

import keras

_THREAD = threading.local()  # losses: layer -> list, in each thread its own


class PerReplicaLosses:
    """Mixin, before `keras.Layer`: what `add_loss` gathers is kept apart for each replica.

    `tf.distribute.MirroredStrategy` builds its replicas' steps in threads that take turns wherever replicas exchange
    something in the forward pass, and Keras keeps a layer's losses in one list: a replica then loses its term, or has
    that of another.
    """

    @property
    def _losses(self):
        if not hasattr(_THREAD, "losses"):
            _THREAD.losses = weakref.WeakKeyDictionary()
        return _THREAD.losses.setdefault(self, [])

    @_losses.setter
    def _losses(self, value):
        self._losses[:] = value


def mend_multi_worker(model):
    """Lets `fit` and `evaluate` work under `tf.distribute.MultiWorkerMirroredStrategy`.

    Keras would build the model from the mean of the workers' batches, which fails, and would average the logs of a step
    over an axis that they do not have.

    Args:
        model: built in the strategy's scope.
    """
    strategy = model.distribute_strategy
    (trainer,) = (cls for cls in type(model).__mro__ if cls.__name__ == "TensorFlowTrainer")
    module = sys.modules[trainer.__module__]

    def maybe_symbolic_build(iterator=None, data_batch=None):
        if iterator is not None:
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda value: strategy.experimental_local_results(value)[0], next(batches)
                )
                break
        with strategy.scope():
            model._symbolic_build(data_batch=data_batch)

    model._maybe_symbolic_build = maybe_symbolic_build
    original = getattr(module, "reduce_per_replica")  # noqa: B009, a name that types do not know
    if getattr(original, "mended", False):
        return

    def reduce_per_replica(values, strategy, reduction):
        if reduction in ("auto", "mean") and module._collective_all_reduce_multi_worker(strategy):
            return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)
        return original(values, strategy, reduction)

    setattr(reduce_per_replica, "mended", True)  # noqa: B010
    setattr(module, "reduce_per_replica", reduce_per_replica)  # noqa: B010
