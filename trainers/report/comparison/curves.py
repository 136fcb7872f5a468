"""HTML page sections that plot the accuracy and the classification loss of several training runs."""

from collections.abc import Sequence

from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from ...runs.counting import counted
from ..figures import epoch_marker, png, show_literally, style_epoch_axes
from ..page import Picture, Section
from .compared_run import ComparedRun

# More runs than colours repeat the colours with another line.
_LINES = cycler(linestyle=("-", "--", ":", "-.")) * cycler(color=list(TABLEAU_COLORS))


def accuracy_section(runs: Sequence[ComparedRun], remarks: list[str]) -> Section:
    """Return an HTML page section with curves of the accuracy of several training runs.

    Args:
        runs: the runs.
        remarks: sentences for the end of the text.
    """
    text = "Accuracy on the training images, as augmentation changes them, and on the validation images."
    return _section(runs, "accuracy", "Accuracy", [text], remarks)


def loss_section(runs: Sequence[ComparedRun], remarks: list[str]) -> Section:
    """Return an HTML page section with curves of the classification loss of several training runs.

    Args:
        runs: the runs.
        remarks: sentences for the end of the text.
    """
    text = "The loss of the classes alone, without the feedback units' terms (Figure 4 of the paper)."
    return _section(runs, "class_loss", "Class loss", [text], remarks)


def _section(runs, key, title, texts, remarks) -> Section:
    is_drawn = [_has_log(run, key) for run in runs]
    drawn = [run for run, has_log in zip(runs, is_drawn, strict=True) if has_log]
    texts = [*texts, *remarks]
    if missing := [run.name for run, has_log in zip(runs, is_drawn, strict=True) if not has_log]:
        texts.append(f"{counted(len(missing), 'run')} without a log of it left out: {', '.join(missing)}.")
    pictures = [Picture(_draw_curves(drawn, key), f"{title} against the epoch")] if drawn else []
    return Section(title, texts=texts, pictures=pictures)


def _has_log(run: ComparedRun, key: str) -> bool:
    """Return whether a run's log has the training and validation values of a metric for every epoch."""
    keys = {"epoch", key, f"val_{key}"}
    return bool(run.metrics) and all(keys <= set(row) for row in run.metrics)


def _draw_curves(runs: Sequence[ComparedRun], key: str) -> str:
    """Plot a metric's training and validation values against the epoch, for several training runs.

    Training images are on the left, validation images on the right.

    Args:
        runs: the runs.
        key: "accuracy" or "class_loss", which has a logarithmic axis.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    plots = figure.subplots(1, 2, sharey=True)
    for axes, name, title in zip(plots, (key, f"val_{key}"), ("training", "validation"), strict=True):
        axes.set_prop_cycle(_LINES)
        lines = []
        for run in runs:
            epochs = [row["epoch"] for row in run.metrics]
            lines += axes.plot(epochs, [row[name] for row in run.metrics], marker=epoch_marker(epochs), markersize=4)
        axes.set(ylabel=key.replace("_", " "), title=title)
        if key == "class_loss":
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(_format_tick)
            axes.yaxis.set_minor_formatter(_format_tick)
        style_epoch_axes(axes)
    # The space keeps a name that begins with "_" in the legend, which matplotlib would leave out.
    with_data = len({run.data for run in runs}) > 1
    names = [f" {_describe_run(run, with_data)}" for run in runs]
    show_literally(figure.legend(lines, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8))
    return png(figure)


def _describe_run(run: ComparedRun, with_data: bool) -> str:
    """Return the plot legend entry of a training run: name, network, capsule routing and regulariser.

    Runs usually differ in these settings. The data is added if the runs differ in it.
    """
    values = [run.settings[key] for key in ("model", "routing", "feedback") if run.settings.get(key) not in _UNNAMED]
    words = ["+".join(value) if isinstance(value, list) else str(value) for value in values]
    data = f" on {run.data_name}" if with_data else ""
    return f"{run.name}: {' '.join(words)}{data}"


_UNNAMED = (None, "none")  # values of settings that a legend does not name


def _format_tick(value: float, position) -> str:
    """Return the label of a tick on a logarithmic axis, empty unless the tick is 1, 2 or 5 times a power of 10."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""
