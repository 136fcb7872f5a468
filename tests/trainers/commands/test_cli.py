"""The verbs of the command, from flags to files and output; in processes of its own where signals are the subject."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from encapnet_tf.trainers.commands.cli import VERBS
from encapnet_tf.trainers.config.schema import settings
from PIL import Image

import encapnet_tf as en
from tests.trainers.commands.command import TINY
from tests.trainers.data.idx_files import write_fashion_mnist
from tests.trainers.data.image_files import write_folder


def read_json(path):
    return json.loads(path.read_text())


def read_json_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_train_writes_a_whole_run(trained_run):
    path, output = trained_run.path, trained_run.stdout
    assert output.index("run: ") < output.index("\ncompiling ...\nepoch 1/2  loss ") < output.index("\nnext: ")
    assert {
        "config.json",
        "metrics.jsonl",
        "agreement.jsonl",
        "checkpoints",
        "lock",
        "tensorboard",
        "best.keras",
        "final.keras",
        "predictions.npz",
        "report.html",
        "summary.json",
    } == {p.name for p in path.iterdir()}
    summary, config, rows = (
        read_json(path / "summary.json"),
        read_json(path / "config.json"),
        read_json_lines(path / "metrics.jsonl"),
    )
    assert [row["epoch"] for row in rows] == [1, 2]
    assert summary["validation_accuracy"] == max(row["val_accuracy"] for row in rows)
    assert all(row["class_loss"] == pytest.approx(row["loss"], rel=1e-4) for row in rows), "there are no units"
    assert summary["training_accuracy"] == rows[summary["best_epoch"] - 1]["accuracy"]
    assert summary["data_name"] == "digits"
    assert config["config"]["num_capsules"] == 4
    assert config["versions"]["tensorflow"]
    assert "epoch 2/2" in output
    assert "\ntesting on 360 images, writing the report ...\n" in output
    assert "next:    encapnet evaluate tiny\n         encapnet predict tiny IMAGE.png\n" in output
    assert f" (best epoch, {summary['best_epoch']} of 2), trained in" in output
    assert list((path / "tensorboard" / "train").glob("events*"))
    last = (path / "summary.json").stat().st_mtime_ns
    assert all(p.stat().st_mtime_ns <= last for p in path.iterdir() if p.is_file()), "the summary is written last"


def test_agreement_is_recorded(trained_run):
    rows = read_json_lines(trained_run.path / "agreement.jsonl")
    assert {row["epoch"] for row in rows} == {1, 2}
    assert {(row["layer"], row["branch"]) for row in rows} == {
        ("module1_type1", "master"),
        ("class_capsules", "mapped"),
    }
    for row in rows:
        assert sum(row["share"]) == pytest.approx(1)


def test_saved_models_load_with_their_loss_and_optimizer(trained_run):
    for name in ("best.keras", "final.keras"):
        model = en.load_model(trained_run.path / name)
        model.run_eagerly = True  # one batch is not worth compiling
        logged = model.train_on_batch(np.zeros((4, 8, 8, 1)), np.zeros(4), return_dict=True)
        assert logged["class_loss"] == pytest.approx(logged["loss"])


def test_evaluate_compares_with_the_summary(trained_run, encapnet, tmp_path):
    accuracy = read_json(trained_run.path / "summary.json")["test_accuracy"]
    result = encapnet("evaluate", trained_run.path)
    assert result.status == 0, result.stderr
    assert f"test accuracy        {accuracy:.2%}" in result.stdout
    assert "the same" in result.stdout

    summary = read_json(trained_run.path / "summary.json")
    for name in ("config.json", "best.keras"):
        (tmp_path / name).write_bytes((trained_run.path / name).read_bytes())
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"test_errors": summary["test_errors"] + 1}))
    result = encapnet("evaluate", tmp_path)
    assert result.status == 1
    assert "The run reported" in result.stderr, "the summary's figure is compared, not repeated"


@pytest.mark.ci
def test_evaluate_compares_runs_under_disturbance(trained_run, encapnet, tmp_path):
    for name in ("one", "other"):
        shutil.copytree(trained_run.path, tmp_path / name)
    result = encapnet("evaluate", "one", "other", "--shifts", "--fgsm", "--images=10", "--crops=10")
    assert result.status == 0, result.stderr
    for text in (" 5 crops", "top-5 accuracy", "read as probabilities)", "Shift (share", "Fast gradient sign"):
        assert text in result.stdout
    curves = read_json(tmp_path / "other" / "robustness.json")
    assert set(curves) == {"shifts", "fgsm"}
    assert list(curves["fgsm"]) == ["encapnet (one)", "encapnet (other)"]
    assert curves["fgsm"]["encapnet (one)"] == curves["fgsm"]["encapnet (other)"]
    assert "<h2>Robustness</h2>" in (tmp_path / "one" / "report.html").read_text()


def test_data_check_draws_what_training_sees(encapnet, tmp_path):
    write_folder(tmp_path / "images", per_class=10, size=(16, 16))
    (tmp_path / "images" / "red" / "link.png").symlink_to("/etc/hostname")
    result = encapnet("data", "check", "--dataset=folder", "--data_dir=images", "--augment=++,mixup")
    assert result.status == 0, result.stderr
    assert (
        "recipe images, for 24 images of 3 classes to train and validate on, colour, of 16x16 pixels" in result.stdout
    )
    assert "augment=" not in result.stdout.split("\ndata: ")[0], "given settings are not chosen"
    assert "data: images\nimages: 3 classes, images of 16x16x3" in result.stdout
    assert "left out: 1 x symbolic link" in result.stdout
    with Image.open(tmp_path / "data_checks" / "images.png") as grid:
        assert grid.size[0] > 800
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data_checks", "images"]


def test_hardest_classes_of_a_run(trained_run, encapnet, tmp_path):
    shutil.copytree(trained_run.path, tmp_path / "run")
    result = encapnet("data", "hardest", "--model=run", "--classes=3")
    assert result.status == 0, result.stderr
    lines = (tmp_path / "run" / "hardest.txt").read_text().splitlines()
    accuracies = [float(line.split("#")[1]) for line in lines]
    assert len(lines) == 3
    assert accuracies == sorted(accuracies)
    assert lines[0].split()[0] in "0123456789"


@pytest.mark.ci
def test_a_run_with_units_every_augmentation_and_averaged_weights(encapnet, tmp_path):
    """Feedback units, mixed labels, averaged weights, L2 in the gradient, the step schedule, images decoded late."""
    write_folder(tmp_path / "images", per_class=20, size=(16, 16))
    data = ["--dataset=folder", "--data_dir=images", "--image_size=16", "--cache_gib=0",
            "--augment=+,randaugment,erasing,mixup,cutmix"]  # fmt: skip
    optimizer = ["--ema=0.9", "--optimizer=adam", "--l2=5e-4", "--schedule=step", "--milestones=1"]
    units = ["--feedback=half", "--feedback_weight=0.5", "--epsilon=0.1", "--extractor_objective=adversarial"]
    result = encapnet("train", *TINY, *data, *optimizer, *units)
    assert result.status == 0, result.stderr
    assert "batch_size=8 learning_rate=0.002: 38 training images" in result.stdout
    (run,) = (tmp_path / "runs" / "images").iterdir()
    assert read_json(run / "config.json")["config"]["batch_size"] == 8
    assert read_json(run / "summary.json")["skipped_files"] == {}
    row = read_json_lines(run / "metrics.jsonl")[-1]
    unit = "module1_feedback_half"
    assert row[unit] > 0
    assert row[f"{unit}_raw_spread"] > 0
    assert f"val_{unit}" not in row
    assert "Feedback agreement" in (run / "report.html").read_text()
    result = encapnet("evaluate", run)
    assert result.status == 0, result.stderr
    assert "the same" in result.stdout


def test_reports_are_written_again_and_runs_are_compared(trained_run, encapnet, tmp_path):
    for name in ("tiny", "other"):
        shutil.copytree(trained_run.path, tmp_path / name)
        (tmp_path / name / "report.html").unlink()
    result = encapnet("report", "tiny", "tiny")
    assert result.status == 0, result.stderr
    assert (tmp_path / "tiny" / "report.html").read_text() == (trained_run.path / "report.html").read_text()
    assert not (tmp_path / "comparison.html").exists(), "a run is not compared with itself"

    result = encapnet("report", "tiny", "other")
    assert result.status == 0, result.stderr
    assert (tmp_path / "other" / "report.html").exists()
    assert result.stdout.splitlines()[-1] == "comparison.html", "in the folder of both"
    page = (tmp_path / "comparison.html").read_text()
    assert page.count("data:image/png") == 3
    for run in ("tiny", "other"):
        assert f'<th scope="row">{run}</th>' in page

    (tmp_path / "other" / "predictions.npz").unlink()
    (tmp_path / "other" / "report.html").unlink()
    result = encapnet("report", "tiny", "other")
    assert result.status == 0, "what a run lacks is told"
    assert result.stderr.startswith("other: its report.html was not written. other/predictions.npz cannot be read: ")
    assert result.stdout.splitlines() == ["tiny/report.html", "comparison.html"]
    assert "1 run without saved predictions left out: other." in (tmp_path / "comparison.html").read_text()
    assert encapnet("report", "other").status == 2


@pytest.mark.ci
def test_ablate(encapnet, tmp_path):
    result = encapnet("ablate", "--table=table1", "--rows=c,e", *TINY, "--epochs=1", "--train_limit=120")
    assert result.status == 0, result.stderr
    table = (tmp_path / "ablations" / "table1-digits" / "table.md").read_text()
    assert "| table1/a | CapNet, dynamic routing | not run | 0 | 14.28 (MNIST 0.37) |" in table
    rows = [line for line in table.splitlines() if line.startswith("| table1/")]
    assert [row in result.stdout for row in rows] == [row.startswith(("| table1/c", "| table1/e")) for row in rows]


@pytest.mark.ci
def test_fashion_mnist_recipe_without_agreement(encapnet, tmp_path):
    write_fashion_mnist(tmp_path / "files", train=160, test=20)
    flags = [f"--data_dir={tmp_path / 'files'}", "--batch_size=16", *TINY, "--epochs=1", "--routing_epochs=0"]
    result = encapnet("train", "--recipe=fashion_mnist", *flags)
    assert result.status == 0, result.stderr
    (summary,) = tmp_path.glob("runs/fashion_mnist/*/summary.json")
    assert read_json(summary)["validation_images"] == 16
    assert f"data:    original files, {tmp_path / 'files'} (searched in this order: a copy" in result.stdout
    assert not summary.with_name("agreement.jsonl").exists()


@pytest.mark.parametrize("verb", ["", *VERBS, "data check", "data prepare", "data h_imagenet", "data hardest"])
def test_help_is_readable_at_80_columns(verb, encapnet, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = encapnet(*verb.split(), "--help")
    assert result.status == 0
    assert result.stdout.startswith(f"usage: encapnet {verb}".strip())
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert ("Start with: encapnet train." in result.stdout) == (not verb)


def test_help_groups_flags_by_meaning(encapnet):
    result = encapnet("train", "--help")
    headings = re.findall(r"^(\w.*):$", result.stdout, re.MULTILINE)
    examples = {
        "data": "augment",
        "network": "depths",
        "feedback agreement units": "epsilon",
        "reconstruction of images": "reconstruction_weight",
        "training": "seed",
        "arithmetic and devices": "replicas",
        "run folder": "routing_epochs",
    }
    groups = list(examples)
    assert headings == ["options", *groups]
    parts = dict(zip(headings, re.split(r"^\w.*:$", result.stdout, flags=re.MULTILINE)[1:], strict=True))
    flags = {heading: re.findall(r"^  (?:-h, )?(--\w+)", part, re.MULTILINE) for heading, part in parts.items()}
    assert flags["options"] == [
        *("--help", "--recipe", "--config", "--run_dir", "--resume", "--continue_from", "--dry_run"),
    ]
    for heading, flag in examples.items():
        assert f"--{flag}" in flags[heading]
    listed = [flag for group in groups for flag in flags[group]]
    assert listed == [f"--{setting.name}" for setting in settings() if setting.name != "recipe"]


@pytest.mark.ci
def test_diverging_run_stops_with_a_message(encapnet, tmp_path):
    result = encapnet("train", "--run_dir=nan", "--learning_rate=1e38", "--schedule=constant", *TINY)
    assert result.status == 1
    assert "The loss became" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "nan" / "summary.json").exists()


@pytest.mark.ci
def test_an_interrupted_run_keeps_what_it_saved(encapnet, tmp_path, heeding_ctrl_c):
    """A process of its own: the exit status after Ctrl-C. Keras's NumPy backend, which cannot train, is not used."""
    process = subprocess.Popen(
        [sys.executable, "-m", "encapnet_start", "train", "--run_dir=cut", *TINY, "--epochs=100000"],
        cwd=tmp_path,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    metrics = tmp_path / "cut" / "metrics.jsonl"
    while not metrics.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 130
    assert errors.startswith("encapnet train: Interrupted. What was saved so far is in cut"), errors
    assert errors.count("\n") == 1, "no line of TensorFlow's log"
    names = {p.name for p in (tmp_path / "cut").iterdir()}
    assert {"best.keras", "config.json", "metrics.jsonl"} <= names
    assert "summary.json" not in names
    assert not any(name.startswith(".") for name in names), "no temporary file is left"
    result = encapnet("evaluate", "cut")
    assert result.status == 2
    assert "did not finish" in result.stderr
