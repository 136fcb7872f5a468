"""tf.data pipelines over in-memory splits. What an epoch holds depends on (seed, epoch, index) alone."""

import tensorflow as tf

from .augment import AUGMENTATIONS, NOISE


def training_batches(split, batch_size: int, epochs: int, seed: int, augment: str) -> tf.data.Dataset:
    """All epochs' batches one after another: `len(split) // batch_size` steps an epoch.

    Each epoch is a new permutation of the images; the few left over by its last full batch wait for another epoch.

    Args:
        split: the training images.
        batch_size: images a batch; every batch is full.
        epochs: number of epochs.
        seed: of permutations and augmentation.
        augment: name of an augmentation.

    Returns:
        Dataset of (images (batch, height, width, channels) float32 from 0 to 255, labels (batch,) int32).
    """
    images, labels, n = tf.constant(split.images), tf.constant(split.labels), len(split)

    def batches_of(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=[seed, epoch])
        noise = tf.random.stateless_uniform((n, NOISE), seed=[seed, epoch], minval=-1.0, maxval=1.0)

        def batch(indices):
            pixels = tf.cast(tf.gather(images, indices), tf.float32)
            return AUGMENTATIONS[augment](pixels, tf.gather(noise, indices)), tf.gather(labels, indices)

        indices = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        return indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE)

    return tf.data.Dataset.range(epochs).flat_map(batches_of).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(split, batch_size: int) -> tf.data.Dataset:
    """The split in its order, the last batch as short as it comes; elements as in `training_batches`."""
    data = tf.data.Dataset.from_tensor_slices((split.images, split.labels)).batch(batch_size)
    return data.map(lambda images, labels: (tf.cast(images, tf.float32), labels)).prefetch(tf.data.AUTOTUNE)
