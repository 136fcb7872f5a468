"""Function that concatenates the batches of all replicas in distributed training."""

from keras import backend


def all_gather(x):
    """Concatenate the batches of all replicas in distributed training, in the order of the replicas.

    The gradient of a row flows back to the replica that the row came from.

    Args:
        x: (batch, ...), one replica's share of the global batch.

    Returns:
        (global batch, ...). It is `x` itself outside of a step that several replicas share, and on backends other than
        TensorFlow, where a step sees the whole batch.
    """
    if backend.backend() != "tensorflow":
        return x
    from encapnet_tf.ops.acceleration import on_tensorflow

    return on_tensorflow.all_gather(x)
