"""What Keras's backend computes on."""

import keras


def device():
    """Name of the first device: a JAX accelerator's model, or "cpu:0"."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    return keras.distribution.list_devices()[0]
