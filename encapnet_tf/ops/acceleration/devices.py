"""Function that finds out whether Keras computes on a GPU."""

from keras import backend


def has_gpu() -> bool:
    """Return whether Keras computes on a GPU, with TensorFlow or JAX. With PyTorch the answer is always no."""
    if backend.backend() == "tensorflow":
        from encapnet_tf.ops.acceleration import on_tensorflow

        return on_tensorflow.has_gpu()
    if backend.backend() == "jax":
        import jax

        return jax.default_backend() == "gpu"
    return False
