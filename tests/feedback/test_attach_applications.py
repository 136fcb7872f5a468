"""Two lines regularise a network of keras.applications: it trains, saves, reloads and strips."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.feedback.test_attach import unit_paths, units

RESNET = [("conv3_block1_out", "conv2_block3_out"), ("conv4_block1_out", "conv3_block4_out")]
MOBILENET = [
    ("expanded_conv_2_add", "expanded_conv_1_project_bn"),
    ("expanded_conv_4_add", "expanded_conv_3_project_bn"),
]


@pytest.mark.parametrize(
    ("make", "pairs", "how"),
    [
        (keras.applications.ResNet50, RESNET, {"run_eagerly": True}),  # its graph is traced for longer than it runs
        (keras.applications.MobileNetV3Small, MOBILENET, {"jit_compile": False}),
    ],
    ids=["ResNet50", "MobileNetV3Small"],
)
def test_two_lines(make, pairs, how, tmp_path):
    model = make(input_shape=(32, 32, 3), weights=None, classes=2)
    regularised = en.attach_feedback(model, pairs)
    assert len(units(regularised)) == 2
    rng = np.random.default_rng(0)
    x, y = 255 * rng.random((4, 32, 32, 3)).astype("float32"), rng.integers(2, size=4)
    np.testing.assert_array_equal(regularised(x, training=False), model(x, training=False))

    regularised.compile("sgd", "sparse_categorical_crossentropy", **how)
    logs = regularised.train_on_batch(x, y, return_dict=True)
    assert set(logs) == {"loss", *(unit.name for unit in units(regularised))}
    assert all(np.isfinite(value) for value in logs.values())
    trained = np.asarray(regularised(x, training=False))

    regularised.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x, training=False), trained)
    stripped = en.strip_feedback(loaded)
    assert not unit_paths(stripped)
    assert stripped.count_params() == model.count_params()
    np.testing.assert_array_equal(stripped(x, training=False), trained)
