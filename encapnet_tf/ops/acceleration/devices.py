"""Function that returns the kind of device that Keras uses by default."""

from keras import backend


def default_device() -> str:
    """Return the kind of device that Keras uses by default.

    It is "cpu" or "gpu", on JAX also "tpu", and "unknown" on PyTorch.
    """
    if backend.backend() == "tensorflow":
        from encapnet_tf.ops.acceleration import on_tensorflow

        return "gpu" if on_tensorflow.has_gpu() else "cpu"
    if backend.backend() == "jax":
        from encapnet_tf.ops.acceleration import on_jax

        return on_jax.default_device()
    return "unknown"
