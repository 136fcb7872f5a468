"""load_model: whole models load, and damaged or foreign files raise clear errors."""

import contextlib
import json
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf import model_file_sizes
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


def test_folder_and_pipe_raise(tmp_path):
    with pytest.raises(en.ModelFileError, match=f"{tmp_path.name}' is a folder"):
        en.load_model(tmp_path)
    os.mkfifo(tmp_path / "model.keras")
    with pytest.raises(en.ModelFileError, match="is a device or a pipe"):
        en.load_model(tmp_path / "model.keras")


def _replaced(text):
    return lambda name, content: text if name == "config.json" else content


DEEP = '{"module": "keras", "class_name": "Sequential", "config": ' + '{"x":' * 4000 + "1" + "}" * 4001


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_replaced("null"), "no Keras model|damaged"),
        (_replaced("[]"), "no Keras model|damaged"),
        (_replaced('"text"'), "no Keras model|damaged"),
        (_replaced("{"), "damaged"),
        (_replaced(DEEP), "nested too deeply"),
        (_replaced('{"module": "os", "class_name": "system", "config": {}}'), "damaged|not known here"),
        (_replaced('{"module": "keras.layers", "class_name": "ReLU", "config": {}}'), "holds an object of class ReLU"),
        (_replaced('{"module": "keras", "class_name": "Sequential", "config": 3}'), "damaged"),
        (lambda name, content: content.replace(b'"num_capsules": 2', b'"num_capsules": "two"'), "two"),
        (lambda name, content: content.replace(b'"num_capsules": 2', b'"num_capsules": -2'), "-2"),
        (lambda name, content: content.replace(b"CapFC", b"CapFD"), "not known here.*CapFD"),
        (lambda name, content: b"\x89HDF\r\n\x1a\n" + bytes(3000) if name.endswith(".h5") else content, "damaged"),
    ],
)
def test_one_error_for_every_damage(saved, change, message):
    with pytest.raises(en.ModelFileError, match=message) as error:
        en.load_model(rewritten(saved, change))
    assert "model.keras" in str(error.value)
    assert len(str(error.value)) < 1000


def test_flipped_bits_raise_or_change_nothing(saved):
    """A checksum covers each member, so that a flip is seen or lies in a field that does not matter, such as a date."""
    content, x = saved.read_bytes(), np.ones((1, 4, 4))
    expected = en.load_model(saved)(x)
    random = np.random.default_rng(0)
    for position in [*random.integers(0, len(content), 12), *range(len(content) - 160, len(content), 23)]:
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(random.integers(8))
        saved.write_bytes(flipped)
        with contextlib.suppress(en.ModelFileError):
            np.testing.assert_array_equal(en.load_model(saved)(x), expected)


def test_bombs_are_refused_before_they_are_unpacked(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(model_file_sizes, "_SMALL_BYTES", 1 << 20)
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assets/zeros", bytes(3 << 20))
    with pytest.raises(en.ModelFileError, match="would unpack to 3,1"):
        en.load_model(saved)
    with h5py.File(tmp_path / "model.h5", "w") as file:  # nothing is stored of an array that was never written
        file.create_dataset("weights", (1 << 40,), "float32", chunks=(1024,))
    with pytest.raises(en.ModelFileError, match="would unpack to 4,398,046,511,104"):
        en.load_model(tmp_path / "model.h5")
    content = (tmp_path / "model.h5").read_bytes()
    rewritten(saved, lambda name, old: None if name == "assets/zeros" else content if name.endswith(".h5") else old)
    with pytest.raises(en.ModelFileError, match="would unpack to 4,398,046,511,104"):
        en.load_model(saved)


@pytest.mark.parametrize("setting", [10**9, 10**30])
def test_a_network_that_the_file_cannot_hold_is_refused_before_it_is_allocated(tmp_path, setting):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    for path in (tmp_path / "model.keras", tmp_path / "model.h5"):
        model.save(path)
    described = json.dumps(setting).encode()
    rewritten(
        tmp_path / "model.keras",
        lambda name, old: old.replace(b'"units": 2', b'"units": ' + described) if name == "config.json" else old,
    )
    with h5py.File(tmp_path / "model.h5", "a") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"units": 2', f'"units": {setting}')
    for path in (tmp_path / "model.keras", tmp_path / "model.h5"):
        with pytest.raises(en.ModelFileError) as error:
            en.load_model(path)
        assert setting > 10**9 or "describes a network of 5,000,000,000 weights" in str(error.value)


def test_a_sound_network_with_a_large_setting_is_loaded(tmp_path):
    keras.Sequential([keras.Input((4,), dtype="int32"), keras.layers.Embedding(5000, 2)]).save(tmp_path / "model.keras")
    assert en.load_model(tmp_path / "model.keras").count_params() == 10_000


def test_the_path_must_be_a_path():
    for path in (None, 3, 0.5, []):
        with pytest.raises(TypeError):
            en.load_model(path)


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
