"""Sections of the training report that show class accuracies, the confusion matrix and misclassified images."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from sklearn.metrics import ConfusionMatrixDisplay

from ..runs.counting import counted
from .figures import DARK, png
from .page import Picture, Section
from .pictures import image_png
from .run_record import RunRecord

_MAX_CLASSES = 40  # that are listed by name; of more, only the hardest are, and a matrix has no room for names


def class_accuracy_section(record: RunRecord) -> Section:
    """Return the training report section that lists the accuracy on each class, lowest first."""
    (images, predicted), accuracy = record.predictions.class_counts(), record.predictions.per_class()
    order = np.argsort(np.nan_to_num(accuracy, nan=2.0), kind="stable")[:_MAX_CLASSES]  # classes without images last
    rows = [
        (
            record.class_names[i],
            f"{accuracy[i]:.2%} of {images[i]:,}",
            f"predicted {counted(predicted[i], 'time')}",
        )
        for i in order
        if images[i]
    ]
    return Section("Accuracy per class", texts=["Test images, the hardest class first."], table=rows)


def confusion_section(record: RunRecord) -> Section | None:
    """Return the report section with the confusion matrix on the test images, or None for images with two labels."""
    if record.predictions.labels.ndim > 1:
        return None
    picture = draw_confusion(record.predictions.confusion(), record.class_names)
    return Section(
        "Confusion matrix",
        texts=["Test images, counted by true class (row) and predicted class (column)."],
        pictures=[Picture(picture, "Confusion matrix of the test images")],
    )


def draw_confusion(counts: np.ndarray, class_names: list[str]) -> str:
    """Draw a confusion matrix with normalised rows.

    Colours show the share of each true class's images. Counts and class names are left out where there are more than
    40 classes.

    Args:
        counts: (true class, predicted class).
        class_names: one per class.

    Returns:
        PNG, base64.
    """
    classes = len(counts)
    show_names = classes <= _MAX_CLASSES
    side = max(4.5, min(12.0, 0.55 * classes))
    figure = Figure(figsize=(side + 1, side), layout="compressed")
    axes = figure.subplots()
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    display = ConfusionMatrixDisplay(share).plot(
        ax=axes, cmap="Blues", include_values=show_names, im_kw={"vmin": 0, "vmax": 1}, colorbar=False
    )
    figure.colorbar(display.im_, ax=axes, shrink=0.8, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true")
    if show_names:
        axes.set_xticks(range(classes), class_names, rotation=45, ha="right", parse_math=False)
        axes.set_yticks(range(classes), class_names, parse_math=False)
        # The display's own texts are the shares that it colours by.
        for position, count in np.ndenumerate(counts):
            text = display.text_[position]
            text.set(text=str(count) if count else "", fontsize=8, color="white" if share[position] > 0.5 else DARK)
    else:
        for axis in (axes.xaxis, axes.yaxis):  # the display has a tick for every class
            axis.set_major_locator(MaxNLocator(integer=True))
            axis.set_major_formatter(ScalarFormatter())
    return png(figure)


def mistakes_section(record: RunRecord) -> Section:
    """Return the report section that shows the test images with the most confident wrong predictions.

    These are the mistakes whose predicted class leads the true class most in score.
    """
    predictions, names = record.predictions, record.class_names
    if not predictions.errors:
        return Section("Worst mistakes", texts=["There are none: every test image was classified correctly."])
    pictures = []
    for index, image in zip(predictions.worst, predictions.worst_images, strict=True):
        lengths = predictions.lengths[index]
        predicted, true = (
            " and ".join(f"{names[i]} ({lengths[i]:.2f})" for i in np.atleast_1d(labels[index]))
            for labels in (predictions.predicted, predictions.labels)
        )
        caption = f"{predicted}, truly {true}"
        pictures.append(Picture(image_png(image), f"Test image {index}", caption))
    return Section(
        "Worst mistakes",
        texts=[
            f"{len(pictures)} of {counted(predictions.errors, 'mistake')}, most mistaken first: the predicted class, "
            "the true one and their scores (lengths of their capsules; of networks without capsules probabilities)."
        ],
        pictures=pictures,
        layout="gallery",
    )
