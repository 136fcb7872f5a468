"""Weights of a trained network in a new one: what is taken, what is new, and what is refused."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config.initial_weights import WeightsFile, find_weights
from encapnet_tf.trainers.evaluation.predictions import saved_model
from encapnet_tf.trainers.fitting import network
from encapnet_tf.trainers.fitting.checkpoints.checkpoint import Checkpoint
from encapnet_tf.trainers.fitting.initial_weights import load_initial_weights
from encapnet_tf.trainers.fitting.train import train
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

import encapnet_tf as en

DIGITS = tuple("0123456789")
IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 1)).astype("float32")


@pytest.fixture(scope="module")
def best_file(finished_run):
    return finished_run.file(RunDirectory.best_model_file)


@pytest.fixture(scope="module")
def best_model(best_file):
    return saved_model(best_file)


def load(config, file, class_names=DIGITS, image_shape=(8, 8, 1)):
    """Build a network with other random weights, and load weights into it."""
    keras.utils.set_random_seed(7)
    model = network.build(config, image_shape, len(class_names))
    return model, load_initial_weights(
        model, file, class_names, lambda classes: network.build(config, image_shape, classes)
    )


def parameters(layer) -> int:
    return sum(weight.size for weight in map(np.array, layer.trainable_weights))


def have_equal_weights(layer, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), other.get_weights(), strict=True))


def change_weights(layer):
    """Give a layer other weights than a network gets that is built from the same seed."""
    layer.set_weights([weight + 0.5 for weight in layer.get_weights()])


def test_everything_is_taken_where_the_classes_are_the_same(finished_run, tiny, best_file, best_model):
    model, transfer = load(tiny, find_weights(str(finished_run.path)))
    np.testing.assert_array_equal(model(IMAGES), best_model(IMAGES))
    assert (transfer.new, transfer.unused) == ((), ())
    assert transfer.lines() == [f"weights: all {parameters(model):,} parameters from {best_file}"]


@pytest.mark.parametrize(
    ("class_names", "remark"), [(("cat", "dog", "cow"), "3 classes, not 10"), (DIGITS[::-1], "10 other classes")]
)
def test_other_classes_get_a_new_head(class_names, remark, finished_run, tiny, best_model):
    model, transfer = load(tiny, find_weights(str(finished_run.path)), class_names)
    head = model.get_layer("class_capsules")
    for layer in model.layers:
        if layer is not head:
            assert have_equal_weights(layer, best_model.get_layer(layer.name)), layer.name
    if len(class_names) == len(DIGITS):
        assert not have_equal_weights(head, best_model.get_layer("class_capsules"))
    assert (transfer.new, transfer.unused) == (("class_capsules",), ())
    assert 0 < transfer.loaded == parameters(model) - parameters(head)
    first, second = transfer.lines()
    assert first.startswith(f"weights: {transfer.loaded:,} of {parameters(model):,} parameters from ")
    assert second == f"         new: class_capsules ({remark})"


def test_a_file_outside_of_a_run_does_not_name_its_classes(tiny, best_file, best_model, tmp_path):
    shutil.copy(best_file, tmp_path / "model.keras")
    model, transfer = load(tiny, find_weights("model.keras", tmp_path), DIGITS[::-1])
    np.testing.assert_array_equal(model(IMAGES), best_model(IMAGES))
    assert transfer.lines()[1].strip() == "the file does not name its classes, which are taken to be the same"


def test_feedback_units_are_taken_or_new_or_unused(tiny, best_file, best_model, tmp_path):
    with_units = replace(tiny, feedback="half", feedback_weight=0.5)
    model, transfer = load(with_units, find_weights(str(best_file)))
    np.testing.assert_array_equal(model(IMAGES), best_model(IMAGES))
    unit = "module1_feedback_half"
    assert (transfer.new, transfer.unused) == ((unit,), ())
    change_weights(model.get_layer(unit).generator)
    model.save(tmp_path / "units.keras")

    file = WeightsFile(tmp_path / "units.keras")
    without, transfer = load(tiny, file)
    np.testing.assert_array_equal(without(IMAGES), best_model(IMAGES))
    assert (transfer.new, transfer.unused) == ((), (unit,))
    assert f"not used: {unit}" in transfer.lines()[1]

    other, transfer = load(replace(with_units, feedback_weight=2.0), file)
    assert (transfer.new, transfer.unused) == ((), ())
    assert other.get_layer(unit).weight == 2.0, "a setting, not a trained weight"
    assert have_equal_weights(other.get_layer(unit).generator, model.get_layer(unit).generator)


def test_a_decoder_is_taken_or_new_or_unused(tiny, best_file, best_model, tmp_path):
    with_decoder = replace(tiny, reconstruction="dense", reconstruction_weight=0.5)
    model, transfer = load(with_decoder, find_weights(str(best_file)))
    assert (transfer.new, transfer.unused) == (("reconstruction",), ())
    change_weights(model.reconstruction)
    model.save(tmp_path / "decoder.keras")
    file = WeightsFile(tmp_path / "decoder.keras")

    keras.utils.set_random_seed(8)
    other, transfer = load(with_decoder, file)
    assert (transfer.new, transfer.unused) == ((), ())
    assert have_equal_weights(other.reconstruction, model.reconstruction)
    without, transfer = load(tiny, file)
    np.testing.assert_array_equal(without(IMAGES), best_model(IMAGES))
    assert (transfer.new, transfer.unused) == ((), ("reconstruction",))
    assert "--reconstruction=dense --reconstruction_weight=0.5 gives the new network a decoder" in transfer.lines()[1]
    _, transfer = load(with_decoder, file, ("cat", "dog"))
    assert transfer.new == ("class_capsules", "reconstruction"), "its first layer reads the capsules of all classes"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"depths": (1,)}, "is another network than the one to train: it lacks module1_type2_1"),
        ({"num_capsules": 8}, "other shapes have stem, stem_norm, module1_type1"),
        ({"model": "plaincnn", "routing": None, "num_capsules": None, "depths": None, "capsule_dims": None,
          "strides": None}, "it lacks conv2, .* and 5 more; it has besides module1_type1, class_capsules; other"),
    ],
    ids=["depth", "width", "another kind"],
)  # fmt: skip
def test_other_architectures_are_refused(settings, message, tiny, best_file):
    with pytest.raises(UserError, match=rf"{message}.* Set the network of the file by --model, "):
        load(replace(tiny, **settings), find_weights(str(best_file)))


def test_images_of_another_size_or_kind_are_refused(tiny, best_file):
    with pytest.raises(UserError, match=r"takes images of \(8, 8, 1\), the data has \(16, 16, 1\). Say --image_size=8"):
        load(tiny, find_weights(str(best_file)), image_shape=(16, 16, 1))
    with pytest.raises(UserError, match=r"the data has \(8, 8, 3\). Choose data with .* Folders of images are read in"):
        load(tiny, find_weights(str(best_file)), image_shape=(8, 8, 3))


def save_capsules(path, change):
    model = en.models.EncapNet(
        (8, 8, 1), depths=(0,), capsule_dims=(2,), strides=(2,), routing="master", num_capsules=4
    )
    change(model).save(path)


def with_nan(model):
    model.get_layer("stem").bias.assign([float("nan")] * 4)
    return model


def test_files_that_hold_no_such_network_are_refused(tiny, best_file, tmp_path):
    cases = {
        "truncated": ("is not a complete zip archive", lambda path: path.write_bytes(best_file.read_bytes()[:2000])),
        "text": ("is not a complete zip archive", lambda path: path.write_text("weights")),
        "nan": ("holds NaN or infinite numbers, in the layer stem", lambda path: save_capsules(path, with_nan)),
        "features": (
            r"no classifier with scores \(batch, classes\)",
            lambda path: save_capsules(path, lambda m: keras.Model(m.inputs, m.get_layer("class_capsules").output)),
        ),
        "vectors": (
            "no classifier of images",
            lambda path: keras.Sequential([keras.Input((4,)), keras.layers.Dense(10)]).save(path),
        ),
    }
    for name, (message, write) in cases.items():
        path = tmp_path / f"{name}.keras"
        write(path)
        with pytest.raises(UserError, match=message):
            load(tiny, WeightsFile(path))


@pytest.mark.ci
def test_a_run_starts_from_them_even_if_its_first_start_failed(finished_run, tiny, best_model, tmp_path, monkeypatch):
    """The first process ends before it writes a checkpoint, so the second one loads the weights again."""

    def interrupt(logs):
        raise KeyboardInterrupt

    monkeypatch.chdir(finished_run.path.parent)
    config = replace(tiny, init_weights=finished_run.path.name, epochs=1, ema=0.0, routing_epochs=(1,), seed=1)
    with pytest.raises(UserError, match="Interrupted"):
        train(config, tmp_path / "run", callbacks=[keras.callbacks.LambdaCallback(on_train_begin=interrupt)])
    run = RunDirectory.unfinished(tmp_path / "run")
    assert not run.file("checkpoints").exists()
    record = run.read_json(RunDirectory.config_file)["initial_weights"]
    assert record["file"] == str(finished_run.file(RunDirectory.best_model_file))
    assert record["new_layers"] == []
    assert len(record["sha256"]) == 64

    monkeypatch.chdir(tmp_path)
    train(config, resume=run)
    first = Checkpoint.read(run.file("checkpoints") / "checkpoint-000000000.ckpt").arrays["model"]
    expected = [np.array(variable) for variable in best_model.variables if variable.name != "training_steps"]
    for ours, theirs in zip(first, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
