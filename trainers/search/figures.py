"""Plots of the objective in a hyper-parameter search, against hyper-parameters or trial numbers."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..report.figures import png
from .space import Axis

_POINT, _MARK, _BEST_SO_FAR = "#3b6fb6", "#c0392b", "#d1622b"
_MAX_LABELS = 40  # trials; with more, their labels would overlap
_LEAST_POINTS, _LEAST_SHARE = 5.0, 0.2  # span of the colours: percentage points of accuracy, share of a loss
_LABELS = {
    "feedback_weight": "lambda (feedback_weight)",
    "val_accuracy": "validation accuracy, %",
    "val_loss": "validation loss",
}


def scatter(x: Axis, y: Axis, *, completed: list[dict], failed: list[dict], objective: str) -> str:
    """Draw a scatter plot of hyper-parameter search trials over two hyper-parameters, coloured by the objective.

    Args:
        x: the setting on the horizontal axis.
        y: the setting on the vertical axis.
        completed: records of completed trials, the best first.
        failed: records of failed trials.
        objective: "val_accuracy" or "val_loss".

    Returns:
        PNG, base64.
    """
    figure, axes = _figure(7.5, 5.2)

    def positions(records):
        return [[record["settings"][axis.name] for record in records] for axis in (x, y)]

    values = [_objective_value(record, objective) for record in completed]
    points = axes.scatter(
        *positions(completed[::-1]),  # the best are drawn last, so that no other hides them
        c=values[::-1],
        **_colours(values, objective),
        s=90,
        edgecolors="white",
        zorder=3,
    )
    if len(completed) <= _MAX_LABELS:  # numbers help where one bad trial takes most of the colour range
        for value, left, up in zip(values, *positions(completed), strict=True):
            text = f"{value:.1f}" if objective == "val_accuracy" else f"{value:.3f}"
            axes.annotate(text, (left, up), (9, 5), textcoords="offset points", fontsize=8, color="#5a6776")
    axes.scatter(*positions(completed[:1]), s=260, facecolors="none", edgecolors=_MARK, linewidths=2, zorder=4)
    if crosses := _with_settings(failed, x, y):
        axes.scatter(*positions(crosses), marker="x", color=_MARK, s=70, zorder=3)
    figure.colorbar(points, ax=axes, label=_LABELS[objective])
    _set_scale(axes, x, "x")
    _set_scale(axes, y, "y")
    axes.grid(alpha=0.3, zorder=0)
    return png(figure)


def heat_map(x: Axis, y: Axis, *, completed: list[dict], failed: list[dict], objective: str, points: int) -> str:
    """Draw a heat map of the validation accuracy or loss of search trials over two hyper-parameters.

    Args:
        x: the setting on the horizontal axis.
        y: the setting on the vertical axis.
        completed: records of completed trials, the best first.
        failed: records of failed trials.
        objective: "val_accuracy" or "val_loss".
        points: number of values that the grid takes from a range.

    Returns:
        PNG, base64.
    """
    columns, rows = list(x.grid(points)), list(y.grid(points))

    def cell(record) -> tuple[int, int]:
        return columns.index(record["settings"][x.name]), rows.index(record["settings"][y.name])

    values: list[list[list[float]]] = [[[] for _ in columns] for _ in rows]
    for record in completed:
        column, row = cell(record)
        values[row][column].append(_objective_value(record, objective))
    means = np.array([[np.mean(group) if group else np.nan for group in line] for line in values])
    figure = Figure(figsize=(2.2 + 1.1 * len(columns), 1.6 + 0.75 * len(rows)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(means, **_colours(means, objective), origin="lower", aspect="auto")
    figure.colorbar(picture, ax=axes, label=_LABELS[objective])
    middle = (np.nanmin(means) + np.nanmax(means)) / 2
    for (row, column), mean in np.ndenumerate(means):
        if not np.isnan(mean):
            bright = mean > middle if objective == "val_accuracy" else mean < middle
            text = f"{mean:.2f}" if objective == "val_accuracy" else f"{mean:.4f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="#1d2733" if bright else "white")
    axes.scatter(*cell(completed[0]), s=1200, facecolors="none", edgecolors=_MARK, linewidths=2)
    for record in _with_settings(failed, x, y):
        axes.scatter(*cell(record), marker="x", color=_MARK, s=70)
    axes.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
    axes.set_yticks(range(len(rows)), [f"{value:g}" for value in rows])
    axes.set(xlabel=_LABELS.get(x.name, x.name), ylabel=_LABELS.get(y.name, y.name))
    return png(figure)


def objective_over_setting(axis: Axis, completed: list[dict], failed: list[dict], objective: str) -> str:
    """Draw the objective of hyper-parameter search trials as a function of one hyper-parameter.

    Failed trials are crosses at the bottom.

    Args:
        axis: the setting.
        completed: records of completed trials.
        failed: records of failed trials.
        objective: "val_accuracy" or "val_loss".

    Returns:
        PNG, base64.
    """
    figure, axes = _figure(7.5, 4)
    values = [_objective_value(record, objective) for record in completed]
    axes.plot([record["settings"][axis.name] for record in completed], values, "o", color=_POINT)
    crosses = [record["settings"][axis.name] for record in _with_settings(failed, axis)]
    axes.plot(crosses, [0.0] * len(crosses), "x", color=_MARK, transform=axes.get_xaxis_transform(), clip_on=False)
    _set_scale(axes, axis, "x")
    axes.set_ylabel(_LABELS[objective])
    axes.grid(alpha=0.3)
    return png(figure)


def objective_over_trials(completed: list[dict], objective: str) -> str:
    """Plot each search trial's objective value, and the best value so far, against the trial number.

    Args:
        completed: records of completed trials.
        objective: "val_accuracy" or "val_loss".

    Returns:
        PNG, base64.
    """
    records = sorted(completed, key=lambda record: int(record["trial"]))
    numbers = [int(record["trial"]) for record in records]
    values = [_objective_value(record, objective) for record in records]
    best = np.maximum.accumulate(values) if objective == "val_accuracy" else np.minimum.accumulate(values)
    figure, axes = _figure(7.5, 3.4)
    axes.plot(numbers, values, "o", color=_POINT, label="trial")
    axes.step(numbers, best, where="post", color=_BEST_SO_FAR, label="best so far")
    axes.set(xlabel="trial", ylabel=_LABELS[objective])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return png(figure)


def _figure(width, height):
    """Create a matplotlib figure with a single plot that has no top or right border."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _objective_value(record, objective) -> float:
    return 100 * record["validation_accuracy"] if objective == "val_accuracy" else record["validation_loss"]


def _colours(values, objective) -> dict:
    """Return the matplotlib arguments that colour search trials by objective value.

    They are the arguments `cmap`, `vmin` and `vmax`. The range is wide enough for nearly equal trials to have
    nearly equal colours. Values may be NaN.
    """
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    middle = (low + high) / 2
    least = _LEAST_POINTS if objective == "val_accuracy" else _LEAST_SHARE * abs(middle)
    half = max(high - low, least) / 2 or 1.0  # a range of 0 has no colours
    name = "viridis" if objective == "val_accuracy" else "viridis_r"  # bright is good
    return {"cmap": name, "vmin": middle - half, "vmax": middle + half}


def _with_settings(records, *axes) -> list[dict]:
    """Select the hyper-parameter search trials that have a value for each of the given hyper-parameters.

    A trial that failed early may lack some.
    """
    return [record for record in records if {axis.name for axis in axes} <= set(record["settings"])]


def _set_scale(axes, axis, direction):
    """Label a plot axis with the name of a hyper-parameter, and choose a linear or logarithmic scale.

    Use a logarithmic scale if the search does.
    """
    if axis.logarithmic:
        getattr(axes, f"set_{direction}scale")("log")
        getattr(axes, f"set_{direction}lim")(axis.low / 1.2, axis.high * 1.2)
    getattr(axes, f"set_{direction}label")(_LABELS.get(axis.name, axis.name))
