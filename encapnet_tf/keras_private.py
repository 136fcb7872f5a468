"""Workarounds for bugs of Keras 3.10 to 3.15, and access to private attributes of Keras.

The bugs are in distributed training and in loading. The workarounds use private names of Keras, which no other file
does. Each has a test that shows the fault without it: in tests/distribution/test_keras_private.py, in
tests/feedback/test_compiled.py for `compile_arguments`, in tests/feedback/test_first_step.py for what shortens the time
to the first step, in tests/core/explain/test_agreement.py for `layer_call` (a network whose layers are called twice),
in tests/trainers/fitting/test_strategy.py for `inner_layers` (a layer that is not in `model.layers`),
and for `safe_mode`, with the oldest Keras, in tests/core/conformance/test_saving.py.
"""

import contextlib
import gc
import sys
import threading
import weakref
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:  # a mixin that calls a model's methods
    from keras import Model as _Model
else:
    _Model = object

_THREAD = threading.local()  # its attribute `losses` maps a layer to the thread's own list of losses


class PerReplicaLosses:
    """Keras layer mixin that keeps a separate list of `add_loss` losses for each replica in distributed training.

    Put it before `keras.Layer`.

    `tf.distribute.MirroredStrategy` builds its replicas' steps in threads that take turns wherever the replicas
    communicate in the forward pass. Keras keeps a layer's losses in one list, so a replica would lose its term or get
    that of another replica.
    """

    @property
    def _losses(self):
        if not hasattr(_THREAD, "losses"):
            _THREAD.losses = weakref.WeakKeyDictionary()
        return _THREAD.losses.setdefault(self, [])

    @_losses.setter
    def _losses(self, value):
        self._losses[:] = value


def safe_mode():
    """Return a context manager that prevents Keras from executing Python code stored in a model file.

    Before Keras 3.11.3, `load_model(safe_mode=True)` ran the code of a Lambda layer in an HDF5 file (CVE-2025-9905).
    """
    return sys.modules[keras.saving.deserialize_keras_object.__module__].SafeModeScope(safe_mode=True)


def compile_arguments(model) -> dict:
    """Return the original objects that were passed to a Keras model's `compile` method.

    The public `get_compile_config` returns them serialised, and Keras restores only registered classes from that.

    Args:
        model: a compiled model whose class does not override `compile`.

    Returns:
        New dictionary: argument's name -> value.
    """
    return dict(model._compile_config.config)


def learning_rate_or_schedule(optimizer):
    """Return a Keras optimizer's learning-rate schedule object if there is one, else the learning-rate variable.

    The public `optimizer.learning_rate` computes a schedule's current value.
    """
    return optimizer._learning_rate


def adam_moments(optimizer, variable):
    """Return the backend variables that hold a Keras Adam optimizer's first and second moments for one weight.

    Args:
        optimizer: a built `keras.optimizers.Adam`.
        variable: one of the variables that it was built with.
    """
    index = optimizer._get_variable_index(variable)
    return optimizer._momentums[index].value, optimizer._velocities[index].value


def layer_call(tensor):
    """Return the layer whose call computed a symbolic tensor, and the positional and keyword arguments of that call.

    The public `layer.input` and `layer.output` are those of the layer's first call, which may be in another model that
    shares the layer.

    Args:
        tensor: symbolic tensor of a functional model.

    Returns:
        (layer, arguments, keyword arguments); the arguments are symbolic tensors and other values.
    """
    history = tensor._keras_history
    arguments = history.operation._inbound_nodes[history.node_index].arguments
    return history.operation, arguments.args, arguments.kwargs


def inner_layers(layer):
    """Return all layers inside a layer or model, at any depth, each once."""
    return layer._flatten_layers(include_self=False)


def replica_share(model, loss):
    """Divide an additional loss term by the number of replicas, as Keras does with `add_loss` terms.

    Keras sums the gradients of the replicas of `tf.distribute.MirroredStrategy`. Without a strategy nothing changes.
    """
    return model._aggregate_additional_loss(loss)


class BuildBeforeTracing(_Model):
    """Keras model mixin that builds the optimizer and the metrics before TensorFlow traces the training step.

    Put it before `keras.Model`.

    Without it TensorFlow traces a training step twice. The first trace creates the variables of the optimizer and the
    metrics, and a graph in which variables are created cannot be used again.
    """

    _calls_for_shapes = False

    def _symbolic_build(self, *args, **kwargs):
        # Keras calls the model on symbolic tensors. If all layers are built, only the outputs' shapes matter.
        self._calls_for_shapes = all(layer.built for layer in self.layers)
        try:
            return super()._symbolic_build(*args, **kwargs)
        finally:
            self._calls_for_shapes = False

    def call(self, inputs, training=None, mask=None, **kwargs):
        if not self._calls_for_shapes:
            return super().call(inputs, training=training, mask=mask, **kwargs)
        batch = keras.ops.shape(keras.tree.flatten(inputs)[0])[0]
        return keras.tree.map_structure(
            lambda output: keras.ops.zeros((batch, *output.shape[1:]), output.dtype), self.output
        )

    def make_train_function(self, force=False):
        if self.train_function is not None and not force:
            return
        super().make_train_function(force=force)
        if keras.backend.backend() == "tensorflow" and not self.run_eagerly:
            self._build_at_the_first_call(self.train_function)

    def _build_at_the_first_call(self, train_function):
        """Wrap a training function so that the first call builds the optimizer and the metrics."""

        def build_and_train(iterator):
            self.train_function = train_function
            # `train_on_batch` passes a generator. In a strategy Keras has built everything.
            if hasattr(iterator, "element_spec") and self._distribute_strategy is None:
                self._symbolic_build(data_batch=iterator.element_spec)
            with _existing_objects_left_out_of_garbage_collection():
                return train_function(iterator)

        self.train_function = build_and_train


@contextlib.contextmanager
def _existing_objects_left_out_of_garbage_collection():
    """Exclude all existing Python objects from garbage collection inside a `with` block.

    Tracing makes so many objects that all those of TensorFlow and Keras would be searched several times, for a tenth of
    the time to the first step.
    """
    is_ours = gc.get_freeze_count() == 0
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        if is_ours:
            gc.unfreeze()


def patch_multi_worker_training(model):
    """Make `fit` and `evaluate` of a Keras model work under `tf.distribute.MultiWorkerMirroredStrategy`.

    Keras builds the model from the mean of the workers' batches, which the strategy refuses, and averages the scalar
    logs of a step over axis 0, which they lack. Here the model is built from one worker's batch, and logs are averaged
    over the workers only.

    Args:
        model: a Keras model, built in the strategy's scope.
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
    original = getattr(module, "reduce_per_replica")  # noqa: B009 (mypy does not know the name)
    if getattr(original, "averages_over_workers", False):
        return

    def reduce_per_replica(values, strategy, reduction):
        if reduction in ("auto", "mean") and module._collective_all_reduce_multi_worker(strategy):
            return keras.tree.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), values)
        return original(values, strategy, reduction)

    setattr(reduce_per_replica, "averages_over_workers", True)  # noqa: B010
    setattr(module, "reduce_per_replica", reduce_per_replica)  # noqa: B010
