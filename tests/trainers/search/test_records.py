"""Records of trials: damaged files are named and moved aside; order of the leaderboard; report of a search."""

import csv
import json

import pytest
from encapnet_tf.trainers.config.flags import read_config
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.atomic_folder import AtomicFolder
from encapnet_tf.trainers.runs.run_directory import RunDirectory
from encapnet_tf.trainers.search import leaderboard, records
from encapnet_tf.trainers.search.plan import Plan
from encapnet_tf.trainers.search.space import Space

BASE = resolve("digits", {"feedback": "two", "epochs": 2})
SPACE = Space.parse("lambda,epsilon")


def write_trial(out, number, status="COMPLETED", accuracy=0.9, loss=0.1, weight=1.0, epsilon=0.1):
    place = out / f"trial_{number}"
    place.mkdir(parents=True)
    values = {"feedback_weight": weight, "epsilon": epsilon}
    score = accuracy if status == "COMPLETED" else None
    trial = {"trial_id": str(number), "hyperparameters": {"space": [], "values": values}, "metrics": {"metrics": {}},
             "score": score, "best_step": 0, "status": status, "message": None}  # fmt: skip
    record = {
        "trial": str(number),
        "status": status.lower(),
        "seed": 0,
        "epochs": 2,
        "settings": values,
        "seconds": 3.0,
    }
    if status == "COMPLETED":
        record |= {"validation_accuracy": accuracy, "validation_loss": loss, "best_epoch": 1}
    else:
        record |= {"reason": "<b>it broke</b>", "traceback": "Traceback"}
    run = RunDirectory(place)
    run.write_json("trial.json", trial)
    run.write_json(records.RECORD_FILE, record)
    run.write_json(RunDirectory.config_file, {"config": SPACE.configured(BASE, values).to_json()})
    run.write_json_lines(RunDirectory.metrics_file, [{"epoch": 1}, {"epoch": 2}])
    return place


def change(name, **values):
    return lambda place: (place / name).write_text(json.dumps({**json.loads((place / name).read_text()), **values}))


def truncate(name):
    return lambda place: (place / name).write_text((place / name).read_text()[:-20])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate("trial.json"), "trial.json cannot be read"),
        (truncate("record.json"), "record.json cannot be read"),
        (lambda place: (place / "metrics.jsonl").write_text('{"epoch": 1}\n'), "metrics.jsonl has 1 epoch of 2"),
        (lambda place: (place / "trial.json").unlink(), "trial.json is missing"),
        (lambda place: (place / "record.json").unlink(), "record.json is missing"),
        (lambda place: (place / "metrics.jsonl").write_text("{"), "metrics.jsonl cannot be read"),
        (lambda place: (place / "trial.json").write_bytes(b"\xff\xfe\x00"), "trial.json cannot be read"),
        (lambda place: (place / "trial.json").write_text("[]"), "trial.json is damaged: it is no JSON object"),
        (change("trial.json", trial_id="7"), "is of another trial"),
        (change("trial.json", score=None), "has no score"),
        (change("trial.json", hyperparameters=3), "hyperparameters must be an object, and is 3"),
        (change("record.json", validation_accuracy=float("nan")), "has no score"),
        (change("record.json", status="failed"), "says failed where KerasTuner's says completed"),
    ],
)
def test_damaged_trials_are_named_and_moved(tmp_path, damage, message):
    intact, place = write_trial(tmp_path, 0), write_trial(tmp_path, 1)
    write_trial(tmp_path, 2, "FAILED")
    write_trial(tmp_path, 3, "RUNNING")
    assert records.set_aside_damaged(tmp_path) == []
    damage(place)
    (report,) = records.set_aside_damaged(tmp_path)
    assert message in report
    assert "damaged/trial_1-1" in report
    assert intact.exists()
    assert not place.exists()
    assert (tmp_path / "damaged/trial_1-1").is_dir()
    assert records.set_aside_damaged(tmp_path) == []


def test_a_damaged_oracle_is_moved(tmp_path):
    write_trial(tmp_path, 0)
    (tmp_path / "oracle.json").write_text('{"start_order": [')
    (report,) = records.set_aside_damaged(tmp_path)
    assert "oracle.json cannot be read" in report
    assert not (tmp_path / "oracle.json").exists()


@pytest.mark.parametrize("tuner", ["random", "grid"])
@pytest.mark.parametrize("search", ["lambda,epsilon", "epsilon", "cost"])
def test_leaderboard_and_report(tmp_path, tuner, search):
    out = tmp_path / "search"
    write_trial(out, 0, accuracy=0.9, loss=0.2)
    write_trial(out, 1, accuracy=0.9, loss=0.1, weight=10.0)
    write_trial(out, 2, "FAILED", weight=0.01)
    write_trial(out, 10, accuracy=0.8, epsilon=10.0)
    plan = Plan(BASE, Space.parse(search), tuner, 12, "val_accuracy", 4)
    ranking = leaderboard.write(plan, AtomicFolder(out))
    assert [record["trial"] for record in ranking] == ["1", "0", "10", "2"], "of equals the lower loss"
    rows = list(csv.DictReader((out / "leaderboard.csv").open()))
    assert [row["rank"] for row in rows] == ["1", "2", "3", ""]
    assert rows[-1]["reason"] == "<b>it broke</b>"
    best = read_config(out / "best.json")
    assert best == SPACE.configured(BASE, {"feedback_weight": 10.0, "epsilon": 0.1})
    page = (out / "report.html").read_text()
    assert "&lt;b&gt;it broke" in page
    assert page.count("data:image/png") == (1 if search == "cost" else 2)


def test_the_loss_may_be_the_objective(tmp_path):
    write_trial(tmp_path, 0, accuracy=0.9, loss=0.2)
    write_trial(tmp_path, 1, accuracy=0.8, loss=0.1)
    assert [record["trial"] for record in records.read_records(tmp_path, "val_loss")] == ["1", "0"]


def test_without_a_completed_trial_there_is_no_best(tmp_path):
    write_trial(tmp_path / "s", 0, "FAILED")
    leaderboard.write(Plan(BASE, SPACE, "random", 12, "val_accuracy", 4), AtomicFolder(tmp_path / "s"))
    assert not (tmp_path / "s/best.json").exists()
