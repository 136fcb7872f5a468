"""XLA compilation of selected parts of a TensorFlow training step.

They are the parts that become faster by it.
"""

from keras import backend
from keras import ops as K


def accelerates(training, *tensors) -> bool:
    """Return whether an operation should run TensorFlow code that is optimised for training on a CPU.

    It is used in the graph of a training step on TensorFlow, on a CPU, in float32 and on maps of known size. It is
    never used in inference, so no saved or exported model contains it. Other backends and GPUs compile the plain
    operations themselves, and in an eager call compiling would cost more than it saves.

    Args:
        training: whether a gradient will be taken.
        *tensors: the inputs of the operation.
    """
    if not training or backend.backend() != "tensorflow":
        return False
    if any(backend.standardize_dtype(x.dtype) != "float32" or None in tuple(x.shape)[1:] for x in tensors):
        return False
    from encapnet_tf.ops.acceleration import on_tensorflow

    return on_tensorflow.traces_for_cpu()


def runs_eagerly() -> bool:
    """Return whether the Keras backend runs each operation as soon as it is called.

    A Python loop is then the fastest loop. JAX counts as a backend that does not: fast JAX programs are compiled.
    """
    if backend.backend() != "tensorflow":
        return backend.backend() == "torch"
    from encapnet_tf.ops.acceleration import on_tensorflow

    return on_tensorflow.runs_eagerly()


def run_compiled(body, tensors, training, /, *, gradient=None, **options):
    """Call a function on tensors, through XLA if training is true, the backend TensorFlow and the device a CPU.

    The gradient of a compiled body keeps only `tensors` in memory and recomputes the rest in the backward pass.

    Args:
        body: function at module level, written in `keras.ops`.
        tensors: its tensors.
        training: whether a gradient will be taken; changes speed and memory, never values.
        gradient: function at module level of the tensors, the gradients of the outputs and `options`, which returns the
            gradients of the tensors; None differentiates `body`.
        **options: its other arguments, hashable.
    """
    if not accelerates(training, *tensors):
        return body(*tensors, **options)
    from encapnet_tf.ops.acceleration import on_tensorflow

    return on_tensorflow.compile_with_gradient(body, gradient, **options)(*tensors)


def run_shared(body, tensors, training, /, **options):
    """Call a function on tensors, through a cached `tf.function` in training with TensorFlow on a CPU, else directly.

    It is for small chains of operations that stand in many places of a step: each place has one operation then. No
    gradient flows through the function.

    Args:
        body: function at module level, written in `keras.ops`.
        tensors: its tensors.
        training: whether a training step is traced; changes speed, never values.
        **options: its other arguments, hashable.
    """
    tensors = [K.stop_gradient(x) for x in tensors]
    if not accelerates(training, tensors[0]):
        return body(*tensors, **options)
    from encapnet_tf.ops.acceleration import on_tensorflow

    return on_tensorflow.share_trace(body, len(tensors), **options)(*tensors)
