"""Choice between TensorFlow's fused batch normalisation and Keras's own operations."""

from encapnet_tf.ops.acceleration import accelerates


def fused_kernels(x, training):
    """Return the Python module with TensorFlow's fused batch normalisation if it is applicable, else None.

    None means that Keras's own operations are to be used.

    Args:
        x: (batch, height, width, channels).
        training: whether a gradient will be taken.
    """
    if not accelerates(training, x):
        return None
    from encapnet_tf.ops.activation import on_tensorflow

    return on_tensorflow
