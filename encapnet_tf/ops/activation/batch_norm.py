"""Selection of TensorFlow's fused batch normalisation where it is faster than Keras's operations."""

from encapnet_tf.ops.acceleration import accelerates


def fused_kernels(x, training):
    """Return the module of fused TensorFlow batch normalisation, or None where Keras's operations are to be used.

    Args:
        x: (batch, height, width, channels).
        training: whether a gradient will be taken.
    """
    if not accelerates(training, x):
        return None
    from encapnet_tf.ops.activation import on_tensorflow

    return on_tensorflow
