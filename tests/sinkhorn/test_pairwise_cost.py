"""Ground costs: values, zero rows, offsets, gradients where distances vanish."""

import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.transport.pairwise_cost import pairwise_cost, self_cost
from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, KINDS, cost_scale, problem, value_and_gradients


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "nearly_coincident"])
def test_values(kind, cost):
    x, y = problem(kind)
    ours, expected = np.asarray(pairwise_cost(x, y, cost)), reference.cost_matrix(x, y, cost)
    assert ours.min() >= 0
    # The square of a distance is accurate to a share of |x|^2 + |y|^2, so the root of a small one is less so.
    if cost == "euclidean":
        ours, expected = ours**2, expected**2
    np.testing.assert_allclose(ours, expected, atol=2e-6 * (1 if cost == "cosine" else largest_squared(x, y)))


def largest_squared(x, y):
    centre = np.concatenate([x, y]).mean(0, dtype="float64")
    return max(np.sum((points - centre) ** 2, axis=1).max() for points in (x, y))


def test_shapes_may_differ_in_the_number_of_points():
    x, y = np.ones((3, 2), "float32"), np.ones((5, 2), "float32")
    assert pairwise_cost(x, y, "euclidean").shape == (3, 5)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", ["gaussian", "zero_rows", "offset"])
def test_self_cost(kind, cost):
    x, _ = problem(kind)
    ours = np.asarray(self_cost(x, cost))
    np.testing.assert_allclose(ours, reference.self_cost(x, cost), atol=3e-6 * cost_scale(x, x, cost))
    expected = (cost == "cosine") & (np.linalg.norm(x, axis=1) == 0)
    np.testing.assert_array_equal(np.diag(ours), np.float32(expected))  # exactly


@pytest.mark.parametrize("cost", COSTS)
def test_one_side_of_a_self_cost_counts_half(cost):
    """Under symmetric weights, twice the one-sided gradient is the whole one."""
    x, _ = problem("gaussian")
    weights = np.random.default_rng(3).random((len(x), len(x))).astype("float32")
    weights += weights.T

    def weighted(x, _, both_sides):
        return tf.reduce_sum(weights * self_cost(x, cost, both_sides)) + 0 * tf.reduce_sum(_)

    whole, half = (value_and_gradients(x, x, weighted, both_sides=both)[1][0] for both in (True, False))
    np.testing.assert_allclose(2 * half, whole, rtol=1e-4, atol=1e-4)


def test_zero_rows_cost_one_to_everything():
    x = np.float32([[0, 0], [1, 0]])
    np.testing.assert_array_equal(pairwise_cost(x, x, "cosine"), [[1, 1], [1, 0]])


def test_the_cosine_ignores_lengths():
    x, y = problem("gaussian")
    for factor in (1e-6, 1e6):
        np.testing.assert_allclose(pairwise_cost(factor * x, y), pairwise_cost(x, y), atol=1e-6)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", ["identical", "zero_rows"])
def test_gradient_at_distance_zero_is_finite(kind, cost):
    x, y = problem(kind)
    _, gradients = value_and_gradients(x, y, lambda x, y: tf.reduce_sum(pairwise_cost(x, y, cost)))
    assert np.isfinite(gradients).all()
    if cost == "cosine" and kind == "zero_rows":
        assert (gradients[0][: len(x) // 3] == 0).all(), "a row without a direction cannot be turned"


def test_euclidean_gradient_of_coincident_points_is_zero():
    x = np.float32([[1, 2], [3, 4]])
    _, gradients = value_and_gradients(x, x, lambda x, y: tf.linalg.trace(pairwise_cost(x, y, "euclidean")))
    np.testing.assert_array_equal(gradients, 0)


@pytest.mark.parametrize("cost", COSTS)
def test_gradient(cost):
    x, y = problem("gaussian")
    weights = np.random.default_rng(3).random((len(x), len(x))).astype("float32")
    _, gradients = value_and_gradients(x, y, lambda x, y: tf.reduce_sum(weights * pairwise_cost(x, y, cost)))
    x, y = np.float64(x), np.float64(y)
    np.testing.assert_allclose(gradients[0], reference.through_cost(weights, x, y, cost), atol=2e-5)
    np.testing.assert_allclose(gradients[1], reference.through_cost(weights.T, y, x, cost), atol=2e-5)


def test_a_distance_below_rounding_is_zero_and_one_above_is_kept():
    """Documented: the Gram form cannot tell squared distances below 2e-6 of |x|^2 + |y|^2 (from the centre) from 0."""
    x = np.float32([[1] + 8 * [0], [-1] + 8 * [0]])  # from 9 features on the Gram form serves
    near, far = x + np.float32(8 * [0] + [1e-4]), x + np.float32(8 * [0] + [1e-2])
    assert np.asarray(pairwise_cost(x, near, "euclidean"))[0, 0] == 0
    of_few = [points[:, [0, 8]] for points in (x, near)]
    assert np.asarray(pairwise_cost(*of_few, "euclidean"))[0, 0] == pytest.approx(1e-4)
    assert np.asarray(pairwise_cost(x, far, "euclidean"))[0, 0] == pytest.approx(1e-2, rel=1e-2)
    in_double = np.asarray(pairwise_cost(np.float64(x), np.float64(near), "euclidean"))
    assert in_double[0, 0] == pytest.approx(1e-4, rel=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_raised(dtype):
    x = tf.cast(problem("gaussian")[0], dtype)
    ours = pairwise_cost(x, x, "sqeuclidean")
    assert ours.dtype == "float32"
    np.testing.assert_array_equal(ours, pairwise_cost(tf.cast(x, "float32"), tf.cast(x, "float32"), "sqeuclidean"))


def test_float64_stays():
    x = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(pairwise_cost(x, 2 * x), reference.cost_matrix(x, 2 * x, "cosine"), atol=1e-15)
    assert pairwise_cost(x, x).dtype == "float64"


def test_at_least_float32():
    assert at_least_float32(tf.zeros((1,), "bfloat16")).dtype == "float32"
    assert at_least_float32(tf.zeros((1,), "float64")).dtype == "float64"


def test_wrong_arguments():
    x = np.ones((3, 2), "float32")
    with pytest.raises(ValueError, match=r"cost must be one of 'cosine', 'euclidean', 'sqeuclidean'.*cost='l2'"):
        pairwise_cost(x, x, "l2")
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(3, 4\)"):
        pairwise_cost(x, np.ones((3, 4), "float32"))
    with pytest.raises(ValueError, match="two sets of points"):
        pairwise_cost(np.ones((1, 3, 2, 2), "float32"), np.ones((1, 3, 2, 2), "float32"))
