"""The value of `--init_weights`: which file it names, and which settings come with it."""

import json
import zipfile
from pathlib import Path

import pytest
from encapnet_tf.trainers.config.initial_weights import WeightsFile, adopt_network, find_weights
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.errors import UserError


def write_model(path, image_shape):
    """The part of a `.keras` file that says the shape of its images."""
    layer = {"class_name": "InputLayer", "config": {"batch_shape": [None, *image_shape]}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": [layer]}}))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The folder `run` in the current folder: a finished run of another network than the digits' on images of 12x12."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "run"
    folder.mkdir()
    config = resolve(
        "digits", {"dataset": "npz", "data_dir": "a.npz", "depths": (2,), "capsule_dims": (4,), "strides": (2,)}
    )
    (folder / "config.json").write_text(json.dumps({"config": config.to_json()}))
    (folder / "summary.json").write_text(json.dumps({"class_names": ["cat", "dog"]}))
    write_model(folder / "best.keras", (12, 12, 1))
    return folder


def test_a_run_a_file_of_it_and_another_file(run, tmp_path):
    for source in ("run", "run/best.keras", str(run)):
        file = find_weights(source)
        assert file.path.resolve() == run / "best.keras"
        assert file.class_names == ("cat", "dog")
        assert file.config.depths == (2,)
        assert file.image_shape == (12, 12, 1)
    (run / "summary.json").unlink()
    assert find_weights("run").class_names is None, "an unfinished run does not say them"
    write_model(tmp_path / "other.keras", (6, 8, 3))
    assert find_weights("other.keras") == WeightsFile(Path("other.keras"))
    assert find_weights("other.keras").image_shape == (6, 8, 3)
    assert find_weights("other.keras", tmp_path).path == tmp_path / "other.keras"
    (tmp_path / "damaged.keras").write_bytes(b"PK")
    assert find_weights("damaged.keras").image_shape is None


def test_what_names_no_weights(run, tmp_path):
    with pytest.raises(
        UserError, match=r"--init_weights=nothing: there is no such file or folder\. Expected the folder"
    ):
        find_weights("nothing")
    with pytest.raises(UserError, match=r"this folder is no run, because it has no config\.json"):
        find_weights(".")
    (run / "best.keras").unlink()
    with pytest.raises(UserError, match=r"the run has no best\.keras, which is written after its first epoch"):
        find_weights("run")


def adopt(flags):
    return adopt_network(resolve("digits", {"init_weights": "run", **flags}), set(flags))


def test_the_network_is_that_of_the_run(run):
    config, taken = adopt({})
    assert (config.depths, config.capsule_dims, config.image_size) == ((2,), (4,), 12)
    assert {"model", "depths", "image_size"} < taken
    assert (config.dataset, config.epochs) == ("digits", 40), "the other settings are those of the recipe"


def test_settings_of_the_user_stay(run):
    config, taken = adopt({"num_capsules": 3, "loss": "spread", "image_size": 20})
    assert (config.num_capsules, config.depths, config.loss, config.image_size) == (3, (2,), "spread", 20)
    assert not taken & {"num_capsules", "loss", "image_size"}
    config, taken = adopt({"model": "plaincnn"})
    assert (config.model, config.depths, taken) == ("plaincnn", None, frozenset()), "refused when weights are loaded"


def test_another_kind_of_network_keeps_what_the_user_gave(run):
    values = resolve("digits", {"model": "capnet", "routing": ("em",)}).to_json()
    (run / "config.json").write_text(json.dumps({"config": values}))
    config, _ = adopt({"num_capsules": 5, "learning_rate": 0.5})
    assert (config.model, config.routing, config.num_capsules, config.depths) == ("capnet", ("em",), 5, None)
    assert config.learning_rate == 0.5


def test_the_size_of_the_runs_own_data_is_not_changed(run):
    assert adopt({"dataset": "npz", "data_dir": "a.npz"})[0].image_size is None
    assert adopt({"dataset": "npz", "data_dir": "b.npz"})[0].image_size == 12
    write_model(run / "best.keras", (12, 16, 1))
    assert "image_size" not in adopt({})[1], "it makes square images only"


def test_a_file_alone_says_the_image_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_model(tmp_path / "model.keras", (12, 12, 1))
    config, taken = adopt_network(resolve("digits", {"init_weights": "model.keras"}), set())
    assert (config.image_size, taken) == (12, {"image_size"})
    assert config.depths == resolve("digits", {}).depths
