"""Saliency and occlusion: by hand on linear models, against differences on a capsule network, and errors."""

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.conformance.rows import enliven

SHAPE = (8, 6, 2)


def images(n=3, seed=3):
    return np.random.default_rng(seed).uniform(size=(n, *SHAPE)).astype("float32")


def linear(softmax=False):
    """Return a linear model of three classes and its weights (height, width, channels, classes)."""
    kernel = np.random.default_rng(1).normal(size=(np.prod(SHAPE), 3)).astype("float32")
    inputs = keras.Input(SHAPE)
    outputs = keras.layers.Dense(3, use_bias=False, name="logits")(keras.layers.Flatten()(inputs))
    model = keras.Model(inputs, keras.layers.Softmax()(outputs) if softmax else outputs)
    model.get_layer("logits").kernel.assign(kernel)
    return model, kernel.reshape(*SHAPE, 3)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(1)
    model = en.models.EncapNet(SHAPE, 3, (0,), (4,), (2,), 4, routing="master", include_rescaling=True)
    return enliven(model, 255 * images(8))


@pytest.mark.parametrize("softmax", [False, True])
def test_saliency_of_a_linear_model_is_its_weights(softmax):
    """A final softmax is left out, or the gradient would be scaled by p (1 - p) and mixed with other classes'."""
    model, weights = linear(softmax)
    x = images()
    np.testing.assert_allclose(en.explain.saliency(model, x, [2, 0, 1]), np.moveaxis(weights, -1, 0)[[2, 0, 1]], 1e-5)
    best = np.argmax(model(x), axis=1)
    np.testing.assert_allclose(en.explain.saliency(model, x), np.moveaxis(weights, -1, 0)[best], 1e-5)
    np.testing.assert_allclose(en.explain.saliency(model, x, 1), weights[None, ..., 1].repeat(3, axis=0), 1e-5)


def test_saliency_of_a_capsule_network_against_differences(network):
    x = 255 * images()
    gradient = en.explain.saliency(network, x, [0, 1, 2])
    direction = np.sign(gradient)
    rows = np.arange(3)
    above, below = (np.asarray(network(x + step * direction))[rows, rows] for step in (0.1, -0.1))
    np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), 5 * (above - below), rtol=0.03)
    assert np.abs(gradient).max() > 1e-5


def test_saliency_is_averaged_over_noisy_copies(network):
    x = 255 * images()
    once, mean = en.explain.saliency(network, x, 0), en.explain.saliency(network, x, 0, 4, noise=0.2, seed=5)
    assert np.abs(mean - once).max() > 1e-6
    np.testing.assert_array_equal(mean, en.explain.saliency(network, x, 0, 4, noise=0.2, seed=5))
    np.testing.assert_allclose(en.explain.saliency(network, x, 0, 4, noise=0.0), once, atol=1e-8)
    shifts = np.random.default_rng(5).standard_normal((4, *x.shape)) * np.ptp(x, axis=(1, 2, 3))[:, None, None, None]
    by_hand = np.mean([en.explain.saliency(network, (x + 0.2 * shift).astype("float32"), 0) for shift in shifts], 0)
    np.testing.assert_allclose(mean, by_hand, atol=1e-7)


def test_gradients_in_half_precision_do_not_vanish(network):
    """Gradients are scaled in the backward pass: here they are far below float16's smallest number."""
    keras.config.set_dtype_policy("mixed_float16")
    half = en.models.EncapNet(SHAPE, 3, (0,), (4,), (2,), 4, routing="master", include_rescaling=True)
    half.set_weights(network.get_weights())
    x = 255 * images()
    expected, gradient = (en.explain.saliency(model, x, 1) for model in (network, half))
    assert np.corrcoef(expected.ravel(), gradient.ravel())[0, 1] > 0.98
    assert gradient.dtype == "float32"


def test_occlusion_of_a_linear_model():
    model, weights = linear()
    x = images()
    drop = en.explain.occlusion(model, x, [2, 0, 1], patch=(2, 3), stride=(2, 3), value=0.0)
    for i, label in enumerate([2, 0, 1]):
        cells = (x[i] * weights[..., label]).sum(axis=-1).reshape(4, 2, 2, 3).sum(axis=(1, 3))
        np.testing.assert_allclose(drop[i], cells.repeat(2, axis=0).repeat(3, axis=1), atol=1e-5)


def test_patches_cover_every_pixel_and_end_at_the_edges(network):
    """Against a loop over patches, on a side that the stride does not divide."""
    x = 255 * images(2)
    drop = en.explain.occlusion(network, x, 1, patch=3, stride=2, value=100.0)
    total, count = np.zeros((2, 8, 6)), np.zeros((8, 6))
    for top in (0, 2, 4, 5):
        for left in (0, 2, 3):
            hidden = x.copy()
            hidden[:, top : top + 3, left : left + 3] = 100
            change = np.asarray(network(x) - network(hidden))[:, 1]
            total[:, top : top + 3, left : left + 3] += change[:, None, None]
            count[top : top + 3, left : left + 3] += 1
    np.testing.assert_allclose(drop, total / count, atol=1e-6)
    assert np.abs(drop).max() > 1e-3


def test_the_patch_has_the_colour_of_the_edges():
    """A bright object on a background of 0.25 and 0.5: hiding the background changes nothing."""
    x = np.zeros((1, *SHAPE), "float32") + (0.25, 0.5)
    x[:, 2:5, 2:4] = 1
    model, _ = linear()
    drop = en.explain.occlusion(model, x, 0, patch=1)
    outside = np.ones((8, 6), bool)
    outside[2:5, 2:4] = False
    assert np.abs(drop[0, outside]).max() < 1e-5
    assert np.abs(drop[0, ~outside]).min() > 1e-4


def two_outputs():
    x = keras.Input(SHAPE)
    return keras.Model(x, [keras.layers.Flatten()(x)] * 2)


def without_gradient():
    x = keras.Input(SHAPE, dtype="int32")
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(keras.ops.cast(x, "float32"))))


@pytest.mark.parametrize("function", [en.explain.saliency, en.explain.occlusion])
@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (linear, {"images": np.zeros(SHAPE)}, "images must be a batch"),
        (linear, {"images": np.zeros((0, *SHAPE))}, "at least one image"),
        (linear, {"images": np.zeros((1, 6, 8, 2))}, r"takes inputs of shape \(None, 8, 6, 2\)"),
        (linear, {"labels": [0, 1]}, "labels must be 3 integers from 0 to 2"),
        (linear, {"labels": [0, 1, 3]}, "labels must be 3 integers from 0 to 2"),
        (linear, {"labels": [0.0, 1.0, 2.0]}, "labels must be 3 integers"),
        (lambda: (two_outputs(), None), {}, "must have one output"),
    ],
)
def test_wrong_arguments(function, make, arguments, message):
    model, _ = make()
    with pytest.raises(ValueError, match=message):
        function(model, **{"images": images(), **arguments})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patch": 9}, "patch must be at most as large as the images"),
        ({"patch": 2, "stride": 3}, "stride must be at most the patch"),
        ({"patch": 0}, "patch must be an integer of at least 1"),
        ({"value": np.nan}, "value must be a finite number"),
    ],
)
def test_wrong_patches(arguments, message):
    with pytest.raises(ValueError, match=message):
        en.explain.occlusion(linear()[0], images(), **arguments)


def test_no_gradient():
    with pytest.raises(ValueError, match="No gradient reaches the images"):
        en.explain.saliency(without_gradient(), images())
    with pytest.raises(ValueError, match="samples must be an integer"):
        en.explain.saliency(linear()[0], images(), samples=0)
