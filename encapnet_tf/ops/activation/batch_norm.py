"""Function that selects fused batch normalisation for training on a CPU with TensorFlow."""

from encapnet_tf.ops.acceleration import accelerates


def fused_kernels(x, training):
    """Return the module of fused batch normalisation functions for CPU training, or None if they cannot be used.

    The backend must be TensorFlow, and the map must have a known size and be in float32. None means
    that Keras's own operations are to be used.

    Args:
        x: (batch, height, width, channels).
        training: whether a gradient will be taken.
    """
    if not accelerates(training, x):
        return None
    from encapnet_tf.ops.activation import on_tensorflow

    return on_tensorflow
