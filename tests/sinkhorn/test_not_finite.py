"""NaN stays visible: what is not finite in the points, or overflows, is not finite in value and gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.ops import pairwise_cost, sinkhorn, sinkhorn_divergence
from encapnet_tf.ops.transport.pairwise_cost import self_cost
from tests.sinkhorn.problems import COSTS, problem, value_and_gradients

WRONG = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "1e20": 1e20}  # the square of 1e20 overflows
OPTIONS = {
    "default": {},
    "one_step": {"iterations": 1, "debias": False},
    "until_converged": {"iterations": 60, "differentiate_plan": True},
    "dual": {"value": "dual", "relative_epsilon": True},
    "dual_biased": {"value": "dual", "debias": False, "iterations": 60},
    "plain": {"solver": "plain", "differentiate_plan": True},
    "plain_dual": {"solver": "plain", "value": "dual", "debias": False},
}


def with_wrong(kind, wrong, side, size=12):
    """Return two sets, with one wrong entry in one of them."""
    sets = problem(kind, size)
    sets[side][size // 2, 1] = wrong
    return sets


def assert_visible(value, gradients):
    assert not np.isfinite(value)
    assert not np.isfinite(gradients).any()


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cost", COSTS)
def test_divergence(cost, options):
    """Every kind of wrong entry, in either set in turn, among points that differ and points that coincide."""
    for i, wrong in enumerate(WRONG.values()):
        side = (i + list(OPTIONS).index(options)) % 2
        sets = with_wrong(("gaussian", "identical")[i // 2], wrong, side)
        assert_visible(*value_and_gradients(*sets, epsilon=0.5, cost=cost, **OPTIONS[options]))


@pytest.mark.ci
@pytest.mark.parametrize(
    ("options", "cost", "execution"),
    [
        ("default", "euclidean", "step"),
        ("until_converged", "cosine", "step"),
        ("dual_biased", "sqeuclidean", "step"),
        ("plain", "cosine", "xla"),
        ("default", "euclidean", "xla"),
    ],
)
def test_divergence_in_a_compiled_step(options, cost, execution):
    """In the compiled parts of a training step, and under XLA as a whole, with one trace for all batch sizes."""

    @tf.function(jit_compile=execution == "xla", input_signature=[tf.TensorSpec([None, 4])] * 2)
    def step(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            value = sinkhorn_divergence(x, y, 0.5, cost=cost, training=True, **OPTIONS[options])
        return value, tape.gradient(value, [x, y])

    for wrong in (np.nan, 1e20):
        value, gradients = step(*with_wrong("gaussian", wrong, 0))
        assert_visible(value, np.stack(gradients))
    value, gradients = step(*problem("gaussian"))
    assert np.isfinite(value)
    assert np.isfinite(gradients).all()


@pytest.mark.parametrize("cost", COSTS)
def test_a_batch_of_one_or_two(cost):
    for size in (1, 2):
        for side in (0, 1):
            assert_visible(*value_and_gradients(*with_wrong("gaussian", np.nan, side, size), cost=cost))


@pytest.mark.parametrize(("dtype", "wrong"), [("float16", np.inf), ("bfloat16", 1e20), ("float64", 1e200)])
@pytest.mark.parametrize("cost", COSTS)
def test_other_precisions(cost, dtype, wrong):
    x, y = problem("gaussian")
    x = tf.concat([tf.cast(x[:-1], dtype), tf.cast(np.full((1, 4), wrong), dtype)], axis=0)
    assert_visible(*(np.float64(part) for part in value_and_gradients(x, tf.cast(y, dtype), cost=cost)))


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("cost", COSTS)
def test_costs(cost, wrong):
    for side in (0, 1):
        sets = with_wrong("identical", wrong, side)
        assert not np.isfinite(pairwise_cost(*sets, cost)).any()
        assert not np.isfinite(self_cost(sets[side], cost)).any()


@pytest.mark.parametrize("cost", COSTS)
def test_large_points_that_do_not_overflow_are_exact(cost):
    x, y = problem("gaussian")
    factor = {"cosine": 1.0, "euclidean": 1e18, "sqeuclidean": 1e36}[cost]
    np.testing.assert_allclose(pairwise_cost(1e18 * x, 1e18 * y, cost) / factor, pairwise_cost(x, y, cost), atol=1e-5)


@pytest.mark.parametrize("solver", ["fast", "plain"])
def test_cost_matrix(solver):
    """NaN in a cost matrix reaches all of the result; an infinite cost forbids a pair and no more."""
    matrix = np.float32(np.random.default_rng(0).random((5, 5)))
    for wrong in (np.nan, -np.inf):
        matrix[2, 3] = wrong
        for iterations in (2, 60):
            result = sinkhorn(matrix, 0.5, iterations, solver)
            for part in (result.plan, result.potential_x, result.potential_y, result.marginal_error):
                assert not np.isfinite(part).any()
    matrix[2, 3] = np.inf
    plan = np.asarray(sinkhorn(matrix, 0.5, 200, solver).plan)
    assert plan[2, 3] == 0
    np.testing.assert_allclose([plan.sum(0), plan.sum(1)], 0.2, rtol=1e-4)


@pytest.mark.parametrize("cost", COSTS)
def test_fit_shows_it(cost):
    """A diverging network's loss is not a small number that the choice of a best model would keep."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(1e30), en.losses.SinkhornLoss(cost=cost))
    x, y = problem("gaussian", 8, 2)
    losses = model.fit(x, y, batch_size=8, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(losses[0])
    assert np.isnan(losses[1:]).all()


@pytest.mark.parametrize("divergence", ["sinkhorn", "kl"])
@pytest.mark.parametrize("extractor", ["conv", None])
def test_feedback_agreement(divergence, extractor):
    unit = en.layers.FeedbackAgreement(cost="euclidean", generator="conv", extractor=extractor, divergence=divergence)
    higher, lower = (tf.random.stateless_normal((4, 4, 4, 3), (side, 0)) for side in (0, 1))
    higher = tf.concat([higher[1:], higher[:1] * np.nan], axis=0)
    with tf.GradientTape() as tape:
        unit([higher, lower], training=True)
        (loss,) = unit.losses
    assert np.isnan(loss)
    for gradient in tape.gradient(loss, unit.generator.trainable_variables):
        assert np.isnan(gradient).any()
