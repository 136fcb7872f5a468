"""Reconstructions of images from their class capsules, with one component changed at a time."""

import keras
import numpy as np

from encapnet_tf.explain.class_scores import image_batch
from encapnet_tf.reconstruction import reconstruction_layer

_MOVES = tuple(i / 20 for i in range(-5, 6))  # Fig. 4 of Sabour et al. (2017): -0.25 to 0.25 in steps of 0.05


def component_grid(model, images, labels=None, values=None):
    """Reconstruct images from their class capsules, with one component of the capsule changed at a time.

    It is Figure 4 of "Dynamic Routing Between Capsules" (Sabour, Frosst and Hinton, 2017): the rows of a grid show what
    each component of a class capsule has learned, such as slant, width or the thickness of a stroke.

    Args:
        model: a model with a decoder, see `attach_reconstruction`.
        images: (batch, height, width, channels), with pixels as the model receives them.
        labels: classes (batch,) from whose capsules the images are reconstructed, or rows (batch, classes) of factors
            for the capsules; None is each image's longest capsule.
        values: numbers that are added to a component; None is -0.25, -0.2, ..., 0.25.

    Returns:
        NumPy array (batch, capsule_dim, values, height, width, channels), from 0 to 1. The rows [:, i] are those of
        `reconstruct(model, images, component=i)`.

    Raises:
        ValueError: the model has no decoder, `values` are no finite numbers, or the images have another shape.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> component_grid(en.attach_reconstruction(model), np.ones((3, 8, 8, 1), "float32"), values=(-0.1, 0, 0.1)).shape
    (3, 2, 3, 8, 8, 1)
    """
    layer = reconstruction_layer(model)
    images = image_batch(model, images)
    moves = np.asarray(_MOVES if values is None else values, "float32")
    if moves.ndim != 1 or not moves.size or not np.isfinite(moves).all():
        raise ValueError(f"values must be a list of finite numbers. Received: values={values!r}.")
    network = keras.Model(model.inputs[0], layer.output)
    dim = layer.output.shape[-1]
    steps = (np.eye(dim, dtype="float32")[:, None] * moves[:, None]).reshape(dim * len(moves), 1, dim)
    grids = []
    for i in range(len(images)):  # a grid is a batch of its own
        capsules = keras.ops.convert_to_numpy(network(images[i : i + 1], training=False)).astype("float32")
        longest = np.square(capsules).sum(axis=-1).argmax(axis=-1)  # of the unmoved capsules
        label = longest if labels is None else np.asarray(labels)[i : i + 1]
        decoded = layer.decode(capsules + steps, np.repeat(label, len(steps), axis=0))
        grids.append(keras.ops.convert_to_numpy(decoded).astype("float32"))
    return np.stack(grids).reshape(len(images), dim, len(moves), *layer.image_shape)
