"""Changes of colour of a batch of pixels from 0 to 255, each image by its own amount."""

import tensorflow as tf

_GREY = (0.299, 0.587, 0.114)


def blend(images, degenerate, factor):
    """degenerate + factor * (images - degenerate), clipped to 0 to 255: factor 0 degenerates, 1 leaves, 2 exaggerates.

    Args:
        images: (batch, height, width, channels) float32.
        degenerate: the same shape, or one that broadcasts to it.
        factor: (batch,).
    """
    return tf.clip_by_value(degenerate + factor[:, None, None, None] * (images - degenerate), 0.0, 255.0)


def grey(images):
    """Luma, (batch, height, width, 1); an image of one channel is its own."""
    return images if images.shape[-1] == 1 else tf.tensordot(images, _GREY, 1)[..., None]


def brightness(images, factor):
    return tf.clip_by_value(images * factor[:, None, None, None], 0.0, 255.0)


def contrast(images, factor):
    return blend(images, tf.reduce_mean(grey(images), axis=(1, 2), keepdims=True), factor)


def saturation(images, factor):
    return blend(images, grey(images), factor)


def sharpness(images, factor):
    """Blends with the image smoothed by a 3x3 kernel (centre 5, others 1); the outermost pixels stay."""
    rows = images[:, :-2] + images[:, 1:-1] + images[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = (box + 4 * images[:, 1:-1, 1:-1]) / 13
    edges = ((0, 0), (1, 1), (1, 1), (0, 0))
    inner = tf.pad(tf.ones_like(smooth), edges)
    return blend(images, tf.pad(smooth, edges) + (1 - inner) * images, factor)


def solarize(images, threshold):
    """Inverts the pixels that are at least `threshold`, (batch,)."""
    return tf.where(images >= threshold[:, None, None, None], 255 - images, images)


def posterize(images, bits):
    """Keeps the highest `bits` bits of each pixel; (batch,) whole numbers from 1 to 8."""
    step = tf.pow(2.0, 8 - bits)[:, None, None, None]
    return tf.floor(images / step) * step


def autocontrast(images):
    """Stretches each channel of each image to 0 to 255; a channel of one value stays."""
    low = tf.reduce_min(images, axis=(1, 2), keepdims=True)
    spread = tf.reduce_max(images, axis=(1, 2), keepdims=True) - low
    return tf.where(spread > 0, 255 * ((images - low) / tf.maximum(spread, 1e-6)), images)


def equalize(images):
    """Maps each channel of each image through its own cumulative histogram; a channel of one value stays."""
    batch, height, width, channels = tf.unstack(tf.shape(images))
    values = tf.reshape(tf.transpose(images, (0, 3, 1, 2)), (batch * channels, height * width))
    levels = tf.cast(tf.round(values), tf.int32)
    bins = levels + 256 * tf.range(batch * channels)[:, None]
    flat = tf.reshape(bins, (-1,))
    counts = tf.math.unsorted_segment_sum(tf.ones_like(flat), flat, batch * channels * 256)
    below = tf.cast(tf.cumsum(tf.reshape(counts, (-1, 256)), axis=1), tf.float32)
    # The first level present maps to 0, the last to 255.
    least = tf.reduce_min(tf.where(below > 0, below, float("inf")), axis=1, keepdims=True)
    spread = tf.cast(height * width, tf.float32) - least
    table = tf.where(spread > 0, 255 * ((below - least) / tf.maximum(spread, 1.0)), tf.range(256.0)[None])
    mapped = tf.gather(table, levels, batch_dims=1)
    return tf.transpose(tf.reshape(mapped, (batch, channels, height, width)), (0, 2, 3, 1))
