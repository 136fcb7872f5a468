"""Rows of the paper's tables: what each changes, that each trains, and the command that trains them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from encapnet_tf.trainers import data
from encapnet_tf.trainers.ablation import run, table
from encapnet_tf.trainers.ablation.rows import TABLES, select_rows
from encapnet_tf.trainers.commands import ablate
from encapnet_tf.trainers.config.schema import Config, settings
from encapnet_tf.trainers.fitting import network
from encapnet_tf.trainers.runs.atomic_folder import AtomicFolder
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

EVERY_ROW = [row for table in TABLES.values() for row in table]
TINY = {
    "num_capsules": 2,
    "depths": (1,),
    "capsule_dims": (2,),
    "strides": (2,),
    "train_limit": 60,
    "validation_fraction": 0.4,
    "batch_size": 16,
    "epochs": 1,
    "routing_epochs": (0,),
    "schedule": "constant",
    "iterations": 1,
    "jit_compile": "false",
}
PAPER = {
    "table3/1": "9.83",
    "table3/4": "7.41",
    "table3/7": "5.82",
    "table3/c": "4.58",
    "table3/c2": "4.55",
    "table3/d3": "5.79",
    "table3/d5": "5.01",
}


def config_of(row, **flags):
    if row.settings.get("model") == "encapnet101":  # it has a routing for each of four modules
        flags = {"depths": (1, 0, 0, 0), "capsule_dims": (2,) * 4, "strides": (2, 1, 1, 1)} | flags
    (planned,) = run.plan_runs([row], "digits", TINY | flags, seeds=1)
    return planned.config


def test_names_are_the_issues():
    names = {row.name for row in EVERY_ROW}
    assert len(names) == len(EVERY_ROW)
    assert {f"table1/{letter}" for letter in "abcdef"} <= names
    assert {f"table3/{n}" for n in (*range(1, 8), "a", "b", "c", "c2", *(f"d{n}" for n in range(1, 7)))} <= names
    assert {f"table3/{n}-resnet" for n in "abc"} <= names
    assert len([name for name in names if name.startswith("table4/")]) == 15


def test_the_papers_figures():
    errors = {row.name: row.paper for row in TABLES["table3"]}
    assert {name: errors[name] for name in PAPER} == PAPER
    for name in ("2", "3", "5", "6", "b", "d1", "d2", "d6", "a-resnet", "c-resnet"):
        assert errors[f"table3/{name}"] is None, "the text gives no figure, and none is guessed"


def test_settings_of_rows():
    by_name = {row.name.split("/")[1]: config_of(row) for row in TABLES["table3"]}
    assert (by_name["1"].routing, by_name["1"].skip, by_name["1"].feedback) == (("master",), "none", "none")
    assert [by_name[n].coefficients for n in "234"] == [("own",), ("cross",), ("both",)]
    assert [by_name[n].skip for n in "4567"] == ["none", "type1", "type2", "both"]
    assert by_name["a"] == by_name["7"]
    assert (by_name["c"].feedback, by_name["c2"].feedback, by_name["b"].divergence) == ("half", "two", "kl")
    changed = {
        name: {s.name for s in settings() if getattr(by_name[name], s.name) != getattr(by_name["c"], s.name)}
        for name in ("d1", "d2", "d3", "d4", "d5", "d6")
    }
    assert changed == {
        "d1": {"debias"},
        "d2": {"differentiate_plan"},
        "d3": {"extractor"},
        "d4": {"extractor", "cost"},
        "d5": {"generator"},
        "d6": {"cost"},
    }
    assert (by_name["c-resnet"].model, by_name["c-resnet"].depths) == ("resnet18", None)


def test_resnets_are_as_wide_as_the_recipes_capsules():
    row = next(row for row in TABLES["table3"] if row.name == "table3/a-resnet")
    (planned,) = run.plan_runs([row], "digits", {}, 1)
    assert planned.config.num_capsules == 16
    assert planned.config.depths is None


@pytest.fixture(scope="module")
def images():
    return data.load(Config()).train


# Settings of data and length, which leave the network and its loss as they are, and the weight of the units' terms.
NOT_OF_THE_STEP = ("recipe", "dataset", "augment", "image_size", "train_limit", "seed", "epochs", "milestones",
                   "feedback_weight")  # fmt: skip


def rows_by_step():
    """Rows grouped by the training step that their configurations make: settings of the step -> rows."""
    groups = {}
    for row in EVERY_ROW:
        config = dict(config_of(row).__dict__)
        key = tuple((name, value) for name, value in config.items() if name not in NOT_OF_THE_STEP)
        groups.setdefault(key, []).append(row)
    return groups


IN_THE_DEFAULT_SUITE = ("table1/a", "table1/e", "table3/a", "table3/c", "table3/d3")


def parameters_by_step():
    """One parameter a training step; the default suite makes some, continuous integration all."""
    return [
        pytest.param(
            rows,
            id="+".join(row.name for row in rows[:2]),
            marks=[] if any(row.name in IN_THE_DEFAULT_SUITE for row in rows) else [pytest.mark.ci],
        )
        for rows in rows_by_step().values()
    ]


@pytest.mark.parametrize("rows", parameters_by_step())
def test_every_row_makes_a_training_step(rows, images):
    """The feedback units of a row add their terms to the loss, and the weights change."""
    config = config_of(rows[0])
    factor = 3 if config.model in ("sabourcapsnet", "efficientcapsnet", "invertedattentioncapsnet") else 1
    pixels = images.images[:8].repeat(factor, axis=1).repeat(factor, axis=2)  # their kernels are larger than 8 pixels
    model = network.build(config, pixels.shape[1:], 10)
    network.compile_model(model, config, steps_per_epoch=1)
    model.run_eagerly = True
    before = model.get_layer("stem").kernel.numpy()
    loss = model.train_on_batch(pixels.astype("float32"), images.labels[:8])[0]
    assert np.isfinite(loss)
    assert np.abs(model.get_layer("stem").kernel.numpy() - before).max() > 0
    assert bool(model.losses) == (config.feedback != "none")


def test_rows_differ_by_the_weight_of_the_units():
    weights = {row.name: config_of(row).feedback_weight for row in TABLES["labels"]}
    assert {weights[f"labels/encapnet-1k-{unit}"] for unit in ("none", "two")} == {10.0}
    assert weights["labels/resnet18-5k-two-0.1"] == 0.1


def arguments(out, **overrides):
    """Return parsed flags of the command, with some overridden."""
    flags = {setting.name: None for setting in settings()} | TINY | {"augment": ("none",)}
    rest = {"table": "table3", "recipe": "digits", "rows": None, "seeds": 1, "out": str(out), "results": None}
    return SimpleNamespace(**(flags | rest | overrides))


def lines(out):
    return {entry["row"]: entry for entry in json.loads((out / "table.json").read_text())}


@pytest.mark.ci
def test_a_table_is_run_and_resumed(tmp_path, capsys, monkeypatch):
    """Two rows of one configuration are one run; the second time nothing is run."""
    ablate.main(arguments(tmp_path / "out", rows="7,a", depths=(0,), results=str(tmp_path / "results.md")))
    entries = lines(tmp_path / "out")
    assert len(entries) == len(TABLES["table3"])
    assert len(entries["table3/7"]["errors"]) == 1
    assert entries["table3/7"]["errors"] == entries["table3/a"]["errors"]
    assert 0 <= entries["table3/7"]["mean_error"] <= 100
    assert entries["table3/7"]["spread"] is None
    assert entries["table3/7"]["seconds_per_step"] is None, "the first epoch compiles"
    markdown = (tmp_path / "results.md").read_text()
    assert markdown == (tmp_path / "out" / "table.md").read_text()
    assert "| table3/c | one OT a module | not run | 0 | 4.58 |" in markdown
    assert "| table3/d1 | c without debiasing | not run | 0 | not in the text |" in markdown
    assert (tmp_path / "out" / "table.csv").read_text().count("\n") == len(entries) + 1
    assert not (tmp_path / "out" / "a" / "seed0" / RunDirectory.summary_file).exists(), "one run stands for both"

    import encapnet_tf.trainers.fitting.train as train

    monkeypatch.setattr(train, "train", lambda *_: pytest.fail("it was run before"))
    capsys.readouterr()
    ablate.main(arguments(tmp_path / "out", rows="7,a", depths=(0,)))
    assert lines(tmp_path / "out") == entries
    with pytest.raises(UserError, match="other settings: epochs=1 there, 2 now"):
        ablate.main(arguments(tmp_path / "out", rows="7", depths=(0,), epochs=2))


def fake_train(outcomes):
    """Return a stand-in for `train` that writes a run with an accuracy, or raises."""

    def train(config, place):
        outcome = outcomes[config.coefficients[0], config.seed]
        run = RunDirectory.create("digits", place)
        run.write_json(RunDirectory.config_file, {"config": config.to_json()})
        if isinstance(outcome, BaseException):
            raise outcome
        run.write_json_lines(RunDirectory.metrics_file, [{"seconds": 9.0}, {"seconds": 2.0}, {"seconds": 2.0}])
        run.write_json(
            RunDirectory.summary_file,
            {"recipe": "digits", "epochs": 3, "parameters": 1234, "test_accuracy": outcome, "train_images": 64},
        )

    return train


def test_differences_from_the_row_without_units(tmp_path):
    """Seed by seed, for the seeds that both rows have."""
    accuracies = {"digits-none": [0.90, 0.80, 0.85], "digits-paper-10": [0.88, 0.81], "digits-paired": [0.9]}
    for name, values in accuracies.items():
        for seed, accuracy in enumerate(values):
            fake_train({("both", seed): accuracy})(
                Config(coefficients=("both",), seed=seed), tmp_path / name / f"seed{seed}"
            )
    text = table.write(TABLES["feedback"], tmp_path).read_text()
    entries = lines(tmp_path)
    assert entries["feedback/digits-paper-10"]["difference"] == pytest.approx(0.5)  # of +2 and -1 points
    assert entries["feedback/digits-paper-10"]["standard_error"] == pytest.approx(1.5)
    assert entries["feedback/digits-none"]["difference"] is None
    assert "| 15.50 ± 4.95 | +0.50 ± 1.50 | 2 |" in text
    assert "| 10.00 | +0.00 | 1 |" in text
    assert "Difference: from the row without units" in text


def test_spread_failures_and_exit_status(tmp_path, capsys, monkeypatch):
    import encapnet_tf.trainers.fitting.train as train

    outcomes = {
        ("own", 0): 0.9,
        ("own", 1): 0.8,
        ("cross", 0): UserError("The loss became nan at step 3."),
        ("cross", 1): 0.7,
        ("both", 0): MemoryError(),
        ("both", 1): KeyboardInterrupt(),
    }
    monkeypatch.setattr(train, "train", fake_train(outcomes))
    monkeypatch.setattr("keras.backend.clear_session", lambda: None)  # no network is built
    with pytest.raises(KeyboardInterrupt):
        ablate.main(arguments(tmp_path, rows="2,3,4", seeds=2))
    outcomes["both", 1] = 0.6
    with pytest.raises(UserError, match="2 of 6 runs failed") as error:
        ablate.main(arguments(tmp_path, rows="2,3,4", seeds=2))
    assert error.value.status == 1
    assert "failed before; remove it to run it again" in capsys.readouterr().out
    entries = lines(tmp_path)
    assert entries["table3/2"]["mean_error"] == pytest.approx(15)
    assert entries["table3/2"]["spread"] == pytest.approx(7.0711, abs=1e-3)
    assert entries["table3/2"]["seconds_per_step"] == pytest.approx(0.5)
    assert entries["table3/3"]["failed"] == ["The loss became nan at step 3."]
    assert entries["table3/3"]["errors"] == [pytest.approx(30)]
    assert entries["table3/4"]["failed"] == ["MemoryError"]
    markdown = (tmp_path / "table.md").read_text()
    assert "15.00 ± 7.07" in markdown
    assert "30.00 (1 failed: The loss became nan at step 3.)" in markdown
    assert (tmp_path / "4" / "seed1-unfinished1").is_dir(), "what was cut off is kept aside"


def test_a_row_that_makes_no_network_is_recorded(tmp_path):
    with pytest.raises(UserError, match="1 of 1 run failed"):
        ablate.main(arguments(tmp_path, table="table1", rows="e", feedback="same"))
    assert "module1 has one layer only" in lines(tmp_path)["table1/e"]["failed"][0]


@pytest.mark.parametrize(("flags", "em"), [({}, "spread"), ({"compose": "overlap"}, "margin")])
def test_every_row_of_the_family_runs_on_composed_images(flags, em):
    losses = {planned.row.name: planned.config.loss for planned in run.plan_runs(TABLES["family"], None, flags, 1)}
    assert losses["family/capnet-em"] == em
    assert losses["family/plain-cnn"] == "crossentropy"
    assert losses["family/encapnet"] == "margin"


def test_rows_of_table_4_are_recipes_with_the_augmentation_that_they_name():
    """A figure of the paper is compared with its own augmentation, image size and network."""
    for planned in run.plan_runs(TABLES["table4"], None, {}, 1):
        row, config = planned.row, planned.config
        name = row.name.removeprefix("table4/")
        assert config.recipe == row.recipe == name.split("_plus")[0].split("_v")[0]
        if name != "imagenet":
            assert config.augment == (("++" if "plusplus" in name else "+" if "plus" in name else "none"),)
        assert config.model == ("encapnet101" if "_v" in name else "encapnet18")
        assert config.image_size == {"h": 224 if "_v3" in name else 128, "i": 224}.get(name[0])
        assert (config.feedback, config.epochs, config.l2) == ("two", 600, 5e-4)


def test_wrong_settings_are_refused_before_anything_runs(tmp_path):
    with pytest.raises(UserError, match="--cost=l2: expected one of"):
        ablate.main(arguments(tmp_path / "out", cost="l2"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_another_process_writes_is_refused(tmp_path, monkeypatch):
    import encapnet_tf.trainers.fitting.train as train

    monkeypatch.setattr(train, "train", lambda *_: pytest.fail("the other process runs it"))
    with AtomicFolder(tmp_path).locked(), pytest.raises(UserError, match="is being written by process"):
        ablate.main(arguments(tmp_path, rows="7"))
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write in .*file: Not a directory"):
        ablate.main(arguments(tmp_path / "file", rows="7"))


def test_rows_without_numbers_are_counted():
    names = [row.name for row in TABLES["table4"]]
    assert [row.name for row in select_rows("table4", ["15", "table4/2"])] == [names[1], names[14]]
    assert [row.name for row in select_rows("table3", ["2"])] == ["table3/2"]
    for wrong in ("0", "16"):
        with pytest.raises(UserError, match=f"no row is called table4/{wrong}"):
            select_rows("table4", [wrong])


def test_choosing_rows():
    assert [row.name for row in select_rows("table3", ["c*", "table3/1"])] == [
        "table3/1",
        "table3/c",
        "table3/c2",
        "table3/c-resnet",
    ]
    with pytest.raises(UserError, match=r"no row is called table1/z. table1 has table1/a, table1/b"):
        select_rows("table1", ["a", "z"])
