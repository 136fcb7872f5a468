"""Where the jitted helpers of `on_tensorflow` may act, and graphs that any machine can run."""

import contextlib
import contextvars

import keras

_PORTABLE = contextvars.ContextVar("portable", default=None)


@contextlib.contextmanager
def portable(runtime="tensorflow"):
    """Inside, operations are chosen for any machine, not for this one: for graphs that are exported.

    (Where TensorFlow sees a GPU, Keras's grouped convolution is the fastest, but it is a function compiled by XLA.)

    Args:
        runtime: what the graph will run on: "tensorflow", or "litert", which has a fast grouped convolution of its own.
    """
    token = _PORTABLE.set(runtime)
    try:
        yield
    finally:
        _PORTABLE.reset(token)


def portable_to():
    """The runtime of the `portable` that the code runs inside, or None."""
    return _PORTABLE.get()


def jitted_helpers(training, *tensors):
    """The module of jitted training helpers, or None where the plain `keras.ops` body is to run.

    They act in the graph of a training step on TensorFlow (never in inference, so no saved or exported model holds
    one), on a CPU, in float32 and on maps of known size. Elsewhere a backend compiles the plain body itself (JAX, a
    GPU's kernels), or compiling would cost more than it saves (an eager call).

    Args:
        training: whether a gradient will be taken.
        *tensors: what the helper works on.

    Returns:
        `encapnet_tf.ops.on_tensorflow` or None.
    """
    if not training or keras.backend.backend() != "tensorflow":
        return None
    if any(keras.backend.standardize_dtype(x.dtype) != "float32" or None in tuple(x.shape)[1:] for x in tensors):
        return None
    from encapnet_tf.ops import on_tensorflow

    return on_tensorflow if on_tensorflow.applies() else None


def compiled(body, tensors, static=(), training=False):
    """`body(*tensors, *static)`, compiled where `jitted_helpers` apply; its gradient keeps only the tensors.

    Args:
        body: function at module level.
        tensors: its first arguments.
        static: the others, hashable.
        training: whether a gradient will be taken.

    Returns:
        What `body` returns.
    """
    helpers = jitted_helpers(training, *tensors)
    return helpers.recomputed(body, *static)(*tensors) if helpers else body(*tensors, *static)
