"""Cropping of images to the input size of a network, by random crops, central crops or ten-crop evaluation."""

from dataclasses import dataclass

import tensorflow as tf

from .warp import crop_matrices, warp

# Factor by which a base augmentation enlarges images before it crops them: to 34 or 40 pixels for a crop of 32.
ENLARGE = {"none": 1.0, "affine": 1.0, "+": 34 / 32, "++": 40 / 32}
_TEN_CROP_ENLARGE = 36 / 32  # for ten crops of images that were not enlarged in training
_POSITIONS = ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))  # (top, left) of the centre and corner crops


@dataclass(frozen=True)
class Views:
    """Image cropping for a network, with the input size, an enlargement factor and optional mirroring.

    Attributes:
        size: (height, width) of the network's input.
        enlarge: factor by which images are enlarged before a crop of `size` is taken, in training and in testing.
        mirrors: whether a mirrored image still belongs to its class, which is not so for digits.
    """

    size: tuple[int, int]
    enlarge: float = 1.0
    mirrors: bool = True

    def enlarged_size(self, enlarge: float | None = None) -> tuple[int, int]:
        """Return the height and width to which images are enlarged before cropping.

        Args:
            enlarge: replaces the attribute.
        """
        height, width = (round(n * (enlarge or self.enlarge)) for n in self.size)
        return height, width

    def crop(self, images, top, left, mirrored, enlarge: float | None = None):
        """Enlarge images and crop them at given positions to the input size of the network.

        Both are done in a single resampling pass.

        Args:
            images: (batch, height, width, channels) float32, of any size.
            top, left: (batch,) float32, position of the crop: 0 at the top or left edge, 1 at the bottom or right.
            mirrored: (batch,) float32, 1 where the crop is mirrored, else 0.
            enlarge: replaces the attribute.

        Returns:
            (batch, *size, channels) float32.
        """
        enlarged = self.enlarged_size(enlarge)
        room_y, room_x = (large - n for large, n in zip(enlarged, self.size, strict=True))
        top = tf.minimum(tf.floor(top * (room_y + 1)), room_y)
        left = tf.minimum(tf.floor(left * (room_x + 1)), room_x)
        matrices = crop_matrices(tuple(images.shape[1:3]), enlarged, self.size, top=top, left=left, mirrored=mirrored)
        return warp(images, matrices, self.size, "NEAREST")

    def test(self, images):
        """Crop the centre of each image to the input size of the network, for evaluation.

        The images are enlarged before they are cropped.

        Args:
            images: (batch, height, width, channels) float32.

        Returns:
            (batch, *size, channels) float32: the images themselves if they have that size and are not to be enlarged.
        """
        if tuple(images.shape[1:3]) == self.enlarged_size() == tuple(self.size):
            return images
        middle = tf.fill((tf.shape(images)[0],), 0.5)
        return self.crop(images, middle, middle, tf.zeros_like(middle))

    @property
    def num_crops(self) -> int:
        """Number of crops per image in ten-crop evaluation: 10, or 5 without mirrored crops."""
        return len(_POSITIONS) * (2 if self.mirrors else 1)

    def ten_crops(self, images) -> list:
        """Return the central crop, the four corner crops and, optionally, the mirrored crops of each image.

        Mirrored copies are made if `mirrors` is true.

        Returns:
            List of (batch, *size, channels) float32.
        """
        enlarge = self.enlarge if self.enlarge > 1 else _TEN_CROP_ENLARGE
        ones = tf.ones((tf.shape(images)[0],))
        mirrorings = (0.0, 1.0) if self.mirrors else (0.0,)
        return [
            self.crop(images, top * ones, left * ones, mirrored * ones, enlarge)
            for mirrored in mirrorings
            for top, left in _POSITIONS
        ]
