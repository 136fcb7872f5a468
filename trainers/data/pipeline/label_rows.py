"""Conversion of integer labels to one-hot vectors."""

import tensorflow as tf


def label_rows(labels, classes: int):
    """Convert the one or two integer labels of each image to a vector with 1 for the labels and 0 elsewhere.

    Args:
        labels: (batch,), or (batch, objects) for images with several labels.
        classes: number of classes.
    """
    rows = tf.one_hot(labels, classes)
    return rows if len(rows.shape) == 2 else tf.reduce_max(rows, axis=1)
