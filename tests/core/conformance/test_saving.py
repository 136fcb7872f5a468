"""load_model: whole models load, and damaged or foreign files raise clear errors."""

import json
import shutil
import zipfile

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.layers import FeedbackAgreement
from tests.core.conformance.rows import LAYERS, UNITS, Row


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Path of a small network's file, which no test changes."""
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model = keras.Sequential([keras.Input((4, 4)), en.layers.CapFC(2, 4), en.layers.CapsuleLength()])
    model.compile("sgd", en.losses.MarginLoss())
    model.save(path)
    return path


@pytest.fixture
def saved(original, tmp_path):
    """Path of a copy of the small network's file."""
    return shutil.copy(original, tmp_path / "model.keras")


def rewritten(path, change):
    """Rewrite the archive at `path` with the content of its members changed; None leaves a member out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if change(name, content) is not None:
                archive.writestr(name, change(name, content))
    return path


def test_path_may_be_a_string_or_a_path(saved):
    x = np.ones((1, 4, 4))
    np.testing.assert_array_equal(en.load_model(saved)(x), en.load_model(str(saved))(x))


def test_compile(saved):
    model = en.load_model(saved)
    assert isinstance(model.loss, en.losses.MarginLoss)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert not en.load_model(saved, compile=False).compiled


def test_names_of_variables_do_not_change():
    """TensorFlow keeps 35 kB for each new name: with counted names, a process that loads models in a loop grows."""
    one_of_each_class = {row.factory.func: row for row in LAYERS}.values()
    dense = [Row("unit", UNITS[0].factory, shape, _unit_of_dense) for shape in [(6, 4), (8,)]]
    rows = [*one_of_each_class, *UNITS, *dense]
    inputs = [keras.Input(row.shape) for row in rows]
    original = keras.Model(inputs, [row.call(row.factory(), x) for row, x in zip(rows, inputs, strict=True)])
    first, second = (keras.Model.from_config(original.get_config()) for _ in range(2))
    names = [variable.path for variable in first.variables]
    assert len(names) == len(set(names)) > 100
    assert names == [variable.path for variable in second.variables]


def _unit_of_dense(unit, x):
    """Call a unit on token sequences or feature vectors."""
    return FeedbackAgreement.from_config({**unit.get_config(), "generator": "conv"})([keras.layers.Dense(4)(x), x])


def test_missing_file_raises(tmp_path):
    path = tmp_path / "nowhere.keras"
    with pytest.raises(FileNotFoundError, match=str(path)):
        en.load_model(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_truncated_file_raises(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=saved.name):
        en.load_model(saved)


def test_truncated_weights_raise(saved):
    """The archive is complete but holds half of the weights, as after an interrupted copy of an unpacked model."""
    rewritten(saved, lambda name, content: content[: len(content) // 2] if name.endswith(".h5") else content)
    with pytest.raises(ValueError, match=r"model\.keras"):
        en.load_model(saved)


def test_archive_without_a_configuration_raises(saved):
    rewritten(saved, lambda name, content: None if name == "config.json" else content)
    with pytest.raises(ValueError, match=r"model\.keras"):
        en.load_model(saved)


@pytest.mark.parametrize("version", ["99.0.0", keras.__version__])
def test_file_of_a_newer_keras(saved, version):
    """It loads if it has nothing unknown to the installed Keras; otherwise the error names both versions."""

    def saved_with(version, **arguments):
        def change(name, content):
            if name not in ("metadata.json", "config.json"):
                return content
            content = json.loads(content)
            if name == "metadata.json":
                content["keras_version"] = version
            else:
                content["config"]["layers"][1]["config"].update(arguments)
            return json.dumps(content)

        return rewritten(saved, change)

    assert en.load_model(saved_with(version)).output_shape == (None, 2)
    with pytest.raises((TypeError, ValueError), match="unheard_of") as error:
        en.load_model(saved_with(version, unheard_of=1))
    newer = f"saved with Keras {version} and cannot be loaded with the older Keras {keras.__version__}"
    assert (newer in str(error.value)) == (version == "99.0.0")


@pytest.mark.parametrize("name", ["model.txt", "model.h5", "model.keras"])
def test_other_file_raises(tmp_path, name):
    (tmp_path / name).write_text("no model")
    with pytest.raises(ValueError, match=r"model\.\w+"):
        en.load_model(tmp_path / name)


def test_folder_raises(tmp_path):
    with pytest.raises(ValueError, match=tmp_path.name):
        en.load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_pickled_code_is_refused(tmp_path, name):
    """A Lambda layer is code that runs when the model does: safe mode stays on."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x + 1, output_shape=(3,))])
    model.save(tmp_path / name)
    with pytest.raises(ValueError, match=r"safe_mode=False|unsafe"):
        en.load_model(tmp_path / name)


def test_hdf5(tmp_path):
    """The older kind of file names classes without their package, and Keras finds no registered model class by that."""
    model = en.models.EncapNet((8, 6, 1), 3, (1,), (2,), (2,), num_capsules=4, feedback="same")
    model.compile("adam", en.losses.MarginLoss(down_weight=0.25), metrics=["accuracy"])
    model.save(tmp_path / "model.h5")
    loaded = en.load_model(tmp_path / "model.h5")
    images = np.random.default_rng(0).random((2, 8, 6, 1)).astype("float32")
    np.testing.assert_allclose(loaded(images), model(images), rtol=1e-6)
    assert (type(loaded), loaded.loss.down_weight) == (type(model), 0.25)


class Doubled(keras.layers.Layer):
    """Layer of a class that is not registered."""

    def call(self, inputs):
        return 2 * inputs


def test_custom_objects(tmp_path):
    model = keras.Sequential([keras.Input((2, 4)), en.layers.CapFC(3, 4), Doubled(), en.layers.CapsuleLength()])
    model.save(tmp_path / "model.keras")
    with pytest.raises((TypeError, ValueError), match="Doubled"):
        en.load_model(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras", custom_objects={"Doubled": Doubled})
    np.testing.assert_array_equal(loaded(np.ones((1, 2, 4))), model(np.ones((1, 2, 4))))
