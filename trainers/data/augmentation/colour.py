"""Colour augmentations, such as brightness and contrast changes, with a separate strength for each image.

All are ours: Keras's RandomBrightness, RandomContrast, Posterization, ... draw their strength themselves, which cannot
be keyed by (seed, epoch, index) for exact resuming; `tf.image` has one strength for a whole batch.
"""

import tensorflow as tf

_GREY = (0.299, 0.587, 0.114)


def blend(images, degenerate, factor):
    """Blend each image with a degraded copy, such as a greyscale copy, and clip the result to [0, 255].

        degenerate + factor * (images - degenerate)

    Args:
        images: (batch, height, width, channels) float32.
        degenerate: of the images' shape, or of one that broadcasts to it.
        factor: (batch,): 0 gives the degenerate version, 1 the image, 2 an exaggeration of the image.
    """
    return tf.clip_by_value(degenerate + factor[:, None, None, None] * (images - degenerate), 0.0, 255.0)


def grey(images):
    """Convert a batch of colour images to greyscale images with one channel.

    Images with other than 3 channels, such as stereo pairs of grey images, stay unchanged.
    """
    return images if images.shape[-1] != 3 else tf.tensordot(images, _GREY, 1)[..., None]


def brightness(images, factor):
    """Change the brightness of images, with a separate factor for each image.

    The factors have the shape (batch,).
    """
    return tf.clip_by_value(images * factor[:, None, None, None], 0.0, 255.0)


def contrast(images, factor):
    """Change the contrast of images, with a separate factor for each image.

    Each image is blended with its mean grey level.
    """
    return blend(images, tf.reduce_mean(grey(images), axis=(1, 2), keepdims=True), factor)


def saturation(images, factor):
    """Change the colour saturation of images, with a separate factor for each image.

    Each image is blended with its grey version.
    """
    return blend(images, grey(images), factor)


def sharpness(images, factor):
    """Change the sharpness of images, with a separate factor for each image.

    Each image is blended with its smoothed version. The 3x3 smoothing kernel has weight 5 at its centre and 1
    elsewhere; border pixels stay unchanged.
    """
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = (box + 4 * images[:, 1:-1, 1:-1]) / 13
    edges = ((0, 0), (1, 1), (1, 1), (0, 0))
    inner = tf.pad(tf.ones_like(smooth), edges)
    return blend(images, tf.pad(smooth, edges) + (1 - inner) * images, factor)


def solarize(images, threshold):
    """Solarize images by inverting all pixel values at or above a threshold, with a separate threshold per image."""
    return tf.where(images >= threshold[:, None, None, None], 255 - images, images)


def posterize(images, bits):
    """Posterize images by keeping only the highest bits of each pixel value.

    The numbers of bits, from 1 to 8, have the shape (batch,), one per image.
    """
    step = tf.pow(2.0, 8 - bits)[:, None, None, None]
    return tf.floor(images / step) * step


def autocontrast(images):
    """Stretch the values of each colour channel of each image linearly to the full range 0 to 255.

    Constant channels stay unchanged.
    """
    low = tf.reduce_min(images, axis=(1, 2), keepdims=True)
    spread = tf.reduce_max(images, axis=(1, 2), keepdims=True) - low
    return tf.where(spread > 0, 255 * ((images - low) / tf.maximum(spread, 1e-6)), images)


def equalize(images):
    """Equalise the histogram of each colour channel of each image.

    Constant channels stay unchanged.
    """
    batch, height, width, channels = tf.unstack(tf.shape(images))
    values = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (batch * channels, height * width))
    levels = tf.cast(tf.round(values), tf.int32)
    bins = levels + 256 * tf.range(batch * channels)[:, None]
    flat = tf.reshape(bins, (-1,))
    counts = tf.math.unsorted_segment_sum(tf.ones_like(flat), flat, batch * channels * 256)
    cumulative = tf.cast(tf.cumsum(tf.reshape(counts, (-1, 256)), axis=1), tf.float32)
    # The lowest level that occurs maps to 0, the highest to 255.
    lowest = tf.reduce_min(tf.where(cumulative > 0, cumulative, float("inf")), axis=1, keepdims=True)
    spread = tf.cast(height * width, tf.float32) - lowest
    table = tf.where(spread > 0, 255 * ((cumulative - lowest) / tf.maximum(spread, 1.0)), tf.range(256.0)[None])
    equalized = tf.gather(table, levels, batch_dims=1)
    return tf.transpose(tf.reshape(equalized, (batch, channels, height, width)), (0, 2, 3, 1))
