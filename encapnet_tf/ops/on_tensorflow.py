"""What is TensorFlow's own: jitted helpers and fused kernels of a training step. Each wraps one `keras.ops` body.

TensorFlow runs a graph operation by operation, each a pass over memory. On a CPU most of an EncapNet's operations are
bound by that memory, so chains of them are handed to XLA, as functions of their own: dense convolutions are several
times faster without it. Only `ops` imports this module.
"""

import functools

import tensorflow as tf
from keras import ops

from encapnet_tf.ops.convolution import lowerings, tap_products
from encapnet_tf.ops.squash import relu_squash_body, relu_squash_gradient, scaled_relu_squash_gradient


def has_gpu():
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.get_visible_devices("GPU"))


def applies():
    """Whether a graph is being built, for a CPU."""
    return not tf.executing_eagerly() and not has_gpu()


def gathered(x):
    """All replicas' rows, or `x` where there is one replica."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    return context.all_gather(x, axis=0)


@functools.cache
def jitted(body, *static):
    """A function of tensors compiled by XLA.

    Args:
        body: function at module level.
        *static: its last arguments, hashable.

    Returns:
        Function of `body`'s first arguments.
    """
    compiled = tf.function(lambda *tensors: body(*tensors, *static), jit_compile=True, autograph=False)
    return lambda *tensors: compiled(*map(tf.convert_to_tensor, tensors))  # by value: no variable goes in


def recomputed(body, *static):
    """`jitted`, with a gradient that keeps nothing but the arguments: what lies between is computed again.

    (TensorFlow's own gradient of a compiled function has it hand out every intermediate tensor, to be kept.)
    """

    @tf.custom_gradient
    def forward(*tensors):
        back = jitted(_gradients, len(tensors), body, static)
        return jitted(body, *static)(*tensors), lambda *dy: back(*tensors, *dy)

    return lambda *tensors: forward(*map(tf.convert_to_tensor, tensors))


def _gradients(*arguments):
    """Of the body's arguments, given these, the gradients of its outputs, their number, the body and its statics."""
    *tensors, count, body, static = arguments
    tensors, dy = tensors[:count], tensors[count:]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = tf.nest.flatten(body(*tensors, *static))
    return tape.gradient(outputs, tensors, dy, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def relu_squash(x, capsule_dim):
    """Squash of ReLU in one pass, its gradient in another; only x is kept for it."""

    @tf.custom_gradient
    def forward(x):
        return jitted(relu_squash_body, capsule_dim)(x), lambda dy: jitted(relu_squash_gradient, capsule_dim)(x, dy)

    return forward(x)


def batch_norm(x, gamma, beta, epsilon):
    """Normalises by the batch's statistics, in TensorFlow's fused kernel: half the time of single operations.

    Args:
        x: (batch, height, width, channels).
        gamma, beta: (channels,).
        epsilon: added to the variance.

    Returns:
        The normalised map, the batch's mean and its (biased) variance.
    """
    y, _, _, mean, variance, _ = _fused_batch_norm(x, gamma, beta, epsilon)
    return y, mean, variance


def batch_norm_relu_squash(x, gamma, beta, epsilon, capsule_dim):
    """`batch_norm`, then `relu_squash`. Only x is kept for the gradient, which normalises it again in its one pass.

    Args:
        x, gamma, beta, epsilon: as in `batch_norm`.
        capsule_dim: components of a capsule.

    Returns:
        The squashed map, the batch's mean and its (biased) variance; no gradient flows through the last two.
    """

    @tf.custom_gradient
    def forward(x, gamma, beta):
        y, _, _, mean, variance, reserved = _fused_batch_norm(x, gamma, beta, epsilon)

        def backward(dy, *_):
            scale = gamma * tf.math.rsqrt(variance + epsilon)  # not in the compiled pass, which would repeat it
            dy = jitted(scaled_relu_squash_gradient, capsule_dim)(x, scale, beta - mean * scale, dy)
            return tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=dy,
                x=x,
                scale=gamma,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=reserved,
                epsilon=epsilon,
                is_training=True,
            )[:3]

        return (jitted(relu_squash_body, capsule_dim)(y), mean, variance), backward

    return forward(x, tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta))


def _fused_batch_norm(x, gamma, beta, epsilon):
    """On a CPU what it reserves for the gradient are the batch's mean and biased variance, and nothing."""
    return tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon, is_training=True
    )


def strided_convolution(x, kernel, strides):
    """Dense convolution of a padded copy, which is made again for the gradient, not kept.

    (TensorFlow's convolution can pad by itself, but its gradient kernels that do take up to twice as long.)
    """
    margin = kernel.shape[0] // 2
    pad = jitted(_padded, margin)
    options = {"strides": [1, strides, strides, 1], "padding": "VALID"}

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            padded = pad(x)
            shapes = tf.shape(padded), tf.shape(kernel)
            dx = tf.raw_ops.Conv2DBackpropInput(input_sizes=shapes[0], filter=kernel, out_backprop=dy, **options)
            of_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=padded, filter_sizes=shapes[1], out_backprop=dy, **options
            )
            return jitted(_inside, margin)(dx), of_kernel

        return tf.raw_ops.Conv2D(input=pad(x), filter=kernel, **options), backward

    return forward(x, tf.convert_to_tensor(kernel))


def grouped_convolution(x, kernel, strides):
    """TensorFlow's own convolution, which reads the groups off the kernel; Keras would have XLA compile it."""
    margins = [(size // 2, size // 2) for size in kernel.shape[:2]]
    return tf.nn.conv2d(x, kernel, strides, [(0, 0), *margins, (0, 0)])


def taps_convolution(x, kernel, strides):
    """`tap_products.convolution`; the pixels that the taps meet are cut out again for the gradient, not kept."""
    size, map_size = kernel.shape[0], tuple(x.shape[1:3])
    taps = tap_products.taps(map_size, size, strides)
    cut = jitted(tap_products.seen, size, strides)
    cut_back = jitted(_gradients, 1, tap_products.seen, (size, strides))

    @tf.custom_gradient
    def forward(x, kernel):
        matrices = tf.unstack(tap_products.tap_matrices(kernel))
        used = [matrices[tap] for tap in taps]

        def backward(dy):
            of_parts = jitted(tap_products.served, map_size, size, strides)(dy)
            dx, of_taps = [], [tf.zeros_like(matrix) for matrix in matrices]
            for tap, seen, part, matrix in zip(taps, cut(x), of_parts, used, strict=True):
                dx.append(tap_products.product(part, matrix, transposed=True))
                of_taps[tap] = tf.matmul(tap_products.pixels(seen), tap_products.pixels(part), transpose_a=True)
            return cut_back(x, *dx)[0], tf.reshape(tf.stack(of_taps), kernel.shape)

        parts = [tap_products.product(seen, matrix) for seen, matrix in zip(cut(x), used, strict=True)]
        return jitted(tap_products.placed, (map_size, size, strides))(*parts), backward

    return forward(x, tf.convert_to_tensor(kernel))


def convolution(x, kernel, groups, strides):
    """Grouped convolution of small capsules (kernel and strides 1, or 3 and at most 2), by products and sums."""

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            if strides == 1:
                dx = jitted(_transposed_by_products, groups)(dy, kernel)
            else:
                dx = jitted(_doubled_back_by_products, groups, tuple(x.shape[1:3]))(dy, kernel)
            return dx, _kernel_gradient(x, dy, kernel.shape, groups, strides)

        return jitted(_by_products, groups, strides)(x, kernel), backward

    return forward(x, tf.convert_to_tensor(kernel))


def doubling_convolution(x, kernel, groups, size):
    """`lowerings.doubling_convolution` of small capsules, by products and sums."""

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            # The adjoint is a convolution of stride 2 with the transposed kernel; so is its kernel's gradient.
            transposed = lowerings.transposed_kernel(kernel, groups)
            dx = jitted(_by_products, groups, 2)(dy, transposed)
            gradient = _kernel_gradient(dy, x, transposed.shape, groups, 2)
            return dx, lowerings.transposed_kernel(gradient, groups)

        return jitted(_doubled_by_products, groups, tuple(size))(x, kernel), backward

    return forward(x, tf.convert_to_tensor(kernel))


def _by_products(x, kernel, groups, strides):
    return lowerings.convolution(x, kernel, groups, strides, lowerings.multiply_add)


def _transposed_by_products(dy, kernel, groups):
    return _by_products(dy, lowerings.transposed_kernel(kernel, groups), groups, 1)


def _doubled_by_products(x, kernel, groups, size):
    return lowerings.doubling_convolution(x, kernel, groups, size, lowerings.multiply_add)


def _doubled_back_by_products(dy, kernel, groups, size):
    return _doubled_by_products(dy, lowerings.transposed_kernel(kernel, groups), groups, size)


def _kernel_gradient(x, dy, kernel_shape, groups, strides):
    """Gradient of a grouped convolution's kernel.

    A 1x1 kernel's is the blocks on the diagonal of one dense matrix product, so cheap that the others do not matter. A
    3x3 kernel's comes from TensorFlow's depthwise kernel (XLA has none as fast), one component of the capsules at a
    time: of dy, beside all of x, where capsules are small, for channels with one output each are the fastest; else of
    that one of x and dy that has fewer.
    """
    size, _, group_in, filters = kernel_shape
    group_out = filters // groups
    if size == 1:
        x, dy = tf.reshape(x, (-1, groups * group_in)), tf.reshape(dy, (-1, filters))
        product = tf.reshape(tf.matmul(x, dy, transpose_a=True), (groups, group_in, groups, group_out))
        return tf.reshape(tf.einsum("gigo->igo", product), kernel_shape)
    if group_in <= 2:
        channels = groups * group_in
        pairs = [(_padded(x, size // 2), part) for part in jitted(_repeated_components, group_out, group_in)(dy)]
        gradient = tf.stack(_depthwise_gradients(pairs, size, channels, strides), axis=-1)
        gradient = tf.transpose(tf.reshape(gradient, (size, size, groups, group_in, group_out)), (0, 1, 3, 2, 4))
        return tf.reshape(gradient, kernel_shape)
    if strides == 1 and group_out < group_in:  # dy has fewer components: exchange the two
        exchanged = (size, size, group_out, groups * group_in)
        return lowerings.transposed_kernel(_gradient_by_components(dy, x, exchanged, groups, 1), groups)
    return _gradient_by_components(x, dy, kernel_shape, groups, strides)


def _gradient_by_components(x, dy, kernel_shape, groups, strides):
    size, _, group_in, _ = kernel_shape
    pairs = [(part, dy) for part in jitted(_padded_components, group_in, size // 2)(x)]
    return tf.reshape(tf.stack(_depthwise_gradients(pairs, size, groups, strides), axis=2), kernel_shape)


def _depthwise_gradients(pairs, size, channels, strides):
    return [
        tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x,
            filter_sizes=(size, size, channels, dy.shape[-1] // channels),
            out_backprop=dy,
            strides=(1, strides, strides, 1),
            padding="VALID",
        )
        for x, dy in pairs
    ]


def _padded(x, margin):
    return ops.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def _inside(x, margin):
    return x[:, margin:-margin, margin:-margin]


def _padded_components(x, capsule_dim, margin):
    x = _padded(x, margin)
    return [x[..., i::capsule_dim] for i in range(capsule_dim)]


def _repeated_components(x, capsule_dim, times):
    return [ops.repeat(x[..., i::capsule_dim], times, axis=-1) for i in range(capsule_dim)]
