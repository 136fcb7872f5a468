"""Functions that compile benchmark code with Keras's TensorFlow or JAX backend.

The code is compiled as a training step compiles it.
"""

import concurrent.futures

import keras

from benchmarks.contestants.arrays import output_gradient
from benchmarks.harness.contestant import Prepared

_COMPILERS = concurrent.futures.ThreadPoolExecutor(4)


def compile_function(function, inputs, gradient, *, jit=False, variables=(), calls=1):
    """Compile a function for fixed input tensors, and return a callable without arguments.

    The compiled function runs `function(*inputs)`, optionally computes its gradients, and waits for the end.

    The gradient is that of the output times fixed random numbers, summed (of a scalar output itself), with respect to
    every input and to `variables`. Inputs and random numbers are arguments of the compiled function, so that nothing
    can be computed at compile time.

    Args:
        function: of tensors, to a tensor.
        inputs: NumPy arrays or tensors.
        gradient: whether gradients are computed too.
        jit: whether XLA compiles it (JAX always does).
        variables: Keras variables that the function reads, differentiated by as well; TensorFlow only.
        calls: number of calls in a row, without waiting in between.

    Returns:
        The function without arguments; it returns (output, gradients) or the output.
    """
    inputs = [keras.ops.convert_to_tensor(x) for x in inputs]
    if keras.backend.backend() == "jax":
        return _compile_with_jax(function, inputs, gradient, calls)
    return _compile_with_tensorflow(function, inputs, gradient, jit=jit, variables=list(variables), calls=calls)


def compile_in_background(function, *arguments, **options):
    """Compile a JAX function in a thread of its own, so that several functions compile at the same time.

    Args:
        function: of the arguments.
        *arguments: examples, of the shapes and types of all later arguments.
        **options: of `jax.jit`.

    Returns:
        The compiled function. Its first call waits until it is compiled.
    """
    import jax

    compilation = _COMPILERS.submit(jax.jit(function, **options).lower(*arguments).compile)
    return lambda *arguments: compilation.result()(*arguments)


def device():
    """Return the name of the Keras backend's first device, such as "cpu" or "NVIDIA H100"."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
    return keras.distribution.list_devices()[0]


def describe_device():
    """Return a function that does nothing, with the facts "device", its name, and "gpu", whether it is a GPU."""
    if keras.backend.backend() == "jax":
        import jax

        is_gpu = jax.default_backend() == "gpu"
    else:
        is_gpu = any(name.startswith("gpu") for name in keras.distribution.list_devices())
    return Prepared(lambda: None, {"device": device(), "gpu": is_gpu})


def _compile_with_tensorflow(function, inputs, gradient, *, jit, variables, calls):
    import tensorflow as tf

    if not gradient:
        forward = tf.function(function, jit_compile=jit)
        return lambda: [forward(*inputs) for _ in range(calls)][-1]
    weights = tf.constant(output_gradient(*function(*inputs).shape))

    sources = [v.value for v in variables]

    @tf.function(jit_compile=jit)
    def value_and_gradient(weights, *inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = function(*inputs)
        return outputs, tape.gradient(outputs, [*inputs, *sources], output_gradients=tf.cast(weights, outputs.dtype))

    return lambda: [value_and_gradient(weights, *inputs) for _ in range(calls)][-1]


def _compile_with_jax(function, inputs, gradient, calls):
    import jax

    if not gradient:
        forward = compile_in_background(function, *inputs)
        return lambda: jax.block_until_ready([forward(*inputs) for _ in range(calls)][-1])
    shape = jax.eval_shape(function, *inputs)
    weights = keras.ops.convert_to_tensor(output_gradient(*shape.shape), shape.dtype)

    def value_and_gradient(inputs, weights):
        outputs, backward = jax.vjp(function, *inputs)
        return outputs, backward(weights)

    run = compile_in_background(value_and_gradient, inputs, weights)
    return lambda: jax.block_until_ready([run(inputs, weights) for _ in range(calls)][-1])
