"""Images of the user's own through each verb: settings are chosen once, and given ones are kept."""

from pathlib import Path

import pytest
from encapnet_tf.trainers.ablation import run
from encapnet_tf.trainers.commands import cli, tune
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.data.sources.folder import list_folder
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.search.plan import Plan

from tests.trainers.data.image_files import write_folder, write_image

OWN = ("--dataset=folder", "--data_dir=photos")
# 20 images for training, in batches of 4.
CHOSEN = {"recipe": "images", "image_size": 32, "batch_size": 4, "learning_rate": 0.002, "flip": "no"}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The folder `photos`, images of three classes in two sizes, in the current folder."""
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", per_class=10, size=(40, 36))
    for name in ("red", "green", "blue"):
        write_image(tmp_path / "photos" / name / "other.png", (0, 0, 0), (50, 60))


def of(config: Config, names=CHOSEN):
    return {name: getattr(config, name) for name in names}


def parse(*words):
    return cli._parse(["encapnet", *words])


def test_train(photos, monkeypatch, capsys):
    received = []
    monkeypatch.setattr(
        "encapnet_tf.trainers.fitting.train.train", lambda config, run_dir, **options: received.append(config)
    )
    for flags in ((), ("--epochs=7", "--batch_size=8", "--augment=+,mixup"), ("--recipe=digits",)):
        args = parse("train", *OWN, *flags)
        args.main(args)
    plain, given, digits = received
    assert of(plain) == CHOSEN
    assert plain.epochs == 120
    assert (given.epochs, given.batch_size, given.image_size) == (7, 8, 32)
    assert (digits.recipe, digits.image_size, digits.batch_size) == ("digits", None, 64)
    output = capsys.readouterr().out
    assert output.count("recipe images, for") == 2
    assert output.count("crops cut off objects near an edge") == 1, "given settings are not explained"
    check = "encapnet data check --dataset=folder --data_dir=photos"
    assert check + "\n" in output
    assert check + " --augment=+,mixup\n" in output


def test_the_home_folder(photos, tmp_path, monkeypatch):
    """Shells leave `~` as it is after `--data_dir=`, and a file of settings is read by no shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    args = parse("train", "--dataset=folder", "--data_dir=~/photos", "--run_dir=~/run", "--augment=+,mixup")
    assert (args.data_dir, args.run_dir) == (str(tmp_path / "photos"), str(tmp_path / "run"))
    (tmp_path / "names.txt").write_text("red")
    args = parse("predict", "--labels=~/names.txt", "a~b")
    assert (args.labels, args.paths) == (str(tmp_path / "names.txt"), ["a~b"])
    config = Config(dataset="folder", data_dir="~/photos")
    assert list_folder(config).class_names == ("blue", "green", "red")


def test_a_recipe_by_hand_needs_a_folder(photos):
    args = parse("train", "--recipe=images")
    with pytest.raises(UserError, match="needs --data_dir=FOLDER"):
        args.main(args)


def test_tune(photos):
    """Trials have an eighth of the chosen epochs, and the best is trained again for all of them."""
    plan = tune.plan_from_flags(parse("tune", *OWN))
    assert of(plan.config) == CHOSEN
    assert (plan.config.epochs, plan.full_epochs) == (15, 120)
    assert Plan.read(plan.create_folder(Path("search"))) == plan
    assert tune.plan_from_flags(parse("tune", *OWN, "--epochs=5")).config.epochs == 5


def test_ablate(photos, monkeypatch):
    """The rows of a table differ in their own settings only, and lie in a folder named after the data."""
    received = []
    monkeypatch.setattr(run, "run_all", lambda runs, out, after: received.append((runs, out)) or 0)
    args = parse("ablate", "--table=table1", "--rows=a,c", "--epochs=2", *OWN)
    args.main(args)
    ((runs, out),) = received
    assert out.as_posix() == "ablations/table1-photos"
    assert [planned.config.model for planned in runs] == ["capnet", "plaincnn"]
    for planned in runs:
        assert of(planned.config) == CHOSEN
        assert planned.config.epochs == 2
