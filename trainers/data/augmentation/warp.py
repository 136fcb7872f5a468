"""One bilinear resampling for every geometric change: resize, crop, mirror, rotate, shift, shear, in a single pass."""

import tensorflow as tf


def warp(images, matrices, size, fill="CONSTANT"):
    """Samples each image at an affine image of its pixel grid.

    Args:
        images: (batch, height, width, channels) float32.
        matrices: (batch, 6) or (6,), (a, b, c, d, e, f): output pixel (x, y) shows (a x + b y + c, d x + e y + f).
        size: (height, width) of the output.
        fill: what lies beyond the edges: "CONSTANT" is 0, "NEAREST" the edge's pixel.

    Returns:
        (batch, *size, channels) float32.
    """
    matrices = tf.convert_to_tensor(matrices, tf.float32)
    matrices = tf.broadcast_to(matrices, (tf.shape(images)[0], 6))
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.pad(matrices, ((0, 0), (0, 2))),
        output_shape=size,
        interpolation="BILINEAR",
        fill_mode=fill,
        fill_value=0.0,
    )


def crop_matrices(stored, enlarged, size, top, left, mirrored):
    """The matrices of "resize to `enlarged`, crop `size` at (top, left), mirror", three steps of tf.image.

    Args:
        stored: (height, width) of the images as they are.
        enlarged: (height, width) that they are resized to.
        size: (height, width) of the crop.
        top, left: (batch,) whole numbers, in pixels of the enlarged image.
        mirrored: (batch,) 1 where the crop is mirrored, else 0.

    Returns:
        (batch, 6), for `warp`.
    """
    scale_y, scale_x = stored[0] / enlarged[0], stored[1] / enlarged[1]
    sign = 1 - 2 * mirrored
    # A mirrored crop's pixel x is the crop's pixel width - 1 - x. Pixel centres lie at halves.
    c = (left + mirrored * (size[1] - 1) + 0.5) * scale_x - 0.5
    f = (top + 0.5) * scale_y - 0.5
    zero = tf.zeros_like(c)
    return tf.stack([sign * scale_x, zero, c, zero, zero + scale_y, f], axis=1)


def about_centre(size, a, b, d, e, right=0.0, down=0.0):
    """The matrices of a linear map about the image's centre, then a move.

    Args:
        size: (height, width).
        a, b, d, e: (batch,), the linear map from output to input: (a x + b y, d x + e y).
        right, down: (batch,) or numbers, pixels that the sampled point moves by.

    Returns:
        (batch, 6), for `warp`.
    """
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    return tf.stack([a, b, x - a * x - b * y + right, d, e, y - d * x - e * y + down], axis=1)
