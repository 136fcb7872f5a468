"""Functions that compute class scores and choose the class to explain for each image."""

import keras
import numpy as np

_BATCH = 64


def image_batch(model, images) -> np.ndarray:
    """Convert images to a floating-point array, or raise ValueError if the model does not accept the images.

    Args:
        model: the classifier.
        images: array of images, with pixels as the model receives them.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(
            f"images must be a batch (batch, height, width, channels) of at least one image. "
            f"Received: images of shape {images.shape}."
        )
    inputs = [tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()]
    fits = len(inputs) == 1 and len(inputs[0]) == 4
    if inputs and not (fits and all(a in (None, b) for a, b in zip(inputs[0][1:], images.shape[1:], strict=True))):
        raise ValueError(
            f"{model.name} takes inputs of shape {', '.join(map(str, inputs))}. Received: images of shape "
            f"{images.shape}."
        )
    return images if images.dtype in (np.float32, np.float64) else images.astype(keras.config.floatx())


def class_scores(model, images) -> np.ndarray:
    """Compute the class scores of images in inference mode, in batches.

    They have shape (batch, classes).

    Args:
        model: the classifier.
        images: result of `image_batch`.

    Raises:
        ValueError: the model's output has another form.
    """
    rows = []
    for start in range(0, len(images), _BATCH):
        portion = images[start : start + _BATCH]
        output = model(portion, training=False)
        shape = tuple(getattr(output, "shape", ()))
        if len(shape) != 2 or shape[0] != len(portion):
            raise ValueError(
                f"{model.name} must have one output, class scores (batch, classes), to be explained. Received: "
                f"{f'an output of shape {shape}' if shape else 'several outputs'}."
            )
        rows.append(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")))
    return np.concatenate(rows)


def explained_classes(scores, labels=None) -> np.ndarray:
    """Return the label of each image, or the class with the highest score if no labels are given.

    It is the class that the explanation of the image is about. The result is an array of integers (batch,).

    Args:
        scores: (batch, classes).
        labels: integers (batch,), or an integer for all images, or None.

    Raises:
        ValueError: the labels are no classes of the images.
    """
    count, classes = scores.shape
    if labels is None:
        return scores.argmax(axis=1)
    array = np.asarray(labels)
    if array.dtype.kind in "iu" and array.shape in ((), (count,)) and array.min() >= 0 and array.max() < classes:
        return np.broadcast_to(array, (count,)).astype(int)
    raise ValueError(
        f"labels must be {count} integers from 0 to {classes - 1}, one for each image, or one for all. "
        f"Received: labels={labels!r}."
    )
