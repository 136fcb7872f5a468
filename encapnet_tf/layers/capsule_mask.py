"""Masking layer between the class capsules and the reconstruction decoder of a capsule network."""

import keras
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.arguments import capsule_sizes, check_input, whole_number
from encapnet_tf.ops.precision import cast_numbers


@keras.saving.register_keras_serializable("encapnet_tf")
class CapsuleMask(keras.layers.Layer):
    """Layer that masks all class capsules but one, to form the input of a CapsNet's reconstruction decoder.

    The other capsules are set to 0, and the result is flattened. The capsule that is kept is the label's in training,
    and the longest where there are no labels (Sabour, Frosst and Hinton, 2017).

    Args:
        count: objects in an image. With 2, for overlapping objects, there are two vectors, each with one capsule kept.

    Call arguments:
        capsules: (batch, capsules, capsule_dim).
        labels: integers (batch,), or one-hot rows (batch, capsules). With `count` of at least 2, integers
            (batch, count). None keeps the longest capsule, or the `count` longest, the longest first.

    Returns:
        (batch, capsules * capsule_dim), or with `count` of at least 2 a list of `count` such vectors. A label outside
        of the range of capsules gives zeros.

    Raises:
        ValueError: the capsules or labels have another shape, or there are fewer than `count` capsules.

    Example:

    >>> import numpy as np
    >>> capsules = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> print(np.asarray(CapsuleMask()(capsules)))
    [[0. 0. 3. 4.]]
    >>> print(np.asarray(CapsuleMask()(capsules, labels=np.array([0]))))
    [[1. 2. 0. 0.]]
    """

    def __init__(self, count=1, **kwargs):
        super().__init__(**kwargs)
        self.count = whole_number("count", count)
        self.autocast = False  # half precision does not hold every label

    def build(self, input_shape):
        check_input(self, input_shape)
        num_capsules, _ = capsule_sizes(self.name, input_shape)
        if num_capsules < self.count:
            raise ValueError(
                f"{self.name} (count={self.count}) expects at least {self.count} capsules. "
                f"Received: input shape {tuple(input_shape)}."
            )

    def call(self, capsules, labels=None):
        capsules = cast_numbers(capsules, self.compute_dtype)
        num_capsules, capsule_dim = capsules.shape[1:]
        if capsules.shape[0] == 0:
            raise ValueError(f"{self.name} cannot mask an empty batch. Received: input shape {tuple(capsules.shape)}.")
        if labels is None:
            masks = _masks_of_longest(capsules, self.count)
        else:
            masks = self._masks_of_labels(K.convert_to_tensor(labels), num_capsules)
        vectors = [
            K.reshape(capsules * K.cast(mask, capsules.dtype)[:, :, None], (-1, num_capsules * capsule_dim))
            for mask in masks
        ]
        return vectors[0] if self.count == 1 else vectors

    def _masks_of_labels(self, labels, num_capsules):
        """Convert class labels to masks that select the class capsule of each label.

        The list has `count` masks (batch, capsules), each of which selects one class capsule per image.
        """
        shape = tuple(labels.shape)
        if self.count == 1 and len(shape) == 2 and shape[1] == num_capsules:
            return [labels]
        fits = shape[1:] in ((), (1,)) if self.count == 1 else shape[1:] == (self.count,)
        if not (shape and fits):
            expected = (
                f"(batch,), or one-hot rows (batch, {num_capsules})" if self.count == 1 else f"(batch, {self.count})"
            )
            raise ValueError(
                f"{self.name} (count={self.count}) expects integer labels {expected}. "
                f"Received: labels of shape {shape}."
            )
        labels = K.cast(K.reshape(labels, (-1, self.count)), "int32")
        return [labels[:, i : i + 1] == K.arange(num_capsules, dtype="int32") for i in range(self.count)]

    def compute_output_shape(self, input_shape):
        shape = (input_shape[0], input_shape[1] * input_shape[2])
        return shape if self.count == 1 else [shape] * self.count

    def get_config(self):
        return {**super().get_config(), "count": self.count}


def _masks_of_longest(capsules, count):
    """Return masks that select each image's longest capsule, second longest capsule, and so on.

    The list has `count` boolean masks (batch, capsules). Of equally long capsules the first is taken. There is no
    argmax, which LiteRT's built-in operations do not have in the form of `keras.ops`.
    """
    lengths = ops.capsule_length(capsules)
    masks = []
    for _ in range(count):
        is_longest = K.cast(lengths >= K.max(lengths, axis=1, keepdims=True), "int32")
        masks.append((is_longest == 1) & (K.cumsum(is_longest, axis=1) == 1))
        lengths = K.where(masks[-1], -1.0, lengths)
    return masks
