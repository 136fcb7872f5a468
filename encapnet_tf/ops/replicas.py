"""What the replicas of a training step know of one another."""

import keras


def gathered(x):
    """All replicas' rows, in the replicas' order; its gradient goes back to the replica that a row came from.

    Args:
        x: (batch, ...), a replica's share of a batch.

    Returns:
        (batch of all replicas, ...); `x` itself outside of a step that several replicas share, and on other backends
        than TensorFlow, where a step sees the whole batch.
    """
    if keras.backend.backend() != "tensorflow":
        return x
    from encapnet_tf.ops import on_tensorflow

    return on_tensorflow.gathered(x)
