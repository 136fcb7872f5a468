"""Batches as several replicas, or several workers, take their shares of them."""

import tensorflow as tf

from ..data.pipeline.batches import evaluation_batches
from ..evaluation.predictions import PREDICT_BATCH
from ..runs.errors import UserError


def shared(batches):
    """Batches that several workers take their shares of: every worker makes all, and leaves out the others' shares."""
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return batches.with_options(options)


def validation_batches(dataset, replicas: int, one_hot: int | None = None, told=None):
    """Validation batches; for several replicas all of one size, which leaves out the last few images.

    Args:
        dataset: the `Dataset`.
        replicas: how many share a batch.
        one_hot: number of classes, for labels as (batch, classes); None leaves them whole numbers.
        told: called with a line about what is left out; None says nothing.

    Raises:
        UserError: there are fewer images than replicas.
    """
    split, size = dataset.validation, PREDICT_BATCH
    if replicas > 1:
        share = len(split) // replicas
        if not share:
            raise UserError(f"{len(split)} validation images cannot be shared out to {replicas} replicas.")
        batches = -(-share * replicas // PREDICT_BATCH)
        size = share // batches * replicas
        if told is not None and (left := len(split) - batches * size):
            told(f"validation leaves out {left} images: {replicas} replicas take {batches} x {size}")
        split = split.take(range(batches * size))
    return shared(evaluation_batches(split, size, dataset.views.test, one_hot))
