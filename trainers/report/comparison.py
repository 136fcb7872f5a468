"""Sections of an HTML page that compares several training runs: a table of results and loss curves."""

from matplotlib.figure import Figure

from .figures import epoch_marker, png, show_literally, style_epoch_axes
from .page import Picture, Section
from .run_record import RunRecord

_DIFFERENT_DATA = (
    "The runs have different data: accuracies and losses can be compared only between runs on the same data."
)


def comparison_sections(records: dict[str, RunRecord]) -> list[Section]:
    """Return the HTML page sections that compare several training runs: a table of results and loss curves.

    Args:
        records: name of a run -> its record.
    """
    return [_results_section(records), _losses_section(records)]


def _results_section(records: dict[str, RunRecord]) -> Section:
    """Return an HTML page section with a table of results, one row for each training run."""
    header = ("run", "data", "test accuracy", "validation accuracy", "parameters", "training")
    rows = [
        (
            name,
            record.data_name,
            f"{record.summary['test_accuracy']:.2%}",
            f"{record.summary['validation_accuracy']:.2%}",
            f"{record.summary['parameters']:,}",
            f"{record.summary['train_seconds']:.0f} s",
        )
        for name, record in records.items()
    ]
    return Section("Results", texts=[_DIFFERENT_DATA] if _have_different_data(records) else [], table=[header, *rows])


def _have_different_data(records: dict[str, RunRecord]) -> bool:
    """Return whether training runs differ in the data set or in the class names."""
    return len({(record.data_name, tuple(record.class_names)) for record in records.values()}) > 1


def _losses_section(records: dict[str, RunRecord]) -> Section:
    """Return an HTML page section with curves of the classification loss of several training runs."""
    with_data = _have_different_data(records)
    metrics = {
        _describe_run(name, record, with_data): record.metrics
        for name, record in records.items()
        if all("class_loss" in row for row in record.metrics)
    }
    texts = ["The loss of the classes alone, without the feedback units' terms (Figure 4 of the paper)."]
    if with_data:
        texts.append(_DIFFERENT_DATA)
    if missing := len(records) - len(metrics):
        texts.append(f"{missing} of the runs logged no class loss and are left out.")
    pictures = [Picture(_draw_losses(metrics), "Class losses")] if metrics else []
    return Section("Class loss", texts=texts, pictures=pictures)


def _describe_run(name: str, record: RunRecord, with_data: bool) -> str:
    """Return the plot legend entry of a training run: name, network, capsule routing and regulariser.

    Runs usually differ in these settings. The data is added if the runs differ in it.
    """
    config = record.config["config"]
    values = [config[key] for key in ("model", "routing", "feedback") if config.get(key) not in (None, "none")]
    words = ["+".join(value) if isinstance(value, list) else value for value in values]
    data = f" on {record.data_name}" if with_data else ""
    return f"{name}: {' '.join(words)}{data}"


def _draw_losses(metrics: dict[str, list[dict]]) -> str:
    """Draw curves of the training and validation classification loss of several training runs.

    Args:
        metrics: name of a run -> rows of its metrics.jsonl.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    plots = figure.subplots(1, 2, sharey=True)
    for axes, key, title in zip(plots, ("class_loss", "val_class_loss"), ("training", "validation"), strict=True):
        lines = []
        for rows in metrics.values():
            epochs = [row["epoch"] for row in rows]
            lines += axes.plot(epochs, [row[key] for row in rows], marker=epoch_marker(epochs))
        axes.set(ylabel="class loss", title=title, yscale="log")
        axes.yaxis.set_major_formatter(_format_tick)
        axes.yaxis.set_minor_formatter(_format_tick)
        style_epoch_axes(axes)
    # The space keeps a name that begins with "_" in the legend, which matplotlib would leave out.
    names = [f" {name}" for name in metrics]
    show_literally(figure.legend(lines, names, loc="outside lower center", ncols=2, frameon=False, fontsize=8))
    return png(figure)


def _format_tick(value: float, position) -> str:
    """Return the label of a tick on a logarithmic axis, or an empty string for a tick without a label.

    Only values that are 1, 2 or 5 times a power of 10 have a label.
    """
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""
