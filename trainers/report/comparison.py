"""Several runs on one page: their results beside each other and their class losses in one picture (Fig. 4)."""

from . import figures
from .sections import Picture, Section


def sections(records) -> list:
    """The page's sections.

    Args:
        records: name -> `RunRecord`.
    """
    return [results(records), losses(records)]


def results(records) -> Section:
    header = ("run", "test accuracy", "validation accuracy", "parameters", "training")
    rows = [
        (
            name,
            f"{record.summary['test_accuracy']:.2%}",
            f"{record.summary['validation_accuracy']:.2%}",
            f"{record.summary['parameters']:,}",
            f"{record.summary['train_seconds']:.0f} s",
        )
        for name, record in records.items()
    ]
    return Section("Results", table=[header, *rows])


def losses(records) -> Section:
    known = {
        _described(name, record): record.metrics
        for name, record in records.items()
        if all("class_loss" in row for row in record.metrics)
    }
    texts = ["The loss of the classes alone, without the feedback units' terms (Figure 4 of the paper)."]
    if left := len(records) - len(known):
        texts.append(f"{left} of the runs logged no class loss and are left out.")
    if not known:
        return Section("Class loss", texts=texts)
    return Section("Class loss", texts=texts, pictures=[Picture(figures.class_losses(known), "Class losses")])


def _described(name, record) -> str:
    """The run's name and, of the settings in which runs usually differ, those it has."""
    config = record.config["config"]
    values = [config[key] for key in ("model", "routing", "feedback") if config.get(key) not in (None, "none")]
    words = ["+".join(value) if isinstance(value, list) else value for value in values]
    return f"{name}: {' '.join(words)}"
