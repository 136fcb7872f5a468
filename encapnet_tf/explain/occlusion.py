"""Function that computes how much class scores drop when a patch hides a part of an image."""

import itertools

import numpy as np

from encapnet_tf.arguments import finite_number, whole_pair
from encapnet_tf.explain.class_scores import class_scores, explained_classes, image_batch

_BATCH = 64


def occlusion(model, images, labels=None, patch=None, *, stride=None, value=None):
    """Compute how much each image's class score drops when a patch hides a part of the image.

    A patch of one colour is slid over the image (Zeiler and Fergus, 2014). The drop at a pixel is the mean over all
    patches p that cover it, in a capsule network of the length of the class capsule:

        drop = mean_p (|v_j(x)| - |v_j(x hidden by p)|)

    Positive numbers are evidence for the class, negative ones against it.

    Args:
        model: a Keras image classifier with one output, class scores (batch, classes).
        images: (batch, height, width, channels), with pixels as the model receives them.
        labels: classes (batch,), or one class for all images; None is each image's class of highest score.
        patch: side of the patch in pixels, or its (height, width). None is a quarter of the image's sides.
        stride: step of the patch in both directions, or (down, right); at most the patch. None is half the patch. The
            last patch of a row or column ends at the image's edge.
        value: number that replaces the hidden pixels. None is, in each channel, the median of the pixels at the
            image's edges, which is the background of most pictures of one object.

    Returns:
        NumPy array (batch, height, width).

    Raises:
        ValueError: the images, labels or the model's output have another form, or the patch does not fit.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> occlusion(model, np.ones((3, 8, 8, 1), "float32"), patch=2).shape
    (3, 8, 8)
    """
    images = image_batch(model, images)
    size = images.shape[1:3]
    patch = tuple(max(1, round(side / 4)) for side in size) if patch is None else whole_pair("patch", patch)
    stride = tuple(max(1, side // 2) for side in patch) if stride is None else whole_pair("stride", stride)
    if any(p > side for p, side in zip(patch, size, strict=True)):
        raise ValueError(f"patch must be at most as large as the images, {size}. Received: patch={patch}.")
    if any(step > p for step, p in zip(stride, patch, strict=True)):
        raise ValueError(f"stride must be at most the patch, {patch}, to cover all pixels. Received: stride={stride}.")
    fill = _edge_colour(images) if value is None else np.full_like(images[:, 0, 0], finite_number("value", value))
    scores = class_scores(model, images)
    classes = explained_classes(scores, labels)

    corners = list(itertools.product(*map(_starts, size, patch, stride)))
    drops, counts = np.zeros(images.shape[:3]), np.zeros(size)
    for top, left in corners:
        counts[top : top + patch[0], left : left + patch[1]] += 1
    pairs = list(itertools.product(range(len(images)), corners))
    for start in range(0, len(pairs), _BATCH):
        portion = pairs[start : start + _BATCH]
        index = [i for i, _ in portion]
        copies = images[index]
        for copy, (i, (top, left)) in zip(copies, portion, strict=True):
            copy[top : top + patch[0], left : left + patch[1]] = fill[i]
        drop = scores[index, classes[index]] - class_scores(model, copies)[np.arange(len(index)), classes[index]]
        for (i, (top, left)), value_of_patch in zip(portion, drop, strict=True):
            drops[i, top : top + patch[0], left : left + patch[1]] += value_of_patch
    return (drops / counts).astype("float32")


def _starts(size, patch, stride) -> list[int]:
    """Return the start indices of the occluding patches along one axis of an image.

    The last patch ends at the image's edge.
    """
    return sorted({*range(0, size - patch, stride), size - patch})


def _edge_colour(images):
    """Compute the median colour of the edge pixels of each image.

    It has shape (batch, channels).
    """
    edges = (images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1])
    return np.median(np.concatenate(edges, axis=1), axis=1)
