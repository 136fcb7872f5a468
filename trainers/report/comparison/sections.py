"""Function that assembles the sections of an HTML page that compares training runs."""

from collections.abc import Sequence

from ...config.differences import differing_settings, setting_text
from ..page import Section
from .class_errors import class_errors_section
from .compared_run import ComparedRun
from .curves import accuracy_section, loss_section

_DIFFERENT_DATA = (
    "The runs have different data: accuracies and losses can be compared only between runs on the same data."
)


def comparison_sections(runs: Sequence[ComparedRun]) -> list[Section]:
    """Return the HTML page sections that compare the settings and results of several training runs.

    Args:
        runs: the runs, in the order of the page.
    """
    has_different_data = len({run.data for run in runs}) > 1
    remarks = [_DIFFERENT_DATA] if has_different_data else []
    return [
        _results_section(runs, remarks),
        _settings_section(runs),
        accuracy_section(runs, remarks),
        loss_section(runs, remarks),
        class_errors_section(runs),
    ]


def _results_section(runs: Sequence[ComparedRun], remarks: list[str]) -> Section:
    """Return an HTML page section with a table of results, one row for each training run."""
    header = ("run", "data", "test accuracy", "validation accuracy", "parameters", "training")
    rows = [
        (
            run.name,
            run.data_name,
            f"{run.summary['test_accuracy']:.2%}",
            f"{run.summary['validation_accuracy']:.2%}",
            f"{run.summary['parameters']:,}",
            f"{run.summary['train_seconds']:.0f} s",
        )
        for run in runs
    ]
    problems = [problem for run in runs for problem in run.problems]
    return Section("Results", texts=[*remarks, *problems], table=[header, *rows])


def _settings_section(runs: Sequence[ComparedRun]) -> Section:
    """Return an HTML page section with a table of the settings in which training runs differ.

    Each run has a column.
    """
    title = "Different settings"
    settings = differing_settings([run.settings for run in runs])
    if not settings:
        return Section(title, texts=["There are none: the runs have the same settings."])
    header = ("setting", *(run.name for run in runs))
    rows = [(name, *map(setting_text, values)) for name, values in settings.items()]
    texts = ["Settings that are not listed are the same in all runs. default: left to the network or to the data."]
    return Section(title, texts=texts, table=[header, *rows])
