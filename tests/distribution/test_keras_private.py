"""Fixes of Keras's private functions: each works, and Keras still has the fault."""

import inspect
import sys
import threading

import keras
import numpy as np
import tensorflow as tf

from encapnet_tf.keras_private import patch_multi_worker_training
from encapnet_tf.layers import FeedbackAgreement


def losses_of_two_threads(layer):
    """Return the number of losses that each of two threads finds after both have added one."""
    both, counts = threading.Barrier(2), []

    def replica():
        layer.add_loss(keras.ops.ones(()))
        both.wait(10)
        counts.append(len(layer.losses))

    threads = [threading.Thread(target=replica) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def test_each_thread_has_its_own_losses_of_a_unit():
    assert losses_of_two_threads(keras.layers.Layer()) == [2, 2], "Keras separates them itself: remove PerReplicaLosses"
    unit = FeedbackAgreement()
    assert losses_of_two_threads(unit) == [1, 1]
    assert unit.losses == []


def test_each_call_clears_the_losses_of_the_last():
    unit = FeedbackAgreement(generator="conv")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, unit([keras.layers.Dense(4)(inputs), inputs]))
    for _ in range(2):
        model(np.ones((2, 4), "float32"), training=True)
        assert len(model.losses) == 1


def trainer_of(model):
    return next(cls for cls in type(model).__mro__ if cls.__name__ == "TensorFlowTrainer")


def compiled():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model


def test_a_model_is_built_from_the_batch_of_one_worker():
    """Keras takes the mean over workers of a batch, which the strategy refuses."""
    model = compiled()
    assert 'reduce(\n                        "MEAN"' in inspect.getsource(trainer_of(model)._maybe_symbolic_build)
    patch_multi_worker_training(model)
    batches = tf.data.Dataset.from_tensors((np.ones((4, 2), "float32"), np.ones((4, 1), "float32")))
    unbuilt = len(model.metrics_variables)
    model._maybe_symbolic_build(iterator=[(0, 0, iter(batches))])
    assert len(model.metrics_variables) == unbuilt + 2
    assert model.optimizer.built


def test_logs_are_averaged_over_workers_but_no_axis(monkeypatch):
    """Keras averages scalars over axis 0, which scalars lack."""

    class Strategy:
        def reduce(self, how, value, axis):
            return (how, value, axis)

    model = compiled()
    module = sys.modules[trainer_of(model).__module__]
    assert 'strategy.reduce("MEAN", v, axis=0)' in inspect.getsource(module)
    patch_multi_worker_training(model)
    patch_multi_worker_training(model)
    assert module.reduce_per_replica({"loss": 1.0}, tf.distribute.get_strategy(), "auto") == {"loss": 1.0}
    monkeypatch.setattr(module, "_collective_all_reduce_multi_worker", lambda strategy: isinstance(strategy, Strategy))
    assert module.reduce_per_replica({"loss": 1.0}, Strategy(), "auto") == {"loss": ("MEAN", 1.0, None)}
