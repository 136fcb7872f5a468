"""HTML report on one training run."""

from ..runs.run_directory import RunDirectory
from .agreement_section import agreement_section
from .calibration_section import calibration_section
from .classes_section import class_accuracy_section, confusion_section, mistakes_section
from .curves_section import curves_section
from .feedback_section import feedback_section
from .page import render_page
from .reconstruction_section import reconstruction_section
from .robustness_section import robustness_section
from .run_record import RunRecord
from .summary_sections import result_section, settings_section

# In the order of the page. Each is a function of a `RunRecord` that returns a `Section`, or None to be left out.
SECTIONS = (
    result_section,
    curves_section,
    feedback_section,
    agreement_section,
    class_accuracy_section,
    confusion_section,
    calibration_section,
    robustness_section,
    mistakes_section,
    reconstruction_section,
    settings_section,
)


def write_report(run: RunDirectory, summary: dict):
    """Write the HTML report on a training run.

    Args:
        run: the run's folder, with config.json, metrics.jsonl and predictions.npz.
        summary: contents of summary.json, which need not be written yet.

    Raises:
        UserError: one of the files is missing or damaged.
    """
    record = RunRecord.read(run, summary)
    run.write_text(
        RunDirectory.report_file, render_report(f"{summary.get('series', summary['recipe'])} · {run.path.name}", record)
    )


def render_report(title: str, record: RunRecord) -> str:
    """Render the report on a training run as HTML."""
    sections = [make_section(record) for make_section in SECTIONS]
    return render_page(title, [section for section in sections if section is not None])
