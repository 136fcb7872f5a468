"""Functions that make Adam and AdamW update each variable by a single TensorFlow operation."""

import contextlib

import keras


def update_in_one_operation(optimizer, gradient, variable, learning_rate) -> bool:
    """Update a variable by Adam's rule in one TensorFlow operation, or return False if this is impossible.

    Args:
        optimizer, gradient, variable, learning_rate: as in `optimizers.on_tensorflow.update_by_one_operation`.

    Returns:
        Whether the variable was updated.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    from encapnet_tf.optimizers.on_tensorflow import update_by_one_operation

    return update_by_one_operation(optimizer, gradient, variable, learning_rate)


@contextlib.contextmanager
def fused_updates(optimizer):
    """Make Keras's Adam and AdamW update each variable by a single TensorFlow operation in traced training steps.

    Inside the `with` block the optimizer's `update_step` is replaced, on this object only. Values differ from Keras's
    by rounding. Other optimizers and subclasses, which may have a rule of their own, stay as they are.

    Args:
        optimizer: a Keras optimizer, or None.
    """
    is_adam = type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW)
    if keras.backend.backend() != "tensorflow" or not is_adam or "update_step" in vars(optimizer):
        yield
        return
    original = optimizer.update_step

    def update_step(gradient, variable, learning_rate):
        if not update_in_one_operation(optimizer, gradient, variable, learning_rate):
            original(gradient, variable, learning_rate)

    optimizer.update_step = update_step
    try:
        yield
    finally:
        del optimizer.update_step
