"""Computation of gradients with the current Keras backend (TensorFlow, JAX or PyTorch)."""

import keras


def gradient(function, x):
    """Compute the gradient of a scalar function of one tensor.

    Args:
        function: tensor -> scalar tensor, written in `keras.ops` and layers.
        x: array.

    Returns:
        Tensor of the shape of `x`.

    Raises:
        ValueError: the function does not depend on `x` by a differentiable path, or Keras's backend has no gradients.
    """
    result = _module_of_backend().gradient(function, keras.ops.convert_to_tensor(x))
    if result is None:
        raise ValueError("No gradient reaches the images: the model converts them to integers, or stops the gradient.")
    return result


def _module_of_backend():
    """Return the module that computes gradients with Keras's backend, or raise ValueError if none exists."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from encapnet_tf.explain import on_tensorflow

        return on_tensorflow
    if backend == "jax":
        from encapnet_tf.explain import on_jax

        return on_jax
    if backend == "torch":
        from encapnet_tf.explain import on_torch

        return on_torch
    raise ValueError(f"Keras's backend {backend!r} computes no gradients. Use tensorflow, jax or torch.")
