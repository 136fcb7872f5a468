"""Section of the training report that shows reconstructed images.

The decoder reconstructs them from class capsules.
"""

import numpy as np

from .component_rows import component_rows, describe_rows
from .page import Picture, Section
from .pictures import image_png, image_row
from .run_record import RunRecord


def reconstruction_section(record: RunRecord) -> Section | None:
    """Return the report section on reconstructed test images, or None for a network without a decoder."""
    data = record.reconstructions
    if data is None:
        return None
    names = [_names(record, index) for index in data.index]
    pairs = [
        Picture(
            image_png(image_row(np.stack([image, reconstruction]))),
            f"Test image {index} and its reconstruction",
            f"{name}, error {error:.4f}",
        )
        for index, image, reconstruction, name, error in zip(
            data.index, data.images, data.reconstructions, names, data.errors, strict=True
        )
    ]
    grids = [
        Section(
            f"Components of the capsule of {name}",
            texts=[] if grids_before else [describe_rows(data.values)],
            pictures=component_rows(grid, data.values),
            layout="rows",
        )
        for grids_before, (name, grid) in enumerate(zip(names, data.grids, strict=False))
    ]
    return Section(
        "Reconstructions",
        texts=[
            "A test image of each of some classes, and beside it what the decoder makes of the capsule of the "
            "predicted class; the error is the mean square of the difference, of pixels from 0 to 1."
        ],
        pictures=pairs,
        layout="pairs",
        parts=grids,
    )


def _names(record: RunRecord, index: int) -> str:
    """Return the predicted class name of a test image, followed by the true name if the prediction is wrong.

    Images with two labels have two names of each kind.
    """
    predicted, true = (
        " and ".join(record.class_names[i] for i in sorted(np.atleast_1d(labels[index])))
        for labels in (record.predictions.predicted, record.predictions.labels)
    )
    return predicted if predicted == true else f"{predicted} (truly {true})"
