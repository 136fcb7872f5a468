"""Pictures of a search: the objective over two settings, over one, and over time."""

import numpy as np
from matplotlib.figure import Figure

from ..report.figures import png

_GOOD, _BAD = "#3b6fb6", "#c0392b"
_MOST_LABELLED = 40
_NAMES = {"feedback_weight": "lambda (feedback_weight)", "val_accuracy": "validation accuracy, %"}
_NAMES["val_loss"] = "validation loss"


def _value(record, objective) -> float:
    return 100 * record["validation_accuracy"] if objective == "val_accuracy" else record["validation_loss"]


def _colours(objective) -> str:
    return "viridis" if objective == "val_accuracy" else "viridis_r"  # bright is good


def _scale(axes, axis, direction):
    if axis.logarithmic:
        getattr(axes, f"set_{direction}scale")("log")
        getattr(axes, f"set_{direction}lim")(axis.low / 1.2, axis.high * 1.2)
    getattr(axes, f"set_{direction}label")(_NAMES.get(axis.name, axis.name))


def scatter(x, y, done, failed, objective: str) -> str:
    """Each trial at its two settings, coloured by the objective.

    Args:
        x, y: the two `Axis`.
        done, failed: records; the best of `done` first.
        objective: "val_accuracy" or "val_loss".

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(7.5, 5.2), layout="constrained")
    axes = figure.subplots()

    def at(records):
        return [[record["settings"][axis.name] for record in records] for axis in (x, y)]

    values = [_value(record, objective) for record in done]
    # The best are drawn last, so that others do not hide them.
    points = axes.scatter(*at(done[::-1]), c=values[::-1], cmap=_colours(objective), s=90, edgecolors="white", zorder=3)
    if len(done) <= _MOST_LABELLED:  # one bad trial takes most of the colours' range
        for value, left, up in zip(values, *at(done), strict=True):
            text = f"{value:.1f}" if objective == "val_accuracy" else f"{value:.3f}"
            axes.annotate(text, (left, up), (9, 5), textcoords="offset points", fontsize=8, color="#5a6776")
    axes.scatter(*at(done[:1]), s=260, facecolors="none", edgecolors=_BAD, linewidths=2, zorder=4)
    if placed := [record for record in failed if {x.name, y.name} <= set(record["settings"])]:
        axes.scatter(*at(placed), marker="x", color=_BAD, s=70, zorder=3)
    figure.colorbar(points, ax=axes, label=_NAMES[objective])
    _scale(axes, x, "x")
    _scale(axes, y, "y")
    axes.grid(alpha=0.3, zorder=0)
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def heat_map(x, y, done, failed, plan) -> str:
    """The mean objective of each cell of a grid.

    Args:
        x, y: the two `Axis`.
        done, failed: records; the best of `done` first.
        plan: the search's `Plan`.

    Returns:
        PNG, base64.
    """
    columns, rows = (list(axis.grid(plan.grid_points)) for axis in (x, y))
    cells = [[[] for _ in columns] for _ in rows]
    for record in done:
        settings = record["settings"]
        cells[rows.index(settings[y.name])][columns.index(settings[x.name])].append(_value(record, plan.objective))
    means = np.array([[np.mean(cell) if cell else np.nan for cell in row] for row in cells])
    figure = Figure(figsize=(2.2 + 1.1 * len(columns), 1.6 + 0.75 * len(rows)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(means, cmap=_colours(plan.objective), origin="lower", aspect="auto")
    figure.colorbar(picture, ax=axes, label=_NAMES[plan.objective])
    middle = (np.nanmin(means) + np.nanmax(means)) / 2
    for (row, column), mean in np.ndenumerate(means):
        if not np.isnan(mean):
            bright = mean > middle if plan.objective == "val_accuracy" else mean < middle
            text = f"{mean:.2f}" if plan.objective == "val_accuracy" else f"{mean:.4f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8, color="#1d2733" if bright else "white")

    def cell(record):
        return columns.index(record["settings"][x.name]), rows.index(record["settings"][y.name])

    axes.scatter(*cell(done[0]), s=1200, facecolors="none", edgecolors=_BAD, linewidths=2)
    for record in failed:
        if {x.name, y.name} <= set(record["settings"]):
            axes.scatter(*cell(record), marker="x", color=_BAD, s=70)
    axes.set_xticks(range(len(columns)), [f"{value:g}" for value in columns])
    axes.set_yticks(range(len(rows)), [f"{value:g}" for value in rows])
    axes.set(xlabel=_NAMES.get(x.name, x.name), ylabel=_NAMES.get(y.name, y.name))
    return png(figure)


def against(axis, done, failed, objective: str) -> str:
    """The objective against one setting.

    Args:
        axis: the `Axis`.
        done, failed: records.
        objective: "val_accuracy" or "val_loss".

    Returns:
        PNG, base64.
    """
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    values = [_value(record, objective) for record in done]
    axes.plot([record["settings"][axis.name] for record in done], values, "o", color=_GOOD)
    placed = [record["settings"][axis.name] for record in failed if axis.name in record["settings"]]
    axes.plot(placed, [0.0] * len(placed), "x", color=_BAD, transform=axes.get_xaxis_transform(), clip_on=False)
    _scale(axes, axis, "x")
    axes.set_ylabel(_NAMES[objective])
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return png(figure)


def course(done, objective: str) -> str:
    """The objective of each trial in the order of their names, and the best so far.

    Args:
        done: records.
        objective: "val_accuracy" or "val_loss".

    Returns:
        PNG, base64.
    """
    records = sorted(done, key=lambda record: int(record["trial"]))
    names, values = [int(record["trial"]) for record in records], [_value(record, objective) for record in records]
    best = np.maximum.accumulate(values) if objective == "val_accuracy" else np.minimum.accumulate(values)
    figure = Figure(figsize=(7.5, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(names, values, "o", color=_GOOD, label="trial")
    axes.step(names, best, where="post", color="#d1622b", label="best so far")
    axes.set(xlabel="trial", ylabel=_NAMES[objective])
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return png(figure)
