"""Checks of what a model or a model server answers, before anything of it is used."""

from collections.abc import Mapping

import numpy as np

from ...trainers.runs.errors import UserError

LENGTHS, LABEL, CAPSULES = "lengths", "label", "capsules"
_DIMENSIONS = {LENGTHS: "(images, classes)", LABEL: "(images,)", CAPSULES: "(images, classes, components)"}
_KINDS = {LENGTHS: "fiu", LABEL: "iu", CAPSULES: "fiu"}  # of NumPy's dtypes: float, integer, unsigned


def checked_outputs(outputs: Mapping, images: int, source: str) -> dict[str, np.ndarray]:
    """Return the outputs of a classifier as arrays, or raise UserError if they are not what an export gives.

    Scores that are not finite are let through, because the caller names the image.

    Args:
        outputs: name -> array. Names that exports do not have are left out.
        images: number of images that were classified.
        source: where the outputs are from, as in "the answer of SOURCE".

    Raises:
        UserError: there are no lengths, or a shape, a dtype or a label is wrong.
    """
    try:
        arrays = {name: np.asarray(outputs[name]) for name in _DIMENSIONS if name in outputs}
        _check(arrays, images)
    except (ValueError, TypeError, OverflowError) as error:
        raise UserError(f"The answer of {source} is not that of an exported model: {error}.", status=1) from None
    return arrays


def _check(arrays: Mapping[str, np.ndarray], images: int) -> None:
    """Raise ValueError if arrays do not have the shapes, dtypes and labels of a classifier's outputs."""
    if LENGTHS not in arrays:
        raise ValueError(f"it has no output {LENGTHS}")
    classes = arrays[LENGTHS].shape[1] if arrays[LENGTHS].ndim == 2 else 0
    for name, array in arrays.items():
        expected = _DIMENSIONS[name]
        if array.dtype.kind not in _KINDS[name]:
            raise ValueError(f"expected numbers {expected} in {name}, found {array.dtype}")
        has_right_rank = array.ndim == expected.count(",") + (not expected.endswith(",)"))
        if not has_right_rank or len(array) != images or (array.ndim > 1 and array.shape[1] != classes):
            raise ValueError(f"expected {name} of shape {expected} for {images} images, found shape {array.shape}")
    if images and not classes:
        raise ValueError("it has no classes")
    if LABEL in arrays and images and not ((arrays[LABEL] >= 0) & (arrays[LABEL] < classes)).all():
        raise ValueError(f"a label is none of the {classes} classes")
