"""From raw pixels or image files to what the network sees, inside the served graph."""

from dataclasses import dataclass

import tensorflow as tf

from ...trainers.data.augmentation.views import Views
from ...trainers.data.pipeline.decoding import crop_and_resize, decode_image
from .image_header import checked, is_gif_or_bmp


@dataclass(frozen=True)
class Preprocessing:
    """What a run's evaluation does with its images, for images of any size.

    The middle part of the stored images' shape is cut out and resized to their size, then seen as a test image is.

    Attributes:
        stored: (height, width) of the data set's images.
        channels: 1 or 3.
        views: what of them the network sees.
    """

    stored: tuple[int, int]
    channels: int
    views: Views

    def of_pixels(self, images):
        """What the network sees of raw images.

        Args:
            images: (batch, height, width, channels) uint8.

        Returns:
            (batch, *views.size, channels) float32 from 0 to 255.
        """
        return self._seen(lambda image: crop_and_resize(image, self.stored), images)

    def of_files(self, files):
        """What the network sees of encoded images: PNG, JPEG, BMP or GIF, each checked by its header first.

        Args:
            files: (batch,) strings.

        Returns:
            (batch, *views.size, channels) float32 from 0 to 255.
        """

        def image(file_and_index):
            return crop_and_resize(self._decoded(checked(*file_and_index)), self.stored)

        return self._seen(image, (files, tf.range(tf.size(files))))

    def _decoded(self, data):
        if self.channels != 1:
            return decode_image(data, self.channels, self.stored)
        return tf.cond(  # their decoders give no gray
            is_gif_or_bmp(data),
            lambda: tf.image.rgb_to_grayscale(decode_image(data, 3)),
            lambda: decode_image(data, 1, self.stored),
        )

    def _seen(self, make, elements):
        stored = tf.TensorSpec((*self.stored, self.channels), tf.uint8)
        images = tf.map_fn(make, elements, fn_output_signature=stored)
        return self.views.test(tf.cast(images, tf.float32))
