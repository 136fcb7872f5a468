"""The command as a user types it, in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import encapnet_tf as en
from tests.trainers.data.idx_files import write_fashion_mnist
from tests.trainers.data.image_files import write_folder

COMMAND = [sys.executable, "-c", "from encapnet_tf.trainers.commands.cli import main; main()"]
TINY = ["--epochs=2", "--num_capsules=4", "--depths=0", "--capsule_dims=2", "--strides=2", "--routing=master"]


def encapnet(*arguments, cwd):
    return subprocess.run([*COMMAND, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished tiny run on the digits."""
    folder = tmp_path_factory.mktemp("cli")
    process = encapnet("train", "--run_dir=tiny", *TINY, cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder / "tiny", process.stdout


def test_train_writes_a_whole_run(run):
    path, output = run
    assert {p.name for p in path.iterdir()} == {
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
    }
    summary = json.loads((path / "summary.json").read_text())
    config = json.loads((path / "config.json").read_text())
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert summary["validation_accuracy"] == max(row["val_accuracy"] for row in rows)
    assert config["config"]["num_capsules"] == 4
    assert config["versions"]["tensorflow"]
    assert "epoch 2/2" in output
    assert "next:    encapnet evaluate tiny" in output
    assert list((path / "tensorboard" / "train").glob("events*"))


def test_saved_models_load_with_their_loss_and_optimizer(run):
    path, _ = run
    for name in ("best.keras", "final.keras"):
        model = en.load_model(path / name)
        logged = model.train_on_batch(np.zeros((4, 8, 8, 1)), np.zeros(4), return_dict=True)
        assert logged["class_loss"] == pytest.approx(logged["loss"])


def test_summary_is_written_last(run):
    path, _ = run
    last = (path / "summary.json").stat().st_mtime_ns
    assert all(p.stat().st_mtime_ns <= last for p in path.iterdir() if p.is_file())


def test_evaluate_reproduces_the_accuracy(run):
    path, _ = run
    process = encapnet("evaluate", path, cwd=path.parent)
    accuracy = json.loads((path / "summary.json").read_text())["test_accuracy"]
    assert process.returncode == 0, process.stderr
    assert f"test accuracy        {accuracy:.2%}" in process.stdout
    assert "the same" in process.stdout


def test_evaluate_tells_another_model(run, tmp_path):
    """The summary's figure is compared, not repeated."""
    path, _ = run
    summary = json.loads((path / "summary.json").read_text())
    for name in ("config.json", "best.keras"):
        (tmp_path / name).write_bytes((path / name).read_bytes())
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"test_errors": summary["test_errors"] + 1}))
    process = encapnet("evaluate", tmp_path, cwd=tmp_path)
    assert process.returncode == 1
    assert "not what it was" in process.stderr


def test_evaluate_compares_runs_under_disturbance(run, tmp_path):
    path, _ = run
    for name in ("one", "other"):
        shutil.copytree(path, tmp_path / name)
    flags = ["--shifts", "--fgsm", "--images=20", "--crops=10"]
    process = encapnet("evaluate", "one", "other", *flags, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for text in (" 5 crops", "top-5 accuracy", "calibration error", "Shift (share", "Fast gradient sign"):
        assert text in process.stdout
    curves = json.loads((tmp_path / "other" / "robustness.json").read_text())
    assert set(curves) == {"shifts", "fgsm"}
    assert list(curves["fgsm"]) == ["encapnet (one)", "encapnet (other)"]
    assert curves["fgsm"]["encapnet (one)"] == curves["fgsm"]["encapnet (other)"]
    assert "<h2>Robustness</h2>" in (tmp_path / "one" / "report.html").read_text()


def test_data_check_draws_what_training_sees(tmp_path):
    write_folder(tmp_path / "images", per_class=10, size=(16, 16))
    (tmp_path / "images" / "red" / "link.png").symlink_to("/etc/hostname")
    flags = ["--dataset=folder", "--data_dir=images", "--augment=++", "--out=grid.png"]
    process = encapnet("data", "check", *flags, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "folder: 3 classes, images of 16x16x3" in process.stdout
    assert "left out: 1 x symbolic link" in process.stdout
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.size[0] > 12 * 16
    assert not list(tmp_path.glob("runs*"))


def test_hardest_classes_of_a_run(run):
    path, _ = run
    process = encapnet("data", "hardest", f"--model={path}", "--classes=3", "--out=hard.txt", cwd=path.parent)
    assert process.returncode == 0, process.stderr
    lines = (path.parent / "hard.txt").read_text().splitlines()
    accuracies = [float(line.split("#")[1]) for line in lines]
    assert len(lines) == 3
    assert accuracies == sorted(accuracies)
    assert lines[0].split()[0] in "0123456789"


def test_a_run_with_everything_new_is_trained_and_evaluated(tmp_path):
    """Mixed labels, averaged weights, L2 in the gradient, the step schedule, a folder that is read as wanted."""
    write_folder(tmp_path / "images", per_class=20, size=(16, 16))
    flags = ["--dataset=folder", "--data_dir=images", "--augment=+,randaugment,erasing,mixup,cutmix", "--ema=0.9",
             "--optimizer=adam", "--l2=5e-4", "--schedule=step", "--milestones=1", "--cache_gib=0", "--batch_size=8",
             "--image_size=16"]  # fmt: skip
    process = encapnet("train", "--run_dir=run", *TINY, *flags, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["skipped_files"] == {}
    process = encapnet("evaluate", "run", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "the same" in process.stdout


def test_report_is_written_anew(run):
    path, _ = run
    before = (path / "report.html").read_text()
    (path / "report.html").unlink()
    process = encapnet("report", path, cwd=path.parent)
    assert process.returncode == 0, process.stderr
    assert (path / "report.html").read_text() == before


def test_runs_are_compared(run, tmp_path):
    path, _ = run
    process = encapnet("report", path, path, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert not (tmp_path / "comparison.html").exists(), "a run is not compared with itself"
    shutil.copytree(path, tmp_path / "again")
    process = encapnet("report", path, "again", "--out=page.html", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png") == 1
    assert "again: encapnet master" in page or '<th scope="row">again</th>' in page
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert all(row["class_loss"] == pytest.approx(row["loss"], rel=1e-4) for row in rows), "there are no units"


def test_epochs_of_the_agreement(run, tmp_path):
    path, _ = run
    rows = [json.loads(line) for line in (path / "agreement.jsonl").read_text().splitlines()]
    assert {row["epoch"] for row in rows} == {1, 2}
    assert {(row["layer"], row["branch"]) for row in rows} == {
        ("module1_type1", "master"),
        ("class_capsules", "mapped"),
    }
    for row in rows:
        assert sum(row["share"]) == pytest.approx(1)
    process = encapnet("train", "--run_dir=none", *TINY, "--epochs=1", "--routing_epochs=0", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert not (tmp_path / "none" / "agreement.jsonl").exists()


def test_ablate(tmp_path):
    flags = ["--table=table1", "--rows=c,e", *TINY, "--epochs=1", "--train_limit=120"]
    process = encapnet("ablate", *flags, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    table = (tmp_path / "ablations" / "table1-digits" / "table.md").read_text()
    assert "| table1/a | CapNet, dynamic routing | not run | 0 | 14.28 (MNIST 0.37) |" in table
    assert table in process.stdout
    process = encapnet("ablate", "--rows=z", cwd=tmp_path)
    assert process.returncode == 2
    assert "no row is called table3/z" in process.stderr


def test_feedback_units_are_trained_watched_and_reported(tmp_path):
    flags = ["--feedback=two", "--feedback_weight=0.5", "--epsilon=0.1", "--extractor_objective=adversarial"]
    process = encapnet("train", "--run_dir=run", *TINY, "--depths=1", *flags, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    for unit in ("module1_feedback_half", "module1_feedback_same"):
        assert row[unit] > 0
        assert row[f"{unit}_raw_spread"] > 0
        assert f"val_{unit}" not in row
    assert "Feedback agreement" in (tmp_path / "run" / "report.html").read_text()
    process = encapnet("evaluate", "run", cwd=tmp_path)
    assert process.returncode == 0, process.stderr


def test_fashion_mnist_recipe(tmp_path):
    write_fashion_mnist(tmp_path / "files", train=160, test=20)
    process = encapnet("train", "--recipe=fashion_mnist", f"--data_dir={tmp_path / 'files'}", "--batch_size=16", *TINY,
                       cwd=tmp_path)  # fmt: skip
    assert process.returncode == 0, process.stderr
    (summary,) = tmp_path.glob("runs/fashion_mnist/*/summary.json")
    assert json.loads(summary.read_text())["validation_images"] == 16


@pytest.mark.parametrize("arguments", [["train", "--recipe=digitz"], ["train", "--epoch=3"]])
def test_wrong_input_is_no_traceback(tmp_path, arguments):
    process = encapnet(*arguments, cwd=tmp_path)
    assert process.returncode == 2
    assert "encapnet train: " in process.stderr
    assert "Traceback" not in process.stderr


def test_the_command_takes_tensorflow_whatever_the_environment_says():
    code = "import sys; sys.argv[0] = 'bin/encapnet'; import encapnet_tf, keras; print(keras.backend.backend())"
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert process.stdout.strip() == "tensorflow", process.stderr


def test_help_names_every_flag(tmp_path):
    process = encapnet("train", "--help", cwd=tmp_path)
    assert process.returncode == 0
    for flag in ("--recipe", "--run_dir", "--epochs", "--model", "--learning_rate", "--seed"):
        assert flag in process.stdout


def test_diverging_run_stops_with_a_message(tmp_path):
    process = encapnet("train", "--run_dir=nan", "--learning_rate=1e38", "--schedule=constant", *TINY, cwd=tmp_path)
    assert process.returncode == 1
    assert "The loss became" in process.stderr
    assert "Traceback" not in process.stderr
    assert not (tmp_path / "nan" / "summary.json").exists()


def test_interrupted_run_keeps_what_it_saved(tmp_path, heeding_ctrl_c):
    process = subprocess.Popen(
        [*COMMAND, "train", "--run_dir=cut", *TINY, "--epochs=100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not (tmp_path / "cut" / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "Interrupted. What was saved so far is in cut" in errors
    assert "Traceback" not in errors
    names = {p.name for p in (tmp_path / "cut").iterdir()}
    assert {"best.keras", "config.json", "metrics.jsonl"} <= names
    assert "summary.json" not in names
    assert not any(name.startswith(".") for name in names)  # no temporary file is left
    process = encapnet("evaluate", "cut", cwd=tmp_path)
    assert process.returncode == 2
    assert "did not finish" in process.stderr
