"""Histograms of the agreement of mapped lower capsules with higher capsules, as in the paper's Fig. 2."""

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.evaluation import agreement as module
from encapnet_tf.trainers.evaluation.agreement import BINS, agreement

import encapnet_tf as en

M = en.models
IMAGES = np.random.default_rng(0).normal(size=(9, 8, 6, 1)).astype("float32")
LABELS = np.arange(9) % 3
TINY = {"depths": (1,), "capsule_dims": (2,), "strides": (2,), "num_capsules": 3}


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: M.CapNet((8, 6, 1), 3, num_capsules=2), [("routing1", "mapped"), ("class_capsules", "mapped")]),
        (lambda: M.CapNet((8, 6, 1), 3, "em", num_capsules=2), [("routing1", "mapped"), ("routing2", "mapped")]),
        (
            lambda: M.EncapNet((8, 6, 1), 3, **TINY, feedback="two"),
            [("module1_type2_1", "master"), ("module1_type2_1", "aide"), ("class_capsules", "mapped")],
        ),
        (
            lambda: M.EncapNet((8, 6, 1), 3, **TINY, routing="master"),
            [("module1_type2_1", "master"), ("class_capsules", "mapped")],
        ),
        (lambda: M.PlainCNN((8, 6, 1), 3, num_capsules=2), []),
    ],
    ids=["dynamic", "em", "master_aide", "master", "plain"],
)
def test_layers_and_branches(build, expected):
    rows = agreement(build(), IMAGES, LABELS)
    assert [(row["layer"], row["branch"]) for row in rows] == expected
    for row in rows:
        assert len(row["share"]) == len(row["length"]) == BINS
        assert sum(row["share"]) == pytest.approx(1)
        assert max(row["length"]) > 0
        assert all(length == 0 for length, share in zip(row["length"], row["share"], strict=True) if share == 0)


def capsule_model(kernel):
    """Two lower capsules of two components, three classes, by a capFC with this (2, 2, 3) kernel."""
    inputs = keras.Input((2, 2))
    capsules = en.layers.CapFC(3, 2, name="class_capsules")(inputs)
    model = keras.Model(inputs, en.layers.CapsuleLength()(capsules))
    model.get_layer("class_capsules").kernel.assign(kernel)
    return model


def test_by_hand():
    """The class's capsule is (3, 0) before the squash: one lower capsule says (4, 0) to it and one (-1, 0)."""
    kernel = np.zeros((2, 2, 3))
    kernel[0, :, 1] = 4, -1
    kernel[:, :, [0, 2]] = 7  # of other classes: not looked at
    images = np.ones((5, 2, 2), "float32")
    (row,) = agreement(capsule_model(kernel), images, np.ones(5, int))
    assert (row["share"][0], row["share"][-1]) == (0.5, 0.5)
    assert (row["length"][0], row["length"][-1]) == (pytest.approx(1), pytest.approx(4))


def test_the_size_of_a_portion_changes_nothing(monkeypatch):
    model = M.CapNet((8, 6, 1), 3, num_capsules=2)
    whole = agreement(model, IMAGES, LABELS)
    monkeypatch.setattr(module, "_NUMBERS", 2 * 8 * 8 * 16)  # two images' mapped activations
    for row, expected in zip(agreement(model, IMAGES, LABELS), whole, strict=True):
        np.testing.assert_allclose(row["share"], expected["share"], atol=1e-3)
        np.testing.assert_allclose(row["length"], expected["length"], atol=1e-3)


def test_mapped_capsules_of_capfc_sum_to_its_output():
    layer = en.layers.CapFC(3, 2)
    x = np.random.default_rng(1).normal(size=(2, 3, 2, 8)).astype("float32")
    output = layer(x)
    np.testing.assert_allclose(en.ops.squash(keras.ops.sum(layer.mapped_capsules(x), axis=1)), output, atol=1e-6)
