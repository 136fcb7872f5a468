"""Sections of the HTML report on a hyper-parameter search, such as leaderboard, plots and failures."""

from ..report.page import Picture, Section
from . import figures
from .plan import Plan
from .records import describe_settings, ranking_warning, with_status

_MAX_ROWS = 50
_OBJECTIVES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}


def search_sections(plan: Plan, records: list[dict], retrained: list[dict]) -> list[Section]:
    """Return the sections of the HTML report on a hyper-parameter search.

    Args:
        plan: the search's plan.
        records: the records of its trials, the best first.
        retrained: summaries of the best configuration's runs on several seeds.
    """
    completed, failed = with_status(records, "completed"), with_status(records, "failed")
    sections = [
        _result(plan, completed, failed, unfinished=len(records) - len(completed) - len(failed)),
        _objective_over_settings(plan, completed, failed),
        _progress(plan, completed),
        _leaderboard(plan, completed),
        _failures(failed),
        _seeds(retrained),
        _settings(plan),
    ]
    return [section for section in sections if section is not None]


def _result(plan, completed, failed, unfinished) -> Section:
    counts = f"{len(completed)} completed, {len(failed)} failed" + (f", {unfinished} not ended" if unfinished else "")
    rows = [
        ("Trials", counts),
        ("Tuner", plan.tuner),
        ("Objective", f"{_OBJECTIVES[plan.objective]}; test images were not looked at"),
    ]
    if completed:
        best = completed[0]
        rows += [
            ("Best trial", f"{best['trial']}: {describe_settings(best['settings'])}"),
            ("Its validation accuracy", f"{best['validation_accuracy']:.2%} at epoch {best['best_epoch']}"),
            ("Its validation loss", f"{best['validation_loss']:.4f}"),
            ("Time of all trials", f"{sum(record['seconds'] for record in completed + failed):.0f} s"),
        ]
    warning = ranking_warning(completed)
    return Section("Result", texts=[warning] if warning else [], table=rows)


def _objective_over_settings(plan, completed, failed) -> Section | None:
    """Return the HTML report section that plots the objective of search trials against one or two hyper-parameters.

    These are the first numeric ones of the search.
    """
    numeric = [axis for axis in plan.space.axes if axis.values is None or _all_numbers(axis.values)]
    if not completed or not numeric:
        return None
    if len(numeric) == 1:
        (axis,) = numeric
        png = figures.objective_over_setting(axis, completed, failed, plan.objective)
        alt = f"Objective against {axis.name}"
        text = f"Each point is a trial. Red crosses at the bottom: {axis.name} of trials that failed."
    else:
        x, y = numeric[:2]
        alt = f"Objective over {x.name} and {y.name}"
        if plan.tuner == "grid":
            png = figures.heat_map(
                x, y, completed=completed, failed=failed, objective=plan.objective, points=plan.grid_points
            )
            text = "Each cell is the mean of the trials with these two settings."
        else:
            png = figures.scatter(x, y, completed=completed, failed=failed, objective=plan.objective)
            text = "Each point is a trial."
        text += " A ring marks the best trial, a cross one that failed."
        if len(plan.space.axes) > 2:
            text += " Other settings differ between trials, too."
    return Section("Where it was good", texts=[text], pictures=[Picture(png, alt)])


def _all_numbers(values) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _progress(plan, completed) -> Section | None:
    if len(completed) < 2:
        return None
    png = figures.objective_over_trials(completed, plan.objective)
    return Section("Course of the search", pictures=[Picture(png, "Objective of each trial and the best so far")])


def _leaderboard(plan, completed) -> Section | None:
    if not completed:
        return None
    header = ("rank", "trial", "validation accuracy", "validation loss", "epoch", *plan.space.names, "time")
    rows = [
        (
            str(rank),
            record["trial"],
            f"{record['validation_accuracy']:.2%}",
            f"{record['validation_loss']:.4f}",
            f"{record['best_epoch']} of {record['epochs']}",
            *(str(record["settings"].get(name, "")) for name in plan.space.names),
            f"{record['seconds']:.0f} s",
        )
        for rank, record in enumerate(completed[:_MAX_ROWS], start=1)
    ]
    texts = []
    if len(completed) > _MAX_ROWS:
        texts = [f"The best {_MAX_ROWS} of {len(completed)}; leaderboard.csv has all."]
    return Section("Leaderboard", texts=texts, table=[header, *rows])


def _failures(failed) -> Section | None:
    if not failed:
        return None
    rows = [(record["trial"], describe_settings(record["settings"]), record["reason"]) for record in failed]
    texts = ["Their tracebacks are in the record.json of their folders."]
    return Section("Failed trials", texts=texts, table=[("trial", "settings", "reason"), *rows])


def _seeds(retrained) -> Section | None:
    if not retrained:
        return None
    header = ("seed", "test accuracy", "validation accuracy", "epochs")
    rows = [
        (str(run["seed"]), f"{run['test_accuracy']:.2%}", f"{run['validation_accuracy']:.2%}", str(run["epochs"]))
        for run in retrained
    ]
    return Section("The best configuration on several seeds", table=[header, *rows])


def _settings(plan) -> Section:
    """Return the HTML report section that lists the settings of a hyper-parameter search.

    It lists the searched ranges and all fixed settings.
    """
    ranges = {axis.name: _describe_range(axis) for axis in plan.space.axes}
    fixed = {name: value for name, value in plan.config.to_json().items() if name not in ranges and value is not None}
    rows = [(f"{name} (searched)", text) for name, text in ranges.items()]
    rows += [(name, ", ".join(map(str, v)) if isinstance(v, list) else str(v)) for name, v in fixed.items()]
    return Section("Settings", table=rows)


def _describe_range(axis) -> str:
    if axis.values is not None:
        return ", ".join(map(str, axis.values))
    return f"{axis.low:g} to {axis.high:g}" + (", logarithmic" if axis.logarithmic else "")
