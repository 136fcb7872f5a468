"""Keras layer that reconstructs images from class capsules, the decoder of a capsule network."""

import inspect
import math
import threading
import weakref

import keras
from keras import ops as K

from encapnet_tf.arguments import capsule_sizes, check_input, finite_number, optional_number, whole_number
from encapnet_tf.blocks.image_decoder import DECODERS, image_decoder
from encapnet_tf.blocks.name_or_layer import name_or_layer, serialize_name_or_layer
from encapnet_tf.layers.capsule_mask import CapsuleMask
from encapnet_tf.ops.precision import cast_numbers

_WEIGHT_OF_A_PIXEL = 0.0005  # section 4.1 of Sabour, Frosst and Hinton (2017), for the sum of squared errors
_THREAD = threading.local()  # its attribute `capsules` maps a layer to the input of its last call in this thread


@keras.saving.register_keras_serializable("encapnet_tf")
class Reconstruction(keras.layers.Layer):
    """Layer that reconstructs images from class capsules, the decoder of a capsule network.

    It is the regulariser of "Dynamic Routing Between Capsules" (Sabour, Frosst and Hinton, 2017, section 4.1):

        loss term = weight * mean((image - decoder(mask(capsules, label)))^2)

    The mask keeps the capsule of the image's label and sets the others to 0. The layer's output is its input,
    unchanged. A layer does not see labels, so the term is added by the model: `attach_reconstruction` places this layer
    in a model and returns a model that adds the term, and `strip_reconstruction` removes it. The mean squared error
    is logged under the layer's name.

    Args:
        image_shape: (height, width, channels) of the images.
        decoder: "dense" (two hidden layers of 512 and 1024 units), "conv" (three times enlarged and convolved, as in
            Efficient-CapsNet) or a Keras layer that maps (batch, capsules * capsule_dim) to images, or to flat
            images, with values from 0 to 1.
        weight: factor of the mean squared error in the loss; None is 0.0005 * height * width * channels, the paper's
            (0.392 for 28x28x1).
        max_pixel: pixel value of white: images are divided by it before they are compared with the reconstruction.

    Call arguments:
        capsules: (batch, capsules, capsule_dim).

    Returns:
        The capsules, unchanged.

    Raises:
        ValueError: the capsules have another shape, or the decoder makes images of another size.

    Example:

    >>> import numpy as np
    >>> layer = Reconstruction((8, 8, 1))
    >>> capsules = np.ones((2, 3, 4), "float32")
    >>> layer(capsules).shape == (2, 3, 4)
    True
    >>> tuple(layer.decode(capsules, labels=np.array([0, 2])).shape)
    (2, 8, 8, 1)
    """

    def __init__(self, image_shape, decoder="dense", weight=None, max_pixel=1.0, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        if not isinstance(image_shape, (list, tuple)) or len(image_shape) != 3:
            raise ValueError(f"image_shape must be (height, width, channels). Received: image_shape={image_shape!r}.")
        height, width, channels = (whole_number("a size in image_shape", size) for size in image_shape)
        self.image_shape = (height, width, channels)
        if decoder is None:
            raise ValueError("decoder must be 'dense', 'conv' or a Keras layer. Received: decoder=None.")
        self._decoder_argument = name_or_layer("decoder", decoder, DECODERS)
        self._weight_argument = optional_number("weight", weight, least=0.0)
        self.max_pixel = finite_number("max_pixel", max_pixel)
        if self.max_pixel <= 0:
            raise ValueError(f"max_pixel must be more than 0. Received: max_pixel={max_pixel!r}.")
        self._mask = CapsuleMask(dtype=self.dtype_policy, name="mask")
        self._metric = keras.metrics.Mean(name=self.name)

    @property
    def weight(self) -> float:
        """Weight of the reconstructions' mean squared error in the loss."""
        if self._weight_argument is None:
            return _WEIGHT_OF_A_PIXEL * math.prod(self.image_shape)
        return self._weight_argument

    def build(self, input_shape):
        check_input(self, input_shape)
        num_capsules, capsule_dim = capsule_sizes(self.name, input_shape)
        self._mask.build(input_shape)
        self.decoder = self._decoder_argument
        if isinstance(self.decoder, str):
            self.decoder = image_decoder(self.decoder, self.image_shape, self.dtype_policy)
        vectors = (None, num_capsules * capsule_dim)
        if not self.decoder.built:
            self.decoder.build(vectors)
        shape = tuple(self.decoder.compute_output_shape(vectors))
        if shape[1:] not in (self.image_shape, (math.prod(self.image_shape),)):
            raise ValueError(
                f"{self.name}: the decoder makes outputs of shape {shape}, but the images are of shape "
                f"(None, {', '.join(map(str, self.image_shape))}). Pass a decoder that makes images of this size."
            )

    def call(self, capsules):
        capsules = cast_numbers(capsules, self.compute_dtype)
        if not hasattr(_THREAD, "capsules"):
            _THREAD.capsules = weakref.WeakKeyDictionary()
        _THREAD.capsules[self] = capsules
        return capsules

    def take_capsules(self):
        """Return the capsules that this layer's most recent call stored, and clear them.

        None if there are none.
        """
        return getattr(_THREAD, "capsules", {}).pop(self, None)

    def decode(self, capsules, labels=None, training=False):
        """Reconstruct images from class capsules.

        Args:
            capsules: (batch, capsules, capsule_dim).
            labels: integers (batch,), or rows (batch, capsules) of factors for the capsules, such as one-hot rows. None
                keeps each image's longest capsule.
            training: whether the decoder's layers are in training mode.

        Returns:
            (batch, height, width, channels), from 0 to 1.
        """
        vectors = self._mask(capsules, labels)
        options = {"training": training} if "training" in inspect.signature(self.decoder.call).parameters else {}
        images = self.decoder(vectors, **options)
        return K.reshape(images, (-1, *self.image_shape))

    def squared_error(self, images, capsules, labels, training=False):
        """Compute the mean squared error of each image's reconstruction.

        The errors have shape (batch,), in at least float32. No gradient reaches the images. Rows with several labels of
        1 keep several capsules.

        Args:
            images: (batch, height, width, channels), pixels from 0 to `max_pixel`.
            capsules, labels, training: see `decode`.
        """
        reconstructions = self.decode(capsules, labels, training=training)
        dtype = "float64" if keras.backend.standardize_dtype(reconstructions.dtype) == "float64" else "float32"
        images = K.stop_gradient(K.cast(K.convert_to_tensor(images), dtype)) / self.max_pixel
        difference = K.reshape(images, (-1, *self.image_shape)) - K.cast(reconstructions, dtype)
        return K.mean(K.square(difference), axis=(1, 2, 3))

    def log_error(self, squared_errors, sample_weight=None):
        """Update the reconstruction-error metric with the mean squared error of each image in a batch."""
        self._metric.update_state(squared_errors, sample_weight)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "image_shape": self.image_shape,
            "decoder": serialize_name_or_layer(self._decoder_argument),
            "weight": self._weight_argument,
            "max_pixel": self.max_pixel,
        }
