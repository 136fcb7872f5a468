"""Results do not depend on the execution: under XLA, in a graph with an unknown batch, in other precisions."""

import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.ops import sinkhorn, sinkhorn_divergence
from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, cost_scale, problem, relative_error, value_and_gradients


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"cost": "euclidean", "differentiate_plan": True, "iterations": 25}, marks=pytest.mark.ci),
        {"cost": "sqeuclidean", "value": "dual", "debias": False, "iterations": 3, "relative_epsilon": True},
        {"cost": "cosine", "solver": "plain", "differentiate_plan": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_jit_equals_no_jit(options):

    @tf.function(jit_compile=True)
    def jitted(x, y):
        with tf.GradientTape() as tape:
            tape.watch([x, y])
            value = sinkhorn_divergence(x, y, epsilon=0.3, **options)
        return value, tape.gradient(value, [x, y])

    for kind in ("gaussian", "zero_rows"):
        x, y = problem(kind)
        value, gradients = jitted(tf.constant(x), tf.constant(y))
        expected, expected_gradients = value_and_gradients(x, y, epsilon=0.3, **options)
        assert float(value) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert relative_error(np.stack(gradients), expected_gradients) < 1e-4


def test_jit_stays_finite_at_tiny_epsilon():
    x, y = problem("clustered")
    jitted = tf.function(lambda x, y: sinkhorn_divergence(x, y, 1e-6, 60, "sqeuclidean"), jit_compile=True)
    assert np.isfinite(float(jitted(x, y)))
    assert abs(float(jitted(x, x))) < 1e-5


@pytest.mark.parametrize(
    "options",
    [{}, {"iterations": 60, "differentiate_plan": True}, {"solver": "plain", "debias": False}],
    ids=str,
)
def test_unknown_batch(options):
    """A Keras model's last batch has another size: one trace must serve them all."""
    function = tf.function(
        lambda x, y: sinkhorn_divergence(x, y, 0.3, **options), input_signature=[tf.TensorSpec([None, 4])] * 2
    )
    for size in (1, 3, 12):
        x, y = problem("gaussian", size)
        assert float(function(x, y)) == pytest.approx(float(sinkhorn_divergence(x, y, 0.3, **options)), abs=1e-6)


def test_unknown_batch_of_one_side():
    """A reshape to -1 makes one batch size unknown, which does not make the sets unequal."""
    x, y = problem("gaussian")
    forgets = tf.function(
        lambda x, y: sinkhorn_divergence(x, y, 0.3),
        input_signature=[tf.TensorSpec([None, 4]), tf.TensorSpec([12, 4])],
    )
    assert float(forgets(x, y)) == pytest.approx(float(sinkhorn_divergence(x, y, 0.3)), abs=1e-6)


def test_unknown_batch_of_a_cost_matrix():
    function = tf.function(lambda matrix: sinkhorn(matrix, 0.3).plan, input_signature=[tf.TensorSpec([None, None])])
    matrix = np.float32(reference.cost_matrix(*problem("gaussian"), "cosine"))
    np.testing.assert_allclose(function(matrix), sinkhorn(matrix, 0.3).plan, rtol=1e-4, atol=1e-7)


def test_epsilon_may_be_a_tensor():
    """So a schedule can change it without a new trace."""
    x, y = problem("gaussian")
    function = tf.function(lambda epsilon: sinkhorn_divergence(x, y, epsilon))
    for epsilon in (0.1, 1.0):
        ours = float(function(tf.constant(epsilon)))
        assert ours == pytest.approx(float(sinkhorn_divergence(x, y, epsilon)), rel=1e-5)


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype, solver):
    x, y = (tf.cast(points, dtype) for points in problem("gaussian"))
    options = {"epsilon": 0.05, "solver": solver, "differentiate_plan": True}
    value, gradients = value_and_gradients(x, y, **options)
    raised = [tf.cast(points, "float32").numpy() for points in (x, y)]
    expected, expected_gradients = value_and_gradients(*raised, **options)
    assert value.dtype == "float32"
    assert value == expected
    assert gradients.dtype == x.dtype.as_numpy_dtype
    assert relative_error(gradients, expected_gradients) < (1e-3 if dtype == "float16" else 8e-3)


def test_one_half_and_one_full_set():
    """A mixed-precision network's features against float32 targets."""
    x, y = problem("gaussian")
    value, _ = value_and_gradients(tf.cast(x, "float16"), y, epsilon=0.3)
    assert value.dtype == "float32"
    assert value == pytest.approx(float(sinkhorn_divergence(x, y, 0.3)), rel=1e-2)


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("cost", COSTS)
def test_float64_stays_float64(cost, solver):
    x, y = (np.float64(points) for points in problem("gaussian"))
    epsilon = 0.5 * cost_scale(x, y, cost)
    value, gradients = value_and_gradients(x, y, epsilon=epsilon, iterations=200, cost=cost, solver=solver)
    assert value.dtype == gradients.dtype == "float64"
    # The symmetric solver makes eight steps whatever the precision.
    tolerance = 2e-6 if solver == "fast" else 1e-7
    assert value == pytest.approx(reference.divergence(x, y, epsilon, cost), rel=tolerance)


def test_float64_keeps_every_digit_of_epsilon():
    assert float(sinkhorn(np.eye(3), 0.1).epsilon) == 0.1
