"""Mistakes are told at construction or build, with what was expected and what was received."""

import math

import keras
import numpy as np
import pytest

from encapnet_tf.layers import FeedbackAgreement

AT_CONSTRUCTION = [
    ({"epsilon": 0}, "epsilon must be a positive number"),
    ({"epsilon": -0.1}, r"epsilon must be.*-0\.1"),
    ({"epsilon": math.inf}, "epsilon must be"),
    ({"epsilon": "1"}, "epsilon must be"),
    ({"epsilon": None}, "epsilon must be"),
    ({"iterations": 0}, "iterations must be an integer of at least 1"),
    ({"iterations": 1.5}, r"iterations must be.*1\.5"),
    ({"cost": "l2"}, "cost must be one of 'cosine', 'euclidean', 'sqeuclidean'.*'l2'"),
    ({"solver": "exact"}, "solver must be one of 'fast', 'plain'.*'exact'"),
    ({"divergence": "js"}, "divergence must be one of 'sinkhorn', 'kl'.*'js'"),
    ({"extractor_objective": "maximize"}, "extractor_objective must be one of 'minimize', 'adversarial', 'frozen'"),
    ({"generator": "dense"}, "generator must be one of 'capsule', 'conv', None or a Keras layer.*'dense'"),
    ({"generator": len}, "generator must be one of"),
    ({"extractor": "capsule"}, "extractor must be one of 'conv', None or a Keras layer.*'capsule'"),
    ({"extractor": 3}, "extractor must be one of"),
    ({"num_capsules": 0}, "num_capsules must be an integer of at least 1"),
    ({"num_capsules": 2.5}, r"num_capsules.*2\.5"),
    ({"weight": math.nan}, "weight must be a finite number"),
]

AT_BUILD = [  # options, higher shape, lower shape, message
    ({}, (4, 4, 6), (8, 8, 6), r"multiples of num_capsules=32.*\(None, 4, 4, 6\).*generator=\"conv\" takes any"),
    ({"num_capsules": 3}, (4, 4, 6), (8, 8, 4), "multiples of num_capsules=3"),
    ({"num_capsules": 2}, (6, 4), (6, 4), "capsule.*feature maps"),
    ({"num_capsules": 2}, (4,), (4,), "capsule.*feature maps"),
    ({"generator": "conv"}, (2, 2, 4), (8, 8, 4), r"keeps or doubles the size.*\(None, 2, 2, 4\).*\(None, 8, 8, 4\)"),
    ({"generator": "conv"}, (8, 8, 4), (4, 4, 4), "keeps or doubles the size"),
    ({"generator": "conv"}, (4, 8, 4), (8, 9, 4), "keeps or doubles the size"),
    ({"generator": "conv"}, (5, 4), (12, 4), "keeps or doubles the size"),
    ({"generator": "conv"}, (4,), (8, 8, 4), "two feature maps, two token sequences or two feature vectors"),
    ({"generator": "conv"}, (4, 4, 4, 4), (4, 4, 4, 4), "two feature maps, two token sequences"),
    ({"generator": "conv"}, (None, 4, 4), (8, 8, 4), "Sizes must be known"),
    ({"generator": "conv"}, (None, 4), (None, 4), "Sizes must be known"),
    ({"generator": None}, (4, 4, 4), (8, 8, 4), r"The higher layer has shape \(None, 4, 4, 4\).*\(None, 8, 8, 4\)"),
]


@pytest.mark.parametrize(("wrong", "message"), AT_CONSTRUCTION, ids=str)
def test_at_construction(wrong, message):
    with pytest.raises(ValueError, match=message):
        FeedbackAgreement(**wrong)


@pytest.mark.parametrize(("options", "higher", "lower", "message"), AT_BUILD, ids=str)
def test_at_build(options, higher, lower, message):
    unit = FeedbackAgreement(**options)
    with pytest.raises(ValueError, match=message):
        unit.build([(None, *higher), (None, *lower)])


def test_in_a_model_at_once():
    """When the layers are connected, not when training begins."""
    inputs = keras.Input((16, 16, 4))
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same")(inputs)
    with pytest.raises(ValueError, match="keeps or doubles the size"):
        FeedbackAgreement(generator="conv")([x, inputs])


def test_own_generator_of_another_shape():
    unit = FeedbackAgreement(generator=keras.layers.Dense(5), name="mine")
    with pytest.raises(ValueError, match=r"mine: The generator makes shape \(None, 5\).*\(None, 6\)"):
        unit.build([(None, 4), (None, 6)])


@pytest.mark.parametrize("call", [lambda unit, x: unit(x), lambda unit, x: unit([x]), lambda unit, x: unit([x, x, x])])
def test_not_called_on_a_pair(call):
    with pytest.raises(ValueError, match=r"called on \[higher, lower\]"):
        call(FeedbackAgreement(generator="conv", name="mine"), np.ones((2, 4), "float32"))


def test_batches_of_different_size():
    unit = FeedbackAgreement(generator="conv", extractor=None)
    with pytest.raises(ValueError, match="as many points"):
        unit([np.ones((2, 4), "float32"), np.ones((3, 4), "float32")], training=True)


def test_an_extractor_that_cannot_take_the_lower_layer():
    unit = FeedbackAgreement(generator="conv", extractor=keras.layers.Conv2D(2, 3))
    with pytest.raises(ValueError):  # noqa: PT011 - the extractor's own words
        unit.build([(None, 4), (None, 4)])


def test_the_agreement_of_a_unit_that_is_not_built_builds_it():
    x = np.ones((2, 4), "float32")
    unit = FeedbackAgreement(generator="conv")
    assert np.isfinite(float(unit.agreement(x, x)))
    assert unit.built
