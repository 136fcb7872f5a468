"""Every generator with every extractor on every kind of layers: they build, and train a step."""

import keras
import numpy as np
import pytest

from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import KINDS, data, gradients, network, sides

MAPS = [kind for kind in KINDS if kind.endswith("_map")]
SAME = [kind for kind in KINDS if kind.startswith("same_")]
GENERATED = [("conv", kind) for kind in KINDS] + [("capsule", kind) for kind in MAPS] + [(None, kind) for kind in SAME]


@pytest.mark.parametrize("cost", ["cosine", "sqeuclidean"])
@pytest.mark.parametrize("extractor", ["conv", None])
@pytest.mark.parametrize(("generator", "kind"), GENERATED)
def test_gradients_are_finite(generator, kind, extractor, cost):
    model = network(kind, generator=generator, extractor=extractor, cost=cost)
    x, _ = data(model)
    unit = model.get_layer("agreement")
    value, inputs, weights = gradients(unit, *sides(model, x))
    assert np.isfinite(float(value))
    assert all(np.isfinite(gradient).all() for gradient in [*inputs, *weights.values()])
    assert any(np.abs(gradient).max() > 0 for gradient in inputs)
    if generator is not None:
        kernels = [gradient for path, gradient in weights.items() if path.endswith("kernel")]
        assert any(np.abs(gradient).max() > 0 for gradient in kernels), "nothing in the unit learns"


@pytest.mark.parametrize("kind", KINDS)
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


@pytest.mark.parametrize(("generator", "kind"), GENERATED)
def test_the_generator_makes_the_lower_shape(generator, kind):
    model = network(kind, generator=generator)
    higher, lower = sides(model, data(model)[0])
    unit = model.get_layer("agreement")
    if generator is None:
        assert unit.generator is None
        return
    generated = unit.generator(higher)
    assert generated.shape == lower.shape
    assert unit.generator.compute_output_shape(higher.shape) == lower.shape
    assert float(keras.ops.min(generated)) >= 0  # after a ReLU
    if generator == "capsule":
        lengths = np.linalg.norm(np.reshape(generated, (*lower.shape[:-1], 2, -1)), axis=-1)
        assert lengths.max() < 1  # after a squash, two capsules here


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
def test_extracted_features(shape, features):
    unit = FeedbackAgreement(generator=None)
    unit.build([(None, *shape), (None, *shape)])
    assert unit.extractor.compute_output_shape((None, *shape)) == (None, *features)


@pytest.mark.parametrize("batch", [1, 2])
def test_small_batches(batch):
    """A last batch of one sample must not break an epoch."""
    model = network("even_map")
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = data(model, batch)
    history = model.fit(x, y, verbose=0).history
    assert np.isfinite([history["loss"], history["agreement"]]).all()
    assert all(np.isfinite(variable).all() for variable in model.variables)


def test_dead_features_give_no_nan():
    """A ReLU that let nothing through: all rows are zero."""
    unit = FeedbackAgreement(generator=None, extractor=None)
    unit.build([(None, 6), (None, 6)])
    value, inputs, _ = gradients(unit, np.zeros((4, 6), "float32"), np.zeros((4, 6), "float32"))
    assert float(value) == pytest.approx(0, abs=1e-6)
    assert all((np.asarray(gradient) == 0).all() for gradient in inputs)
