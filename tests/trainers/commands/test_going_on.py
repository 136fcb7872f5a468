"""`encapnet train` from weights and runs that exist, and its dry run, as a user types them."""

import json
import re

import numpy as np
import pytest

from tests.trainers.data.image_files import write_folder


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def digits_npz(tmp_path):
    """A file with three classes of the digits, called otherwise, in the current folder."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    keep = digits.target < 3
    images, labels = (digits.images[keep] * 15).astype("uint8"), digits.target[keep]
    np.savez(
        tmp_path / "three.npz",
        x_train=images[:400], y_train=labels[:400], x_test=images[400:], y_test=labels[400:],
        class_names=["zero", "one", "two"],
    )  # fmt: skip
    return ("--dataset=npz", "--data_dir=three.npz")


def test_dry_run_from_trained_weights_writes_nothing(trained_run, encapnet, tmp_path, digits_npz):
    before = contents(trained_run.path), contents(tmp_path)
    result = encapnet("train", *digits_npz, f"--init_weights={trained_run.path}", "--epochs=2", "--dry_run")
    assert result.status == 0, result.stderr
    for text in (
        f"network of {trained_run.path}: capsule_dims=2 depths=0 image_size=8 model=encapnet num_capsules=4 ",
        "module1_type1 (CapConv2D)",
        "new: class_capsules (3 classes, not 10)\n",
        "steps:   3 trained, loss ",
        "time:    about ",
        "memory:  ",
        "dry run: nothing was written\n",
    ):
        assert text in result.stdout
    assert re.search(r"^  epochs +2$", result.stdout, re.MULTILINE)
    assert (contents(trained_run.path), contents(tmp_path)) == before


@pytest.mark.ci
def test_dry_run_of_a_continued_run(trained_run, encapnet, tmp_path):
    before = contents(trained_run.path)
    result = encapnet("train", f"--continue_from={trained_run.path}", "--epochs=5", "--dry_run")
    assert result.status == 0, result.stderr
    assert f"continues {trained_run.path} at epoch 3, up to epoch 5: 3 more." in result.stdout
    assert "for 60 steps" in result.stdout
    assert contents(trained_run.path) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.ci
def test_colour_images_do_not_fit_a_network_for_grey_ones(trained_run, encapnet, tmp_path):
    write_folder(tmp_path / "images", per_class=10, size=(8, 8))
    result = encapnet(
        "train", "--dataset=folder", "--data_dir=images", "--color_mode=rgb", f"--init_weights={trained_run.path}"
    )
    assert result.status == 2
    assert "takes images of (8, 8, 1), the data has (8, 8, 3). Choose data with the model's number" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["images"], "no run was begun"


@pytest.mark.ci
def test_fine_tuning_and_training_on_from_it(trained_run, encapnet, tmp_path, digits_npz):
    flags = [f"--init_weights={trained_run.path}", "--epochs=2", "--early_stopping=1", "--learning_rate=0"]
    result = encapnet(
        "train", *digits_npz, *flags, "--schedule=constant", "--run_dir=tuned", "--validation_fraction=0.1"
    )
    assert result.status == 0, result.stderr
    assert "parameters from " in result.stdout
    assert "--early_stopping=1 judges by 40 validation images" in result.stdout
    record = json.loads((tmp_path / "tuned" / "config.json").read_text())
    assert record["initial_weights"]["new_layers"] == ["class_capsules"]
    report = (tmp_path / "tuned" / "report.html").read_text()
    assert "Initial weights" in report
    assert "Early stopping" in report
    assert encapnet("evaluate", "tuned").status == 0

    result = encapnet("train", "--continue_from=tuned", "--epochs=3", "--early_stopping=0", "--run_dir=more")
    assert result.status == 0, result.stderr
    assert "continues tuned at epoch " in result.stdout
    assert json.loads((tmp_path / "more" / "summary.json").read_text())["epochs"] == 3
    assert encapnet("evaluate", "more").status == 0
    assert encapnet("train", "--continue_from=more").stderr.startswith(
        "encapnet train: --continue_from=more: the run has trained 3 epochs already, which is all that --epochs=3 "
    )
