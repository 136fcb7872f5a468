"""A function of tensors, compiled as a training step compiles it, on Keras's TensorFlow or JAX backend."""

import keras

from benchmarks.contestants.random_arrays import direction


def compiled(function, inputs, gradient, jit=False, variables=()):
    """A call without arguments that runs `function(*inputs)`, its gradient too if asked, and waits for the results.

    The gradient is of the output times fixed random numbers, summed (of a scalar output itself), with respect to every
    input and to `variables`. Nothing is known when compiling: inputs and numbers are arguments of the compiled
    function.

    Args:
        function: of tensors, to a tensor.
        inputs: NumPy arrays or tensors.
        gradient: whether gradients are computed along.
        jit: whether XLA compiles it (JAX always does).
        variables: Keras variables that the function reads, to be differentiated by as well; TensorFlow only.

    Returns:
        The call; it returns (output, gradients) or the output.
    """
    inputs = [keras.ops.convert_to_tensor(x) for x in inputs]
    if keras.backend.backend() == "jax":
        return _with_jax(function, inputs, gradient)
    return _with_tensorflow(function, inputs, gradient, jit, list(variables))


def _with_tensorflow(function, inputs, gradient, jit, variables):
    import tensorflow as tf

    if not gradient:
        forward = tf.function(function, jit_compile=jit)
        return lambda: forward(*inputs)
    weights = tf.constant(direction(*function(*inputs).shape))

    sources = [v.value for v in variables]

    @tf.function(jit_compile=jit)
    def value_and_gradient(weights, *inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        return outputs, tape.gradient(outputs, [*inputs, *sources], output_gradients=tf.cast(weights, outputs.dtype))

    return lambda: value_and_gradient(weights, *inputs)


def _with_jax(function, inputs, gradient):
    import jax

    if not gradient:
        forward = jax.jit(function)
        return lambda: jax.block_until_ready(forward(*inputs))
    shape = jax.eval_shape(function, *inputs)
    weights = keras.ops.convert_to_tensor(direction(*shape.shape), shape.dtype)

    @jax.jit
    def value_and_gradient(inputs, weights):
        outputs, backward = jax.vjp(function, *inputs)
        return outputs, backward(weights)

    return lambda: jax.block_until_ready(value_and_gradient(inputs, weights))
