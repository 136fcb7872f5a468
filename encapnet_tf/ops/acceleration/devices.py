"""Function that finds out on which kind of device Keras computes."""

from keras import backend


def default_device() -> str:
    """Return the kind of device on which Keras computes by default: "cpu", "gpu", another name of JAX, or "unknown".

    With PyTorch, it is unknown.
    """
    if backend.backend() == "tensorflow":
        from encapnet_tf.ops.acceleration import on_tensorflow

        return "gpu" if on_tensorflow.has_gpu() else "cpu"
    if backend.backend() == "jax":
        from encapnet_tf.ops.acceleration import on_jax

        return on_jax.default_device()
    return "unknown"
