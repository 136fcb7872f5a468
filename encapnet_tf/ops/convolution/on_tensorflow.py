"""Convolutions for training on TensorFlow, with custom gradients that save memory or time."""

import tensorflow as tf
from keras import ops as K

from encapnet_tf.ops.acceleration.on_tensorflow import compile_vjp, compile_with_xla, delay_until
from encapnet_tf.ops.capsules import split_capsules
from encapnet_tf.ops.convolution import lowerings, tap_products


def grouped_convolution(x, kernel, strides):
    """Apply a grouped convolution with `tf.nn.conv2d`.

    Keras's convolution would have XLA compile it.
    """
    margins = [(size // 2, size // 2) for size in kernel.shape[:2]]
    return tf.nn.conv2d(x, kernel, strides, [(0, 0), *margins, (0, 0)])


def dense_convolution(x, kernel):
    """Apply an ordinary (not grouped) convolution of stride 1 with TensorFlow's kernels.

    Unlike TensorFlow's gradient, its own does not keep an input that can be recomputed.

    Args:
        x: (batch, height, width, channels).
        kernel: (size, size, channels, filters), size odd.
    """
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            return _dense_gradients(delay_until(dy, x), kernel, dy, options)

        return tf.raw_ops.Conv2D(input=x, filter=kernel, **options), backward

    return forward(x, tf.convert_to_tensor(kernel))


def strided_convolution(x, kernel, strides):
    """Apply an ordinary (not grouped) strided convolution, without storing the padded input for the gradient.

    The backward pass pads the input again, which saves memory. TensorFlow's convolution can pad by itself,
    but its gradient kernels that do take up to twice as long.

    Args:
        x: (batch, height, width, channels).
        kernel: (size, size, channels, filters).
        strides: step in both directions.
    """
    margin = kernel.shape[0] // 2
    pad, crop = compile_with_xla(_pad, margin=margin), compile_with_xla(_crop, margin=margin)
    options = {"strides": [1, strides, strides, 1], "padding": "VALID"}

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            dx, dkernel = _dense_gradients(pad(delay_until(dy, x)), kernel, dy, options)
            return crop(dx), dkernel

        return tf.raw_ops.Conv2D(input=pad(x), filter=kernel, **options), backward

    return forward(x, tf.convert_to_tensor(kernel))


def tap_convolution(x, kernel, strides):
    """Apply a convolution by matrix products, and recompute input patches in the backward pass to save memory.

    There is one matrix product per kernel position. Arguments as in `tap_products.tap_convolution`.
    """
    size, map_size = kernel.shape[0], tuple(x.shape[1:3])
    taps = tap_products.taps(map_size, size, strides)
    patch_sizes = tap_products.patch_sizes(map_size, size, strides)
    where = {"size": size, "strides": strides}
    input_patches = compile_with_xla(tap_products.joined_input_patches, **where)
    input_patches_vjp = compile_vjp(tap_products.input_patches, **where)
    output_patches = compile_with_xla(tap_products.joined_output_patches, map_size=map_size, **where)
    scatter_sum = compile_with_xla(tap_products.scatter_sum, map_size=map_size, **where)

    def split(joined):
        positions = [height * width for height, width in patch_sizes]
        return tf.split(joined, [x.shape[0] * n for n in positions] if x.shape[0] else tf.shape(x)[0] * positions)

    def multiply(rows, matrices, **options):
        return [
            tf.reshape(product, (-1, *patch_size, product.shape[-1]))
            for patch_size, product in zip(
                patch_sizes, (tf.matmul(*pair, **options) for pair in zip(rows, matrices, strict=True)), strict=True
            )
        ]

    @tf.custom_gradient
    def forward(x, kernel):
        matrices = tf.unstack(tap_products.tap_matrices(kernel))
        used = [matrices[tap] for tap in taps]

        def backward(dy):
            rows, drows = split(input_patches(delay_until(dy, x))), split(output_patches(dy))
            (dx,) = input_patches_vjp([x], multiply(drows, used, transpose_b=True))
            products = [tf.matmul(*pair, transpose_a=True) for pair in zip(rows, drows, strict=True)]
            dmatrices = dict(zip(taps, products, strict=True))
            zeros = tf.zeros_like(matrices[0]) if len(taps) < len(matrices) else None
            return dx, tf.reshape(tf.stack([dmatrices.get(i, zeros) for i in range(len(matrices))]), kernel.shape)

        return scatter_sum(multiply(split(input_patches(x)), used)), backward

    return forward(x, tf.convert_to_tensor(kernel))


def multiply_add_convolution(x, kernel, groups, strides):
    """Apply a grouped convolution by elementwise multiplication in XLA-compiled code.

    Forward and backward are each one compiled pass.

    Args:
        x: (batch, height, width, groups * group_in), height and width known.
        kernel: (size, size, group_in, groups * group_out), size 1 with strides 1, or size 3 with strides 1 or 2.
        groups: number of groups.
        strides: step in both directions.
    """

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            if strides == 1:
                input_gradient = compile_with_xla(_input_gradient, groups=groups)
            else:
                size = tuple(x.shape[1:3])
                input_gradient = compile_with_xla(_input_gradient_of_strided, groups=groups, output_size=size)
            again = delay_until(dy, x)
            dkernel = _kernel_gradient(again, dy, kernel_shape=kernel.shape, groups=groups, strides=strides)
            return input_gradient(dy, kernel), dkernel

        return compile_with_xla(_multiply_add, groups=groups, strides=strides)(x, kernel), backward

    return forward(x, tf.convert_to_tensor(kernel))


def doubling_convolution(x, kernel, groups, output_size):
    """Apply a grouped transposed 3x3 convolution of stride 2 in XLA-compiled code.

    Arguments as in `lowerings.doubling_tap_convolution`.

    The adjoint, and the kernel's gradient, are those of a convolution of stride 2 with the transposed kernel.
    """

    @tf.custom_gradient
    def forward(x, kernel):
        def backward(dy):
            transposed = lowerings.transposed_kernel(kernel, groups)
            dx = compile_with_xla(_multiply_add, groups=groups, strides=2)(dy, transposed)
            again = delay_until(dy, x)
            dtransposed = _kernel_gradient(dy, again, kernel_shape=transposed.shape, groups=groups, strides=2)
            return dx, lowerings.transposed_kernel(dtransposed, groups)

        y = compile_with_xla(_multiply_add_doubling, groups=groups, output_size=tuple(output_size))(x, kernel)
        return y, backward

    return forward(x, tf.convert_to_tensor(kernel))


def _dense_gradients(x, kernel, dy, options):
    """Return the gradients of a dense convolution with respect to the input and the kernel.

    Args:
        x, kernel, dy: the input, the kernel and the gradient of the output.
        options: strides and padding of TensorFlow's convolution.
    """
    dx = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(x), filter=kernel, out_backprop=dy, **options)
    dkernel = tf.raw_ops.Conv2DBackpropFilter(input=x, filter_sizes=tf.shape(kernel), out_backprop=dy, **options)
    return dx, dkernel


def _multiply_add(x, kernel, groups, strides):
    return lowerings.grouped_tap_convolution(x, kernel, groups, strides, lowerings.multiply_add)


def _multiply_add_doubling(x, kernel, groups, output_size):
    return lowerings.doubling_tap_convolution(x, kernel, groups, output_size, lowerings.multiply_add)


def _input_gradient(dy, kernel, groups):
    """Return the gradient of a grouped convolution of stride 1 with respect to the input."""
    return _multiply_add(dy, lowerings.transposed_kernel(kernel, groups), groups, 1)


def _input_gradient_of_strided(dy, kernel, groups, output_size):
    """Return the gradient of a grouped 3x3 convolution of stride 2 with respect to the input.

    It has size `output_size`.
    """
    return _multiply_add_doubling(dy, lowerings.transposed_kernel(kernel, groups), groups, output_size)


def _kernel_gradient(x, dy, *, kernel_shape, groups, strides):
    """Return the gradient of a grouped 1x1 or 3x3 convolution with respect to the kernel.

    A 1x1 kernel's gradient is the diagonal blocks of one dense matrix product, so fast that the other blocks do not
    matter. A 3x3 kernel's comes from TensorFlow's depthwise gradient kernel, which XLA has none as fast as, for one
    component of the capsules at a time. That kernel is the fastest where each channel has one output, so for small
    capsules all of x is paired with one component of dy; for larger ones one component of x with all of dy.
    """
    size, _, group_in, filters = kernel_shape
    group_out = filters // groups
    if size == 1:
        x, dy = tf.reshape(x, (-1, groups * group_in)), tf.reshape(dy, (-1, filters))
        product = tf.reshape(tf.matmul(x, dy, transpose_a=True), (groups, group_in, groups, group_out))
        return tf.reshape(tf.einsum("gigo->igo", product), kernel_shape)
    if group_in <= 2:
        channels, padded = groups * group_in, _pad(x, size // 2)
        components = compile_with_xla(_repeat_components, capsule_dim=group_out, times=group_in)(dy)
        gradients = [
            _depthwise_kernel_gradient(padded, part, size, channels, strides) for part in tf.unstack(components)
        ]
        gradient = tf.reshape(tf.stack(gradients, axis=-1), (size, size, groups, group_in, group_out))
        return tf.reshape(tf.transpose(gradient, (0, 1, 3, 2, 4)), kernel_shape)
    if strides == 1 and group_out < group_in:  # dy has fewer components than x, so the two change places
        transposed_shape = (size, size, group_out, groups * group_in)
        gradient = _kernel_gradient_by_components(dy, x, kernel_shape=transposed_shape, groups=groups, strides=1)
        return lowerings.transposed_kernel(gradient, groups)
    return _kernel_gradient_by_components(x, dy, kernel_shape=kernel_shape, groups=groups, strides=strides)


def _kernel_gradient_by_components(x, dy, *, kernel_shape, groups, strides):
    """Compute the kernel gradient of a grouped convolution in a loop over the components of the input capsules."""
    size, _, group_in, _ = kernel_shape
    components = compile_with_xla(_pad_components, capsule_dim=group_in, margin=size // 2)(x)
    gradients = [_depthwise_kernel_gradient(part, dy, size, groups, strides) for part in tf.unstack(components)]
    return tf.reshape(tf.stack(gradients, axis=2), kernel_shape)


def _depthwise_kernel_gradient(padded, dy, size, channels, strides):
    return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
        input=padded,
        filter_sizes=(size, size, channels, dy.shape[-1] // channels),
        out_backprop=dy,
        strides=(1, strides, strides, 1),
        padding="VALID",
    )


def _pad(x, margin):
    return K.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)))


def _crop(x, margin):
    return x[:, margin:-margin, margin:-margin]


def _pad_components(x, capsule_dim, margin):
    """Zero-pad a capsule feature map, and move the axis of the vector components to the front.

    XLA compiles each result of a function apart, so that one stack compiles much sooner than a list.
    """
    return _component_maps(_pad(x, margin), capsule_dim)


def _repeat_components(x, capsule_dim, times):
    """Move the component axis of a capsule feature map to the front, and repeat each capsule several times."""
    return K.repeat(_component_maps(x, capsule_dim), times, axis=-1)


def _component_maps(x, capsule_dim):
    """Move the axis of the vector components of a capsule feature map to the front.

    The result has the shape (capsule_dim, batch, height, width, num_capsules).
    """
    return K.transpose(split_capsules(x, capsule_dim), (4, 0, 1, 2, 3))
