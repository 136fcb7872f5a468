"""Dynamic and EM routing: the release's values, the published equations in NumPy, extremes, and memory."""

import importlib
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en

DATA = Path(__file__).parents[2] / "data"


def error(ours, reference):
    """Relative error in the Frobenius norm."""
    ours, reference = np.float64(ours), np.float64(reference)
    return np.linalg.norm(ours - reference) / np.linalg.norm(reference)


def loaded(kind, file, **options):
    """The layer that a golden file is about, with its weights."""
    state = {name.removeprefix("w/"): file[name] for name in file.files if name.startswith("w/")}
    num_capsules, capsule_dim = file["v"].shape[1:]
    inputs = len(state["W.bias"]) // (num_capsules * capsule_dim)
    layer = kind(num_capsules, capsule_dim, inputs, int(file["iterations"]), **options)
    layer.build(file["x_nhwc"].shape)
    en.interop.load_official_state_dict(layer, state)
    return layer


def test_dynamic_routing_of_the_release():
    file = np.load(DATA / "routing_dynamic.npz")
    layer = loaded(en.layers.DynamicRouting, file, softmax_over="input")
    assert error(layer(file["x_nhwc"]), file["v"]) < 1e-6
    assert error(loaded(en.layers.DynamicRouting, file)(file["x_nhwc"]), file["v"]) > 0.1, "the softmax matters"


@pytest.mark.parametrize("training", [False, True])
def test_em_routing_of_the_release(training):
    file = np.load(DATA / "routing_em.npz")
    layer = loaded(en.layers.EMRouting, file, rescale=True)
    capsules, activations = layer(file["x_nhwc"], file["in_activation"], training=training)
    assert error(capsules, file["v"]) < 1e-4
    assert error(activations, file["activation"]) < 1e-4


def test_weights_of_another_size_are_refused():
    file = np.load(DATA / "routing_dynamic.npz")
    layer = en.layers.DynamicRouting(5, 8, num_input_capsules=4)
    layer.build(file["x_nhwc"].shape)
    with pytest.raises(ValueError, match=r"W.bias has shape \(7,\)"):
        en.interop.load_official_state_dict(layer, {"W.weight": file["w/W.weight"], "W.bias": np.zeros(7)})


# The published equations, with all votes in memory.


def problem(seed=0, batch=2, inputs=2, positions=6, input_dim=3, outputs=4, dim=5, scale=1.0):
    """Capsules, activations, kernel and bias in float64."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(batch, inputs, positions, input_dim)) * scale,
        rng.uniform(0.1, 1, size=(batch, inputs, positions)),
        rng.normal(size=(inputs, input_dim, outputs, dim)),
        rng.normal(size=(inputs, outputs, dim)) * scale,
    )


def votes_of(capsules, kernel, bias):
    """v_{j|i}: (batch, all inputs, outputs, dim)."""
    votes = np.einsum("bgpe,gejd->bgpjd", capsules, kernel) + bias[:, None]
    return votes.reshape(len(capsules), -1, *votes.shape[-2:])


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def dynamic_in_numpy(votes, iterations, axis):
    b = np.zeros(votes.shape[:3])
    for _ in range(iterations):
        s = (softmax(b, axis)[..., None] * votes).sum(axis=1)
        squared = (s**2).sum(axis=-1, keepdims=True)
        v = squared / (1 + squared) * s / np.sqrt(squared)
        b = b + (votes * v[:, None]).sum(axis=-1)
    return v


def em_in_numpy(votes, activations, beta_u, beta_a, iterations, inverse_temperature):
    r = np.full(votes.shape[:3], 1 / votes.shape[2])
    for i in range(iterations):
        weighted = (r * activations.reshape(len(votes), -1, 1))[..., None]
        mass = weighted.sum(axis=1)
        mu = (weighted * votes).sum(axis=1) / mass
        variance = (weighted * (votes - mu[:, None]) ** 2).sum(axis=1) / mass
        cost = ((beta_u[:, None] + np.log(np.sqrt(variance))) * mass).sum(axis=-1)
        a = 1 / (1 + np.exp(-inverse_temperature * (1 - 0.95 ** (i + 1)) * (beta_a - cost)))
        p = np.exp(-((votes - mu[:, None]) ** 2 / (2 * variance[:, None])).sum(axis=-1))
        p /= np.sqrt((2 * np.pi * variance).prod(axis=-1))[:, None]
        r = a[:, None] * p / (a[:, None] * p).sum(axis=-1, keepdims=True)
    return mu, a


@pytest.mark.parametrize(("softmax_over", "axis"), [("output", 2), ("input", 1)])
@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_dynamic_routing_is_the_published_one(softmax_over, axis, iterations):
    capsules, _, kernel, bias = problem()
    ours = en.ops.dynamic_routing(capsules, kernel, bias, iterations, softmax_over)
    assert error(ours, dynamic_in_numpy(votes_of(capsules, kernel, bias), iterations, axis)) < 1e-10


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("iterations", [1, 3])
def test_em_routing_is_the_published_one(iterations, recompute):
    capsules, activations, kernel, bias = problem()
    beta_u, beta_a = np.linspace(-1, 1, 4), np.linspace(2, -2, 4)
    mu, a = en.ops.em_routing(
        capsules, activations, kernel, bias, beta_u, beta_a, iterations, inverse_temperature=3.0, recompute=recompute
    )
    expected = em_in_numpy(votes_of(capsules, kernel, bias), activations, beta_u, beta_a, iterations, 3.0)
    assert error(mu, expected[0]) < 1e-7
    assert error(a, expected[1]) < 1e-7


@pytest.mark.parametrize("rescale", [False, True])
def test_pieces_and_recomputation_change_nothing(monkeypatch, rescale):
    """Values and gradients in one piece, and in pieces that do not divide the capsules."""
    tensors = [tf.constant(x, "float32") for x in (*problem(outputs=7), np.linspace(-1, 1, 7), np.linspace(1, -1, 7))]
    results = []
    for piece, recompute in ((2**22, False), (150, True)):
        monkeypatch.setattr(importlib.import_module("encapnet_tf.ops.routing.em_routing"), "_VOTES_PER_PIECE", piece)
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            mu, a = en.ops.em_routing(*tensors, rescale=rescale, inverse_temperature=2.0, recompute=recompute)
            loss = tf.reduce_sum(mu**2) + tf.reduce_sum(a * tf.range(7.0))
        results.append([mu, a, *tape.gradient(loss, tensors)])
    for one, pieces in zip(*results, strict=True):
        assert np.abs(one).max() > 1e-4
        assert error(pieces, one) < 1e-4


def test_the_gradient_of_em_is_that_of_finite_differences():
    """No gradient is lost where the mean's is stopped."""
    capsules, activations, kernel, bias = problem(scale=0.5)
    zeros = np.zeros(4)

    def loss(c):
        mu, a = en.ops.em_routing(c, activations, kernel, bias, zeros, zeros, inverse_temperature=3.0)
        return tf.reduce_sum(mu**3) + tf.reduce_sum(a * tf.range(4, dtype="float64"))

    x = tf.constant(capsules)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = loss(x)
    gradient = tape.gradient(y, x).numpy()
    direction = np.random.default_rng(3).normal(size=capsules.shape)
    step = 1e-5
    slope = float(loss(capsules + step * direction) - loss(capsules - step * direction)) / (2 * step)
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-5)


EXTREMES = {
    "zeros": lambda u: u * 0,
    "all equal": lambda u: u * 0 + 1,
    "tiny": lambda u: u * 1e-6,
    "large": lambda u: u * 1e4,
    "one of them far away": lambda u: np.where(np.arange(u.shape[2])[:, None] == 0, 1e3, u),
}


@pytest.mark.parametrize("rescale", [False, True])
@pytest.mark.parametrize("name", EXTREMES)
def test_em_routing_in_float32_at_extremes(name, rescale):
    capsules, activations, kernel, bias = problem(dim=16)
    tensors = [tf.constant(x, "float32") for x in (EXTREMES[name](capsules), activations, kernel, bias * 0)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        mu, a = en.ops.em_routing(*tensors, np.zeros(4, "float32"), np.zeros(4, "float32"), rescale=rescale)
        loss = tf.reduce_sum(mu) + tf.reduce_sum(a)
    assert np.isfinite(mu).all()
    assert np.isfinite(a).all()
    assert all(np.isfinite(g).all() for g in tape.gradient(loss, tensors))


def test_em_routing_with_no_active_input():
    capsules, activations, kernel, bias = problem()
    mu, a = en.ops.em_routing(capsules, activations * 0, kernel, bias, np.zeros(4), np.zeros(4))
    np.testing.assert_allclose(mu, 0, atol=1e-6)
    assert np.isfinite(a).all()


def test_a_capsule_that_the_lower_ones_agree_on_is_active():
    """Eight lower capsules say the same of the first higher capsule, and nothing in common of the second."""
    rng = np.random.default_rng(0)
    agreed = rng.normal(size=4)
    kernel, bias = np.zeros((8, 1, 2, 4)), rng.normal(size=(8, 2, 4)) * 3
    bias[:, 0] = agreed + 0.01 * rng.normal(size=(8, 4))
    mu, a = en.ops.em_routing(
        np.zeros((1, 8, 1, 1)), np.ones((1, 8, 1)), kernel, bias, np.zeros(2), np.zeros(2), inverse_temperature=2.0
    )
    assert np.abs(np.asarray(mu)[0, 0] - agreed).max() < 0.05
    assert float(a[0, 0]) > 0.9 > 0.6 > float(a[0, 1])


# The layers.


def test_a_map_and_its_capsules_are_the_same_input():
    """Capsules come in the order (capsule, height, width); activations likewise."""
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 8)).astype("float32")
    capsules = x.reshape(2, 3, 2, 4, 2).transpose(0, 3, 1, 2, 4).reshape(2, 24, 2)
    activations = np.abs(x[..., ::2])
    for kind in (en.layers.DynamicRouting, en.layers.EMRouting):
        of_map, of_capsules = (kind(3, 4, num_input_capsules=4) for _ in range(2))
        of_map.build(x.shape)
        of_capsules.build(capsules.shape)
        of_capsules.set_weights(of_map.get_weights())
        results = of_map(x), of_capsules(capsules)
        if kind is en.layers.EMRouting:
            vector = activations.transpose(0, 3, 1, 2).reshape(2, 24)
            results = of_map(x, activations)[0], of_capsules(capsules, vector)[0]
        np.testing.assert_allclose(*results, atol=1e-6)
        votes = of_map.mapped_capsules(x)
        assert votes.shape == (2, 24, 3, 4)
        np.testing.assert_allclose(votes, of_capsules.mapped_capsules(capsules), atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((2, 3, 2, 7), {}, "multiple of 4"),
        ((2, 7, 2), {}, "multiple of 4"),
        ((None, None, 2, 8), {}, "known size"),
        ((2, 8), {}, "feature map"),
        ((2, 3, 2, 8), {"num_capsules": 0}, "num_capsules"),
        ((2, 3, 2, 8), {"iterations": 0}, "iterations"),
        ((2, 3, 2, 8), {"capsule_dim": 1.5}, "capsule_dim"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [en.layers.DynamicRouting, en.layers.EMRouting])
def test_wrong_input_raises(kind, shape, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"num_capsules": 3, "capsule_dim": 4, "num_input_capsules": 4, **options}).build(shape)


def test_wrong_choices_raise():
    with pytest.raises(ValueError, match="softmax_over must be one of 'output', 'input'"):
        en.layers.DynamicRouting(3, 4, softmax_over="both")
    for value in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="inverse_temperature"):
            en.layers.EMRouting(3, 4, inverse_temperature=value)
    layer = en.layers.EMRouting(3, 4, num_input_capsules=4)
    with pytest.raises(ValueError, match="an activation for each of its 4 x 6 input capsules"):
        layer(np.ones((2, 3, 2, 8)), np.ones((2, 3, 2, 8)))


def test_dynamic_routing_never_holds_all_votes():
    """No tensor of the routing's graph, forward or gradient, is as large as they are."""
    layer = en.layers.DynamicRouting(64, 16, num_input_capsules=4)
    layer.build((2, 8, 8, 16))

    @tf.function
    def step(x):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True))
        return tape.gradient(loss, [v.value for v in layer.trainable_weights])

    graph = step.get_concrete_function(tf.TensorSpec((2, 8, 8, 16))).graph
    sizes = [math.prod(t.shape) for op in graph.get_operations() for t in op.outputs if t.shape.is_fully_defined()]
    assert len(sizes) > 50
    assert max(sizes) <= 2 * 256 * 64, "the coupling coefficients are the largest"
    assert math.prod(layer.mapped_capsules(keras.ops.ones((2, 8, 8, 16))).shape) == 2 * 256 * 64 * 16
