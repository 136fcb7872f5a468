"""Functions that only work on the TensorFlow backend, such as XLA compilation.

TensorFlow runs a graph operation by operation, and each is a pass over memory. On a CPU most operations of an EncapNet
are bound by memory, so XLA compiles chains of them, each chain as a function of its own. Dense convolutions stay
outside: they are several times faster without XLA.
"""

import functools

import tensorflow as tf

_RECOMPUTE = "_encapnet_recompute"  # attribute of a tensor, see `make_recomputable`


def has_gpu() -> bool:
    """Return whether TensorFlow sees a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))


def runs_eagerly() -> bool:
    """Return whether TensorFlow runs operations as they are called, and is not tracing a graph."""
    return tf.executing_eagerly()


def traces_for_cpu() -> bool:
    """Return whether TensorFlow is tracing a graph on a machine without a GPU."""
    return not tf.executing_eagerly() and not has_gpu()


def all_gather(x):
    """Concatenate the batches of all replicas in distributed TensorFlow training."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_gather(x, axis=0)


def delay_until(gradient, x):
    """Delay the use of a tensor in the backward pass until a gradient has been computed, to save memory.

    TensorFlow runs an operation as soon as its inputs exist. What the backward pass computes from `x` alone, such as a
    padded copy, would be computed in the forward pass otherwise, and be kept in memory until the gradient arrives.
    """
    if hasattr(x, _RECOMPUTE):
        return getattr(x, _RECOMPUTE)(gradient)
    with tf.control_dependencies([gradient]):
        return tf.identity(x)


def make_recomputable(y, function, x, *others):
    """Mark a tensor to be computed again in the backward pass, as function(x, *others), rather than kept in memory.

    The backward pass does so where it calls `recompute_after` or `delay_until`, once for all of these places.

    Args:
        y: the tensor.
        function: function of tensors that returns the value of `y`, far cheaper than what uses `y`.
        x: tensor that the backward pass needs anyway.
        *others: small tensors.
    """
    results = {}

    def recompute(gradient):
        graph = tf.compat.v1.get_default_graph()
        if graph not in results:
            results[graph] = function(delay_until(gradient, x), *others)
        return results[graph]

    setattr(y, _RECOMPUTE, recompute)


def recompute_after(gradient, x):
    """Compute a tensor again once a gradient has been computed if it is recomputable, and otherwise return it."""
    return delay_until(gradient, x) if hasattr(x, _RECOMPUTE) else x


@functools.cache
def compile_with_xla(body, **options):
    """Fix the keyword arguments of a function, and compile the function with XLA.

    The returned function takes the tensors.

    Args:
        body: function at module level of tensors, or of lists of tensors.
        **options: its other arguments, hashable.
    """
    return _compile(lambda *tensors: body(*tensors, **options))


@functools.cache
def compile_vjp(body, **options):
    """Return an XLA-compiled function that computes the vector-Jacobian product of a given function.

    Args:
        body: function at module level.
        **options: its arguments that are no tensors, hashable.

    Returns:
        Function of the list of `body`'s tensors and the list of its outputs' gradients; it returns the tensors'
        gradients.
    """

    def vjp(tensors, output_gradients):
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = tf.nest.flatten(body(*tensors, **options))
        return tape.gradient(outputs, tensors, output_gradients, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return _compile(vjp)


@functools.cache
def share_trace(body, count, **options):
    """Return a `tf.function` that is traced once and is not inlined into the calling graph.

    The keyword arguments of the function are bound.

    TensorFlow neither copies the function to each call nor optimises each call apart.

    Args:
        body, **options: as in `run_shared`.
        count: number of tensors. One `tf.function` cannot have traces for several numbers of them.
    """
    return tf.function(
        lambda *tensors: body(*tensors, **options),
        autograph=False,
        reduce_retracing=True,  # one trace for all sizes
        experimental_attributes={"_noinline": True},
    )


def compile_with_gradient(body, gradient=None, **options):
    """Compile a function with XLA, and recompute the intermediate tensors in the backward pass to save memory.

    The gradient keeps only the input tensors in memory. TensorFlow's own gradient of a compiled function would keep
    every intermediate tensor in memory.

    Args:
        body, gradient, **options: as in `run_compiled`.
    """

    @tf.custom_gradient
    def forward(*tensors):
        def backward(*output_gradients):
            inputs = [recompute_after(output_gradients[0], x) for x in tensors]
            if gradient is None:
                return compile_vjp(body, **options)(inputs, list(output_gradients))
            return compile_with_xla(gradient, **options)(*inputs, *output_gradients)

        return compile_with_xla(body, **options)(*tensors), backward

    return lambda *tensors: forward(*map(tf.convert_to_tensor, tensors))


def _compile(function):
    compiled = tf.function(function, jit_compile=True, autograph=False)
    # Variables are passed by value: a compiled function that captures one would be bound to it.
    return lambda *arguments: compiled(*tf.nest.map_structure(tf.convert_to_tensor, arguments))
