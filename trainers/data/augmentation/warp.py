"""Affine transformations of images with bilinear interpolation, such as cropping, mirroring and rotation.

Built on the operation under `keras.ops.image.affine_transform`, which gives its output the size of its input, whereas
a crop needs another size.
"""

import tensorflow as tf


def warp(images, matrices, size, fill="CONSTANT"):
    """Apply affine transformations to images, with bilinear interpolation.

        output(x, y) = image(a x + b y + c, d x + e y + f)

    Args:
        images: (batch, height, width, channels) float32.
        matrices: (batch, 6) or (6,), the entries (a, b, c, d, e, f).
        size: (height, width) of the output.
        fill: pixels beyond the edges: "CONSTANT" is 0, "NEAREST" repeats the edge's pixel.

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


def crop_matrices(stored, enlarged, size, *, top, left, mirrored):
    """Return affine matrices that combine resizing, cropping and optional mirroring of images.

    Args:
        stored: (height, width) of the images.
        enlarged: (height, width) that they are resized to.
        size: (height, width) of the crop.
        top, left: (batch,) whole numbers, in pixels of the enlarged image.
        mirrored: (batch,) 1 where the crop is mirrored, else 0.

    Returns:
        (batch, 6), for `warp`.
    """
    scale_y, scale_x = stored[0] / enlarged[0], stored[1] / enlarged[1]
    sign = 1 - 2 * mirrored
    # Pixel x of the mirrored crop is pixel width - 1 - x of the crop. Resizing maps pixel centres, which lie at + 0.5.
    c = (left + mirrored * (size[1] - 1) + 0.5) * scale_x - 0.5
    f = (top + 0.5) * scale_y - 0.5
    zero = tf.zeros_like(c)
    return tf.stack([sign * scale_x, zero, c, zero, zero + scale_y, f], axis=1)


def about_centre(size, a, b, d, e, right=0.0, down=0.0):
    """Return affine matrices that combine a linear map about the image centre with a translation.

    Args:
        size: (height, width).
        a, b, d, e: (batch,), the linear map from output to input: (a x + b y, d x + e y).
        right, down: (batch,) or numbers, shift of the sampled point in pixels.

    Returns:
        (batch, 6), for `warp`.
    """
    y, x = (size[0] - 1) / 2, (size[1] - 1) / 2
    return tf.stack([a, b, x - a * x - b * y + right, d, e, y - d * x - e * y + down], axis=1)
