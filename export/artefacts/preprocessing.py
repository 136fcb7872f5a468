"""Image preprocessing in exported models, from raw pixels or image files to network inputs.

It is our own code, because only TensorFlow operations can be exported; a run's evaluation uses the same functions.
"""

from dataclasses import dataclass

import tensorflow as tf

from ...trainers.data.augmentation.views import Views
from ...trainers.data.pipeline.decoding import crop_and_resize, decode_image, map_to_images


@dataclass(frozen=True)
class Preprocessing:
    """Image preprocessing that an exported model applies to raw images of any size.

    It is the preprocessing of a run's evaluation.

    The largest centred part of the stored images' aspect ratio is cut out, resized to their size, and cropped as a test
    image is.

    Attributes:
        stored: (height, width) of the data set's images.
        channels: 1 or 3.
        views: crops of the stored images that the network is evaluated on.
        single_size: (height, width) of the single images that the stored ones are composed of, or None. A raw image of
            exactly this size is placed in the centre of a black image of the stored size.
    """

    stored: tuple[int, int]
    channels: int
    views: Views
    single_size: tuple[int, int] | None = None

    def to_json(self) -> dict:
        """Return the settings of the preprocessing as a JSON-compatible dictionary, for metadata.json."""
        return {
            "stored": [*self.stored, self.channels],
            "enlarge": self.views.enlarge,
            "single_size": None if self.single_size is None else list(self.single_size),
        }

    @classmethod
    def from_json(cls, image: dict, size: tuple[int, int]) -> "Preprocessing":
        """Create a `Preprocessing` object from the settings in the metadata.json file of an export.

        Args:
            image: the object "image" there, a result of `to_json`; exports of earlier versions have only "stored".
            size: (height, width) of the network's input.
        """
        height, width, channels = image["stored"]
        single_size = image.get("single_size")
        views = Views(size, image.get("enlarge", 1.0))
        return cls((height, width), channels, views, None if single_size is None else tuple(single_size))

    def of_pixels(self, images):
        """Preprocess a batch of uint8 images into a float32 network input.

        Args:
            images: (batch, height, width, channels) uint8.

        Returns:
            (batch, *views.size, channels) float32 from 0 to 255.
        """
        return self._preprocess(self._fit, images)

    def of_files(self, files):
        """Decode and preprocess a batch of image files into a float32 network input.

        The files are those that training reads; each is checked by its header first.

        Args:
            files: (batch,) strings.

        Returns:
            (batch, *views.size, channels) float32 from 0 to 255.
        """

        def load(file_and_index):
            data, index = file_and_index
            prefix = tf.strings.join(["image ", tf.strings.as_string(index), " of the batch "])
            return self._fit(decode_image(data, self.channels, self.stored, prefix))

        return self._preprocess(load, (files, tf.range(tf.size(files))))

    def _fit(self, image):
        """Crop and resize an image to the data set's image size.

        An image of exactly `single_size` is not resized, but centred on a canvas of zeros.
        """
        if self.single_size is None:
            return crop_and_resize(image, self.stored)
        room = [large - small for large, small in zip(self.stored, self.single_size, strict=True)]

        def place():
            placed = tf.pad(image, [*((n // 2, n - n // 2) for n in room), (0, 0)])
            return tf.reshape(placed, (*self.stored, self.channels))

        is_single = tf.reduce_all(tf.equal(tf.shape(image)[:2], self.single_size))
        return tf.cond(is_single, place, lambda: crop_and_resize(image, self.stored))

    def _preprocess(self, load, elements):
        """Load a batch of images and crop the images to the network's input size.

        The function `load` returns images of the stored size.
        """
        images = map_to_images(load, elements, (*self.stored, self.channels))
        return self.views.test(tf.cast(images, tf.float32))
