"""Saliency maps, which are gradients of class scores with respect to image pixels."""

import keras
import numpy as np

from encapnet_tf.arguments import finite_number, whole_number
from encapnet_tf.explain.class_scores import class_scores, explained_classes, image_batch
from encapnet_tf.explain.gradients import gradient
from encapnet_tf.explain.layer_calls import scores_before_softmax

_BATCH = 32
_SCALE = 1024.0  # of the scores in the backward pass, so that gradients in float16 do not vanish


def saliency(model, images, labels=None, samples=1, *, noise=0.1, seed=0):
    """Compute the gradient of each image's class score with respect to the pixels of the image.

    It says where the evidence lies (Simonyan, Vedaldi and Zisserman, 2014): a positive number where a brighter pixel
    raises the score, in a capsule network the length of the class capsule |v_j|:

        g = d |v_j| / d x,    or averaged over noisy copies of the image,    g = mean_k d |v_j| / d x at x + e_k

    The mean over copies (SmoothGrad; Smilkov et al., 2017) has less noise on photos.

    Args:
        model: a Keras image classifier with one output, class scores (batch, classes), on any backend with gradients.
            Of a model that ends in a `Softmax` layer the scores before it are taken.
        images: (batch, height, width, channels), with pixels as the model receives them.
        labels: classes (batch,), or one class for all images; None is each image's class of highest score.
        samples: number of noisy copies of each image; 1 takes the image itself, without noise.
        noise: standard deviation of the noise, as a share of the difference between an image's largest and smallest
            pixel value.
        seed: of the noise.

    Returns:
        NumPy array (batch, height, width, channels). The usual heat map is the largest absolute value, or the norm,
        over the channels.

    Raises:
        ValueError: the images, labels or the model's output have another form, or no gradient reaches the images.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> saliency(model, np.ones((3, 8, 8, 1), "float32")).shape
    (3, 8, 8, 1)
    """
    whole_number("samples", samples)
    finite_number("noise", noise, least=0)
    images = image_batch(model, images)
    classes = explained_classes(class_scores(model, images), labels)
    before_softmax = scores_before_softmax(model)
    if samples == 1:
        copies = images[None]
    else:
        width = np.ptp(images, axis=(1, 2, 3), keepdims=True)
        shifts = np.random.default_rng(seed).standard_normal((samples, *images.shape))
        copies = (images + noise * width * shifts).astype(images.dtype)
    gradients = _gradients(before_softmax, copies.reshape(-1, *images.shape[1:]), np.tile(classes, samples))
    return gradients.reshape(copies.shape).mean(axis=0).astype(images.dtype)


def _gradients(model, images, classes):
    """Compute the gradients of class scores with respect to the pixels of images, in batches.

    They have the images' shape, (batch, height, width, channels).
    """
    gradients = []
    for start in range(0, len(images), _BATCH):
        labels = classes[start : start + _BATCH]

        def total_score(x, labels=labels):
            scores = model(x, training=False)
            mask = keras.ops.one_hot(labels, scores.shape[-1], dtype=scores.dtype)
            return keras.ops.sum(keras.ops.cast(scores * mask, "float32")) * _SCALE

        of_batch = gradient(total_score, images[start : start + _BATCH])
        gradients.append(keras.ops.convert_to_numpy(of_batch).astype("float64") / _SCALE)
    return np.concatenate(gradients)
