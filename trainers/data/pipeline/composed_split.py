"""Container for labelled images made on the fly from images of single objects, as in MultiMNIST and affNIST."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from ..augmentation.views import Views
from ..composition.overlap import Overlap
from ..composition.single import AffineTransform, Placement
from .encoded import EncodedSplit, corrupt_image_as_user_error
from .label_rows import label_rows
from .split import Split

# A constant rather than the run's seed, so that runs of every seed validate and test on the same examples.
_EVALUATION_SEED = (0, 2)
_BATCH = 256


@dataclass(frozen=True)
class ComposedSplit:
    """Labelled images made on the fly from images of single objects, as in MultiMNIST and affNIST.

    Has the properties and methods of `Split`. There, the random numbers of an example depend on its index alone, for
    evaluation; `training_reader` takes them as an argument.

    Attributes:
        base: the single images.
        rows: (n,) indices into `base` of each example's first image. Other images can be any of `base`.
        views: crops and size of a single image.
        composition: what an example is made of.
    """

    base: Split | EncodedSplit
    rows: np.ndarray
    views: Views
    composition: Overlap | Placement | AffineTransform

    def __len__(self):
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and number of channels of one composed image."""
        return (*self.composition.canvas, self.base.shape[2])

    @cached_property
    def labels(self) -> np.ndarray:
        """Class labels of the evaluation images, with two labels per image for images of two overlapping objects.

        int32 (n,), or (n, 2) for images of two objects.
        """
        chosen = self.composition.choose(tf.constant(self.rows), tf.gather(self._random_numbers, self.rows)).numpy()
        labels = self.base.labels[chosen]
        return labels[:, 0] if self.composition.objects == 1 else labels

    @cached_property
    def _random_numbers(self) -> np.ndarray:
        shape = (len(self.base), self.composition.num_uniforms)
        return tf.random.stateless_uniform(shape, seed=_EVALUATION_SEED).numpy()

    def take(self, indices) -> "ComposedSplit":
        """Return the images at the given indices as a new data split.

        They are the same images as in this split.
        """
        return ComposedSplit(self.base, self.rows[indices], self.views, self.composition)

    def pixels(self, indices) -> np.ndarray:
        """Make the images at the given indices, and return them as one uint8 array.

        The array has the shape (examples, height, width, channels).

        Raises:
            UserError: an image of them is corrupt; the message names it.
        """
        parts = [np.zeros((0, *self.shape), np.uint8)]
        batches = tf.data.Dataset.from_tensor_slices(np.asarray(indices, np.int64)).batch(_BATCH).map(self.reader())
        with corrupt_image_as_user_error(self.base):
            parts += batches.as_numpy_iterator()
        return np.concatenate(parts)

    def raise_if_corrupt(self):
        """Try to decode every image, and raise an error that names the corrupt images if there are any."""
        self.base.raise_if_corrupt()

    def reader(self) -> Callable:
        """Return a function that makes MultiMNIST or affNIST images from single-object images.

        The function maps indices (batch,) to uint8 images (batch, height, width, channels), inside `tf.data` pipelines.
        """
        rows, uniforms = tf.constant(self.rows), tf.constant(self._random_numbers)
        read = self.base.reader()

        def read_and_compose(indices):
            own_rows = tf.gather(rows, indices)
            own_uniforms = tf.gather(uniforms, own_rows)
            chosen = _one_after_another(self.composition.choose(own_rows, own_uniforms))
            images = self.views.test(tf.cast(read(chosen), tf.float32))
            drawn = self.composition.draw(tf.split(images, self.composition.objects), own_uniforms)
            return tf.cast(tf.clip_by_value(tf.round(drawn), 0, 255), tf.uint8)

        return read_and_compose

    def training_reader(self, augmentation) -> tuple[int, Callable]:
        """Return a function that makes labelled MultiMNIST or affNIST training images from single-object images.

        The single images are augmented before they are composed.

        Args:
            augmentation: the `Augmentation` of single images.

        Returns:
            Number of random numbers for each example, and a function of indices (batch,) and random numbers (batch,
            number), uniform in [0, 1). It returns float32 images and labels: integers (batch,), or of pairs rows
            (batch, classes).
        """
        composition = self.composition
        rows, labels, read = tf.constant(self.rows), tf.constant(self.base.labels), self.base.reader()
        sizes = [composition.num_uniforms, *[augmentation.num_uniforms] * composition.objects]

        def read_and_compose(indices, uniforms):
            own, *of_images = tf.split(uniforms, sizes, axis=1)
            chosen = composition.choose(tf.gather(rows, indices), own)
            chosen_labels, flat = tf.gather(labels, chosen), _one_after_another(chosen)
            images = tf.cast(read(flat), tf.float32)
            images, _ = augmentation(images, tf.gather(labels, flat), tf.concat(of_images, axis=0))
            drawn = composition.draw(tf.split(images, composition.objects), own)
            if composition.objects == 1:
                return drawn, chosen_labels[:, 0]
            return drawn, label_rows(chosen_labels, augmentation.classes)

        return sum(sizes), read_and_compose


def _one_after_another(chosen):
    """Flatten a 2-D array of image indices column by column.

    Its shape is (batch, objects per image).

    The images are read at once, because a graph that decodes images twice takes twice as long to prepare.
    """
    return tf.reshape(tf.transpose(chosen), (-1,))
