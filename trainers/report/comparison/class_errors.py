"""HTML page section with the per-class error rates of several training runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ...runs.counting import counted
from ..figures import DARK, png
from ..page import Picture, Section
from .compared_run import ComparedRun, short_names

_MAX_CLASSES = 40  # that are drawn; of more, the hardest
_MAX_RUNS_WITH_CLASSES = 8  # up to so many, a cell has room for the name of a class
_TITLE = "Errors by class"


@dataclass(frozen=True)
class ClassErrors:
    """Error rates of several training runs on each class of test images.

    All runs have the same test images.

    Attributes:
        run_names: one per run.
        class_names: one per class.
        shares: (classes, runs) share of the images of a class that a run gets wrong, 0 to 1; NaN without images.
        mistaken_for: (classes, runs) index of the class that the run most often predicts instead; -1 without an error,
            and for images with two labels.
    """

    run_names: list[str]
    class_names: tuple[str, ...]
    shares: np.ndarray
    mistaken_for: np.ndarray

    @classmethod
    def of(cls, runs: Sequence[ComparedRun]) -> "ClassErrors":
        """Compute the per-class error rates of training runs from their predictions for the same test images."""
        predictions = [run.predictions for run in runs if run.predictions is not None]
        shares = np.stack([1 - each.per_class() for each in predictions], axis=1)
        mistaken_for = np.stack([_most_frequent_mistakes(each) for each in predictions], axis=1)
        return cls(short_names(runs), runs[0].data[1], shares, mistaken_for)

    def hardest(self) -> np.ndarray:
        """Return the indices of the 40 classes with the highest error, in descending order of error.

        The error is the mean over the runs. Classes without test images are left out, so there may be fewer than 40.
        """
        means = self.shares.mean(axis=1)
        order = np.argsort(-np.nan_to_num(means, nan=-1.0), kind="stable")
        return order[~np.isnan(means[order])][:_MAX_CLASSES]


def class_errors_section(runs: Sequence[ComparedRun]) -> Section:
    """Return an HTML page section with the per-class error rates of several training runs.

    It also names the class that is most often predicted instead.

    Runs on other data have a picture of their own. Runs without saved predictions are named.
    """
    groups: dict[tuple, list[ComparedRun]] = {}
    for run in runs:
        if run.predictions is not None:
            groups.setdefault(run.data, []).append(run)
    pictures = []
    texts = [
        "Share of the test images of each class that a run gets wrong, in percent, the hardest class first. Below it "
        "the class that the run most often predicts instead."
    ]
    for (data_name, names), group in groups.items():
        errors = ClassErrors.of(group)
        on_data = f" on {data_name}" if len(groups) > 1 else ""
        caption = data_name if len(groups) > 1 else ""
        pictures.append(Picture(draw_class_errors(errors), f"Errors of each run by class{on_data}", caption))
        texts += _largest_difference(errors, on_data)
        if len(names) > _MAX_CLASSES:
            texts.append(f"{_MAX_CLASSES} of the {len(names):,} classes{on_data} are drawn.")
    if missing := [run.name for run in runs if run.predictions is None]:
        texts.append(f"{counted(len(missing), 'run')} without saved predictions left out: {', '.join(missing)}.")
    return Section(_TITLE, texts=texts if pictures else texts[1:], pictures=pictures)


def draw_class_errors(errors: ClassErrors) -> str:
    """Draw a table of error rates with a row for each class and a column for each training run.

    Returns:
        PNG, base64.
    """
    order = errors.hardest()
    shares, mistaken_for = errors.shares[order], errors.mistaken_for[order]
    classes, runs = shares.shape
    has_room = runs <= _MAX_RUNS_WITH_CLASSES
    column, row = (1.5, 0.5) if has_room else (0.6, 0.32)  # inches
    figure = Figure(figsize=(max(5.0, 2.5 + column * runs), 1.8 + row * classes), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="Oranges", aspect="auto", vmin=0, vmax=max(1.0, 100 * shares.max()))
    figure.colorbar(image, ax=axes, shrink=0.8, label="errors, %")
    axes.xaxis.tick_top()
    axes.set_xticks(range(runs), errors.run_names, rotation=25, ha="left", fontsize=9, parse_math=False)
    names = [errors.class_names[i] for i in order]
    axes.set_yticks(range(classes), names, fontsize=9, parse_math=False)
    axes.set_ylabel("class")
    for (i, j), share in np.ndenumerate(shares):
        text = f"{100 * share:.1f}"
        if has_room and mistaken_for[i, j] >= 0:
            text += f"\nas {_shorten(errors.class_names[mistaken_for[i, j]])}"
        colour = "white" if share > 0.6 * shares.max() else DARK
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour, parse_math=False)
    return png(figure)


def _most_frequent_mistakes(predictions) -> np.ndarray:
    """Return the most frequent wrong prediction for images of each class.

    Return the indices of the wrong classes, with -1 for a class without errors and for images with two labels.
    """
    classes = predictions.lengths.shape[1]
    if predictions.labels.ndim > 1:
        return np.full(classes, -1)
    wrong = predictions.confusion() * (1 - np.eye(classes, dtype=int))
    return np.where(wrong.any(axis=1), wrong.argmax(axis=1), -1)


def _largest_difference(errors: ClassErrors, on_data: str) -> list[str]:
    """Write a sentence that names the class whose error rate differs most between training runs.

    The sentence is in a list, which is empty for a single run or if the error rates are equal.
    """
    order = errors.hardest()
    spread = np.ptp(errors.shares[order], axis=1)
    if len(errors.run_names) < 2 or not spread.any():
        return []
    row = order[spread.argmax()]
    shares = errors.shares[row]
    best, worst = shares.argmin(), shares.argmax()
    return [
        f"The runs differ most{on_data} in {errors.class_names[row]}: {shares[best]:.2%} errors of "
        f"{errors.run_names[best]}, {shares[worst]:.2%} of {errors.run_names[worst]}."
    ]


def _shorten(name: str) -> str:
    return name if len(name) <= 16 else f"{name[:15]}…"
