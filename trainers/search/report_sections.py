"""A search on one page: what was searched, where it was good, the leaderboard, what failed."""

from ..report.page import Picture, Section
from . import figures

_MOST_ROWS = 50
OBJECTIVES = {"val_accuracy": "validation accuracy", "val_loss": "validation loss"}


def of(plan, records, retrained) -> list[Section]:
    """The page's sections.

    Args:
        plan: the search's `Plan`.
        records: its trials' records, the best first.
        retrained: summaries of the best configuration's runs on several seeds.
    """
    done = [record for record in records if record["status"] == "completed"]
    failed = [record for record in records if record["status"] == "failed"]
    made = (result(plan, records, done, failed), picture(plan, done, failed), course(plan, done), table(plan, done),
            failures(failed), seeds(retrained), settings(plan))  # fmt: skip
    return [section for section in made if section is not None]


def result(plan, records, done, failed) -> Section:
    rows = [
        ("Trials", f"{len(done)} completed, {len(failed)} failed" + _left(len(records) - len(done) - len(failed))),
        ("Tuner", plan.tuner),
        ("Objective", f"{OBJECTIVES[plan.objective]}; test images were not looked at"),
    ]
    if done:
        best = done[0]
        rows += [
            ("Best trial", f"{best['trial']}: {described(best['settings'])}"),
            ("Its validation accuracy", f"{best['validation_accuracy']:.2%} at epoch {best['best_epoch']}"),
            ("Its validation loss", f"{best['validation_loss']:.4f}"),
            ("Time of all trials", f"{sum(record['seconds'] for record in done + failed):.0f} s"),
        ]
    return Section("Result", table=rows)


def _left(count) -> str:
    return f", {count} not ended" if count else ""


def picture(plan, done, failed) -> Section | None:
    numeric = [axis for axis in plan.space.axes if axis.values is None or _numbers(axis.values)]
    if not done or not numeric:
        return None
    if len(numeric) == 1:
        (axis,) = numeric
        drawn = figures.against(axis, done, failed, plan.objective)
        text = f"Each point is a trial. Red crosses at the bottom: {axis.name} of trials that failed."
        return Section("Where it was good", texts=[text], pictures=[Picture(drawn, f"Objective against {axis.name}")])
    x, y = numeric[:2]
    if plan.tuner == "grid":
        drawn = figures.heat_map(x, y, done, failed, plan)
        text = "Each cell is the mean of the trials with these two settings."
    else:
        drawn = figures.scatter(x, y, done, failed, plan.objective)
        text = "Each point is a trial."
    text += " A ring marks the best trial, a cross one that failed."
    if len(plan.space.axes) > 2:
        text += " Other settings differ between trials, too."
    return Section(
        "Where it was good", texts=[text], pictures=[Picture(drawn, f"Objective over {x.name} and {y.name}")]
    )


def _numbers(values):
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def course(plan, done) -> Section | None:
    if len(done) < 2:
        return None
    drawn = figures.course(done, plan.objective)
    return Section("Course of the search", pictures=[Picture(drawn, "Objective of each trial and the best so far")])


def table(plan, done) -> Section | None:
    if not done:
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
        for rank, record in enumerate(done[:_MOST_ROWS], start=1)
    ]
    texts = [f"The best {_MOST_ROWS} of {len(done)}; leaderboard.csv has all."] if len(done) > _MOST_ROWS else []
    return Section("Leaderboard", texts=texts, table=[header, *rows])


def failures(failed) -> Section | None:
    if not failed:
        return None
    rows = [(record["trial"], described(record["settings"]), record["reason"]) for record in failed]
    texts = ["Their tracebacks are in the record.json of their folders."]
    return Section("Failed trials", texts=texts, table=[("trial", "settings", "reason"), *rows])


def seeds(retrained) -> Section | None:
    if not retrained:
        return None
    header = ("seed", "test accuracy", "validation accuracy", "epochs")
    rows = [
        (str(run["seed"]), f"{run['test_accuracy']:.2%}", f"{run['validation_accuracy']:.2%}", str(run["epochs"]))
        for run in retrained
    ]
    return Section("The best configuration on several seeds", table=[header, *rows])


def settings(plan) -> Section:
    searched = {axis.name: _range(axis) for axis in plan.space.axes}
    kept = {name: value for name, value in plan.config.to_json().items() if name not in searched and value is not None}
    rows = [(f"{name} (searched)", value) for name, value in searched.items()]
    rows += [(name, ", ".join(map(str, v)) if isinstance(v, list) else str(v)) for name, v in kept.items()]
    return Section("Settings", table=rows)


def _range(axis) -> str:
    if axis.values is not None:
        return ", ".join(map(str, axis.values))
    return f"{axis.low:g} to {axis.high:g}" + (", logarithmic" if axis.logarithmic else "")


def described(settings: dict) -> str:
    """Settings in a line."""
    return ", ".join(f"{name} {value}" for name, value in settings.items())
