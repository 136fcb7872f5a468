"""Generators and extractors on layers of every kind, and the errors for wrong arguments and shapes."""

import math

import keras
import numpy as np
import pytest

from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import KINDS, data, gradients, network, sides

MAPS = [kind for kind in KINDS if kind.endswith("_map")]
SAME = [kind for kind in KINDS if kind.startswith("same_")]
GENERATED = [("conv", kind) for kind in KINDS] + [("capsule", kind) for kind in MAPS] + [(None, kind) for kind in SAME]
COSTS = ("cosine", "sqeuclidean")
# The extractor depends on the kind of layers: every pair of a generator and a kind is tested with it, some without.
CASES = [(*pair, "conv", COSTS[i % 2]) for i, pair in enumerate(GENERATED)]
CASES += [("capsule", "even_map", None, "cosine"), ("conv", "odd_tokens", None, "sqeuclidean")]
CASES += [("conv", "features", None, "cosine"), (None, "same_map", None, "sqeuclidean")]


@pytest.mark.parametrize(("generator", "kind", "extractor", "cost"), CASES)
def test_generated_shape_and_gradients(generator, kind, extractor, cost):
    model = network(kind, generator=generator, extractor=extractor, cost=cost)
    unit = model.get_layer("agreement")
    higher, lower = sides(model, data(model)[0])
    value, inputs, weights = gradients(unit, higher, lower)
    assert np.isfinite(float(value))
    assert all(np.isfinite(gradient).all() for gradient in [*inputs, *weights.values()])
    assert any(np.abs(gradient).max() > 0 for gradient in inputs)
    if generator is None:
        assert unit.generator is None
        return
    kernels = [gradient for path, gradient in weights.items() if path.endswith("kernel")]
    assert any(np.abs(gradient).max() > 0 for gradient in kernels), "some weight of the unit learns"
    generated = unit.generator(higher)
    assert generated.shape == lower.shape
    assert unit.generator.compute_output_shape(higher.shape) == lower.shape
    assert float(keras.ops.min(generated)) >= 0  # after a ReLU
    if generator == "capsule":
        lengths = np.linalg.norm(np.reshape(generated, (*lower.shape[:-1], 2, -1)), axis=-1)
        assert lengths.max() < 1  # after a squash, two capsules here


@pytest.mark.parametrize("kind", ["odd_map", "doubled_tokens", "features"])
def test_a_training_step(kind):
    model = network(kind, num_capsules=2)
    unit = model.get_layer("agreement")
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    x, y = data(model)
    before = [np.array(variable) for variable in unit.trainable_variables]
    assert np.isfinite(model.train_on_batch(x, y, return_dict=True)["loss"])
    after = [np.array(variable) for variable in unit.trainable_variables]
    assert all(np.isfinite(value).all() for value in after)
    assert any((old != new).any() for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ((8, 8, 16), (2, 2, 1)),  # two strides of 2
        ((9, 16, 3), (3, 4, 1)),
        ((7, 16, 8), (7, 16, 1)),  # below 8 pixels a side none
        ((4, 4, 2), (4, 4, 1)),
        ((16, 8), (4, 1)),
        ((6, 8), (6, 1)),
        ((64,), (4,)),  # dense: a quarter, a sixteenth
        ((5,), (4,)),  # but no fewer than 4
    ],
    ids=str,
)
def test_shape_of_extracted_features(shape, features):
    unit = FeedbackAgreement(generator=None)
    unit.build([(None, *shape), (None, *shape)])
    assert unit.extractor.compute_output_shape((None, *shape)) == (None, *features)


@pytest.mark.parametrize(
    ("shape", "features"),
    [
        ((8, 8, 16), (2, 2, 4)),
        ((8, 8, 2), (2, 2, 4)),
        ((16, 16, 8), (4, 4, 1)),
        ((2, 1, 4), (2, 1, 4)),  # all 8 values
        ((16, 8), (4, 4)),
        ((64,), (16,)),
        ((6,), (6,)),
    ],
    ids=str,
)
def test_wide_features(shape, features):
    """At least 16 features, or all that the layer has, which may be negative."""
    unit = FeedbackAgreement(generator=None, extractor="wide")
    unit.build([(None, *shape), (None, *shape)])
    assert unit.extractor.compute_output_shape((None, *shape)) == (None, *features)
    x = np.random.default_rng(0).normal(size=(8, *shape)).astype("float32")
    assert float(keras.ops.min(unit.extractor(x, training=True))) < 0


@pytest.mark.parametrize("batch", [1, 2])
def test_small_batches(batch):
    """A last batch of one sample trains too."""
    model = network("even_map")
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = data(model, batch)
    history = model.fit(x, y, verbose=0).history
    assert np.isfinite([history["loss"], history["agreement"]]).all()
    assert all(np.isfinite(variable).all() for variable in model.variables)


def test_dead_features_give_no_nan():
    """All rows are zero, as after a ReLU without positive inputs."""
    unit = FeedbackAgreement(generator=None, extractor=None)
    unit.build([(None, 6), (None, 6)])
    value, inputs, _ = gradients(unit, np.zeros((4, 6), "float32"), np.zeros((4, 6), "float32"))
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert all((np.asarray(gradient) == 0).all() for gradient in inputs)


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
    ({"divergence": "js"}, "divergence must be one of 'sinkhorn', 'paired', 'kl'.*'js'"),
    ({"extractor_objective": "maximize"}, "extractor_objective must be one of 'minimize', 'adversarial', 'frozen'"),
    ({"generator": "dense"}, "generator must be one of 'capsule', 'conv', 'resize', None or a Keras layer.*'dense'"),
    ({"generator": len}, "generator must be one of"),
    ({"extractor": "capsule"}, "extractor must be one of 'conv', 'wide', None or a Keras layer.*'capsule'"),
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
    ({"generator": "conv"}, (None, 4, 4), (8, 8, 4), "only if their sizes are known"),
    ({"generator": "conv"}, (None, 4), (None, 4), "only if their sizes are known"),
    ({"generator": None}, (4, 4, 4), (8, 8, 4), r"The higher layer has shape \(None, 4, 4, 4\).*\(None, 8, 8, 4\)"),
]


@pytest.mark.parametrize(("arguments", "message"), AT_CONSTRUCTION, ids=str)
def test_wrong_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeedbackAgreement(**arguments)


@pytest.mark.parametrize(("options", "higher", "lower", "message"), AT_BUILD, ids=str)
def test_shapes_that_do_not_fit(options, higher, lower, message):
    unit = FeedbackAgreement(**options)
    with pytest.raises(ValueError, match=message):
        unit.build([(None, *higher), (None, *lower)])


def test_errors_come_when_the_layers_are_connected():
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
    with pytest.raises(ValueError, match="as many samples"):
        unit([np.ones((2, 4), "float32"), np.ones((3, 4), "float32")], training=True)


def test_an_extractor_that_cannot_take_the_lower_layer():
    unit = FeedbackAgreement(generator="conv", extractor=keras.layers.Conv2D(2, 3))
    with pytest.raises(ValueError):  # noqa: PT011 (the message is the extractor's)
        unit.build([(None, 4), (None, 4)])


def test_agreement_builds_the_unit():
    x = np.ones((2, 4), "float32")
    unit = FeedbackAgreement(generator="conv")
    assert np.isfinite(float(unit.agreement(x, x)))
    assert unit.built
