"""What of a stored image the network sees: the whole, a test crop, ten crops."""

from dataclasses import dataclass

import tensorflow as tf

from .warp import crop_matrices, warp

# How much a base augmentation enlarges an image before a crop is taken: 34 and 40 pixels for 32.
ENLARGE = {"none": 1.0, "affine": 1.0, "+": 34 / 32, "++": 40 / 32}
_TEN_CROP_ENLARGE = 36 / 32  # where the images were not enlarged in training
_PLACES = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))  # of many crops: the middle and the corners


@dataclass(frozen=True)
class Views:
    """Sizes of a data set's images.

    Attributes:
        size: (height, width) that the network sees.
        enlarge: how much larger images are made before a crop of `size` is taken, in training and in testing alike.
        mirrors: whether a mirrored image is still of its class; not so for digits.
    """

    size: tuple[int, int]
    enlarge: float = 1.0
    mirrors: bool = True

    def enlarged(self, enlarge=None) -> tuple[int, int]:
        """(height, width) of the enlarged images, in whole pixels."""
        return tuple(round(n * (enlarge or self.enlarge)) for n in self.size)

    def crop(self, images, top, left, mirrored, enlarge=None):
        """Crops of `size` of the enlarged images.

        Args:
            images: (batch, height, width, channels) float32, of any size.
            top, left: (batch,) float32 from 0 to 1: where between the two edges the crop lies.
            mirrored: (batch,) float32, 1 where the crop is mirrored, else 0.
            enlarge: instead of the data set's own.

        Returns:
            (batch, *size, channels) float32.
        """
        enlarged = self.enlarged(enlarge)
        room_y, room_x = (large - n for large, n in zip(enlarged, self.size, strict=True))
        top = tf.minimum(tf.floor(top * (room_y + 1)), room_y)
        left = tf.minimum(tf.floor(left * (room_x + 1)), room_x)
        matrices = crop_matrices(tuple(images.shape[1:3]), enlarged, self.size, top, left, mirrored)
        return warp(images, matrices, self.size, "NEAREST")

    def test(self, images):
        """The deterministic test view: the middle crop of the enlarged images; the image itself where none is.

        Args:
            images: (batch, height, width, channels) float32.
        """
        if tuple(images.shape[1:3]) == self.enlarged() == tuple(self.size):
            return images
        middle = tf.fill((tf.shape(images)[0],), 0.5)
        return self.crop(images, middle, middle, tf.zeros_like(middle))

    @property
    def count(self) -> int:
        """How many views `many` gives."""
        return len(_PLACES) * (2 if self.mirrors else 1)

    def many(self, images) -> list:
        """Ten views: the four corners and the middle, each also mirrored; five where a mirrored image is none.

        Returns:
            List of (batch, *size, channels) float32.
        """
        enlarge = self.enlarge if self.enlarge > 1 else _TEN_CROP_ENLARGE
        ones = tf.ones((tf.shape(images)[0],))
        mirrorings = (0.0, 1.0)[: self.count // len(_PLACES)]
        return [
            self.crop(images, top * ones, left * ones, mirrored * ones, enlarge)
            for mirrored in mirrorings
            for top, left in _PLACES
        ]
