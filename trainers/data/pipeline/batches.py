"""Reproducible `tf.data` pipelines that produce the same batches whenever the seed and the epoch are the same."""

from collections.abc import Callable

import tensorflow as tf

from ..augmentation.augment import Augmentation
from .composed_split import ComposedSplit
from .label_rows import label_rows


def training_batches(
    split, batch_size: int, epochs: int, seed: int, augmentation: Augmentation, first_step: int = 0
) -> tf.data.Dataset:
    """Return a `tf.data.Dataset` that yields shuffled and augmented training batches for several epochs.

    An epoch has `len(split) // batch_size` batches. Each epoch is a new permutation of the images, of which those that
    do not fill a batch are left out. The random numbers that augment an image depend on (seed, epoch, index), not on
    the image's place in the permutation.

    Args:
        split: the training images, or examples to compose of them.
        batch_size: images in every batch.
        epochs: number of epochs.
        seed: of the permutations and of the augmentation.
        augmentation: the chain to apply.
        first_step: number of batches to leave out, counted over all epochs, to resume an interrupted training. None of
            their images is read.

    Returns:
        Data set of (images (batch, height, width, channels) float32 from 0 to 255, labels). Labels are (batch,) int32,
        or (batch, classes) float32 where the augmentation mixes them or an image has several.
    """
    n = len(split)
    num_uniforms, read_examples = _training_reader(split, augmentation)
    steps = n // batch_size

    def batches_of_epoch(epoch):
        order = tf.random.experimental.stateless_shuffle(tf.range(n), seed=[seed, epoch])
        # The augmentation's seed differs from the permutation's.
        augmentation_seed = tf.random.fold_in(tf.stack([tf.constant(seed, tf.int64), epoch]), 1)
        uniforms = tf.random.stateless_uniform((n, num_uniforms), seed=augmentation_seed)

        def make_batch(indices):
            return read_examples(indices, tf.gather(uniforms, indices))

        indices = tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=True)
        indices = indices.skip(tf.maximum(tf.constant(first_step, tf.int64) - epoch * steps, 0))
        return indices.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE)

    first_epoch = first_step // max(1, steps)
    return _prefetch_without_autotune(tf.data.Dataset.range(first_epoch, epochs).flat_map(batches_of_epoch))


def _training_reader(split, augmentation: Augmentation) -> tuple[int, Callable]:
    """Return a function that reads and augments images, and the number of random numbers it needs per image.

    Augmentation includes MixUp and CutMix.

    Returns:
        The number, and a function of indices (batch,) and uniforms (batch, number) that returns images and labels.
    """
    if isinstance(split, ComposedSplit):
        return split.training_reader(augmentation)
    read_images, labels = split.reader(), tf.constant(split.labels)

    def read_examples(indices, uniforms):
        return augmentation(tf.cast(read_images(indices), tf.float32), tf.gather(labels, indices), uniforms)

    return augmentation.num_uniforms, read_examples


def evaluation_batches(split, batch_size: int, view: Callable, one_hot: int | None = None) -> tf.data.Dataset:
    """Return a `tf.data.Dataset` of batches for evaluation, without shuffling or augmentation.

    The images come in the stored order. The last batch may be smaller.

    Args:
        split: images with labels.
        batch_size: images in a batch.
        view: function of the stored images (batch, height, width, channels) float32 that returns the network's input;
            usually `Views.test`.
        one_hot: number of classes, for labels (batch, classes) float32. None gives labels as stored: (batch,)
            int32, or (batch, 2) for pairs.
    """
    read_images, labels = split.reader(), tf.constant(split.labels)

    def make_batch(indices):
        batch_labels = tf.gather(labels, indices)
        images = view(tf.cast(read_images(indices), tf.float32))
        return images, batch_labels if one_hot is None else label_rows(batch_labels, one_hot)

    indices = tf.data.Dataset.range(len(split)).batch(batch_size)
    return _prefetch_without_autotune(indices.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE))


def _prefetch_without_autotune(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Configure a `tf.data.Dataset` to prepare batches in advance, on all processor cores.

    TensorFlow's tuning of the number of cores is switched off. It makes no batch faster here, and where an iterator is
    deleted, as at the end of a search's trial, the tuning thread sometimes sleeps on, for up to a minute.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)
