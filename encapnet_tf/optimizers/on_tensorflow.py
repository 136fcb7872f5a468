"""Adam optimizer step that updates each variable by a single TensorFlow operation.

Keras writes the update of each variable as 37 operations, which were 45 % of the graph of a small network's training
step. Tracing and optimising a graph takes about a millisecond for each.
"""

import weakref

import tensorflow as tf

from encapnet_tf.keras_private import adam_moments

_SCALARS: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # graph -> {(id of an optimizer, dtype): scalars}


def update_by_one_operation(optimizer, gradient, variable, learning_rate) -> bool:
    """Update a variable by Adam's rule in one TensorFlow operation if possible, and return True on success.

    It is impossible with `amsgrad`, for a sparse gradient, in a distribution strategy or outside of a traced function.

    Args:
        optimizer: a built `keras.optimizers.Adam`.
        gradient: tensor of the shape of `variable`.
        variable: TensorFlow variable.
        learning_rate: scalar tensor.

    Returns:
        Whether the variable and its moments were updated.
    """
    if (
        tf.executing_eagerly()
        or tf.distribute.has_strategy()
        or optimizer.amsgrad
        or not isinstance(gradient, tf.Tensor)
        or not isinstance(variable, tf.Variable)
    ):
        return False
    dtype = variable.dtype
    momentum, velocity = adam_moments(optimizer, variable)
    beta_1, beta_2, epsilon, beta_1_power, beta_2_power = _scalars(optimizer, dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=momentum.handle,
        v=velocity.handle,
        beta1_power=beta_1_power,
        beta2_power=beta_2_power,
        lr=tf.cast(learning_rate, dtype),
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=tf.cast(gradient, dtype),
    )
    return True


def _scalars(optimizer, dtype):
    """Return the coefficients of Adam's update rule as tensors that are created once per TensorFlow graph."""
    in_graph = _SCALARS.setdefault(tf.compat.v1.get_default_graph(), {})
    key = id(optimizer), dtype
    if key not in in_graph:
        step = tf.cast(optimizer.iterations + 1, dtype)
        beta_1, beta_2, epsilon = (
            tf.constant(value, dtype) for value in (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon)
        )
        in_graph[key] = beta_1, beta_2, epsilon, tf.pow(beta_1, step), tf.pow(beta_2, step)
    return in_graph[key]
