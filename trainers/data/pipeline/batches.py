"""tf.data pipelines over splits. What an epoch holds depends on (seed, epoch, index) alone."""

from collections.abc import Callable

import tensorflow as tf

from ..augmentation.augment import Augmentation


def training_batches(
    split, batch_size: int, epochs: int, seed: int, augmentation: Augmentation, first_step: int = 0
) -> tf.data.Dataset:
    """All epochs' batches one after another: `len(split) // batch_size` steps an epoch.

    Each epoch is a new permutation of the images; the few left over by its last full batch wait for another epoch. An
    image's random numbers are its own in each epoch, wherever in the permutation it stands.

    Args:
        split: the training images.
        batch_size: images a batch; every batch is full.
        epochs: number of epochs.
        seed: of permutations and augmentation.
        augmentation: the chain to apply.
        first_step: how many batches, of all epochs, to leave out at the beginning; none of them is read or made.

    Returns:
        Dataset of (images (batch, height, width, channels) float32 from 0 to 255, labels): (batch,) int32, or rows
        (batch, classes) float32 where the augmentation mixes them.
    """
    fetch, labels, n = split.fetch(), tf.constant(split.labels), len(split)
    steps = n // batch_size

    def batches_of(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=[seed, epoch])
        own = tf.random.fold_in(tf.stack([tf.constant(seed, tf.int64), epoch]), 1)  # not the permutation's
        numbers = tf.random.stateless_uniform((n, augmentation.numbers), seed=own)

        def batch(indices):
            pixels = tf.cast(fetch(indices), tf.float32)
            return augmentation(pixels, tf.gather(labels, indices), tf.gather(numbers, indices))

        indices = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        indices = indices.skip(tf.maximum(tf.constant(first_step, tf.int64) - epoch * steps, 0))
        return indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE)

    first_epoch = first_step // max(1, steps)
    return tf.data.Dataset.range(first_epoch, epochs).flat_map(batches_of).prefetch(tf.data.AUTOTUNE)


def evaluation_batches(split, batch_size: int, view: Callable, one_hot: int | None = None) -> tf.data.Dataset:
    """A split in its order, the last batch as short as it comes.

    Args:
        split: images with labels.
        batch_size: images a batch.
        view: what is made of stored images (batch, height, width, channels) float32; `Views.test` mostly.
        one_hot: number of classes, to get labels as rows (batch, classes) float32 instead of (batch,) int32.
    """
    fetch, labels = split.fetch(), tf.constant(split.labels)

    def batch(indices):
        own = tf.gather(labels, indices)
        return view(tf.cast(fetch(indices), tf.float32)), own if one_hot is None else tf.one_hot(own, one_hot)

    indices = tf.data.Dataset.range(len(split)).batch(batch_size)
    return indices.map(batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
