"""Properties of the divergence: symmetry, 0 from a set to itself, invariance to order, offset and scale."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from encapnet_tf.ops import sinkhorn_divergence
from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, KINDS, cost_scale, paired, problem, value_and_gradients

# With an offset of 1000 the directions differ by less than float32 resolves: the cosine has nothing to compare.
RESOLVED = [(kind, cost) for kind in KINDS for cost in COSTS if (kind, cost) != ("offset", "cosine")]


@pytest.mark.parametrize(("kind", "cost", "value"), paired(RESOLVED, ["sharp", "dual"]))
def test_values(kind, cost, value):
    """The converged float32 value is the reference's."""
    x, y = problem(kind)
    scale = cost_scale(x, y, cost)
    for epsilon, iterations in ((1, 15), (0.4, 60)):  # clusters of unequal size mix slowly below
        ours = float(sinkhorn_divergence(x, y, epsilon * scale, iterations, cost, value=value))
        expected = reference.divergence(x, y, epsilon * scale, cost, value)
        # Distances below rounding are taken for 0, see pairwise_cost.
        tolerance = 1e-3 if (kind, cost) == ("nearly_coincident", "euclidean") else 5e-6
        assert ours == pytest.approx(expected, abs=tolerance * scale)


@pytest.mark.parametrize("cost", COSTS)
def test_without_debias_it_is_transport_alone_and_once(cost):
    x, y = problem("gaussian")
    scale = cost_scale(x, y, cost)
    for value in ("sharp", "dual"):
        ours = float(sinkhorn_divergence(x, y, 0.2 * scale, 100, cost, debias=False, value=value))
        expected = reference.transport(reference.cost_matrix(x, y, cost), 0.2 * scale, value)
        assert ours == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "cost", "debias"), paired(RESOLVED, [True, False]))
def test_symmetry(kind, cost, debias):
    """S(x, y) = S(y, x), once the iterations, which treat rows and columns in turn, have converged."""
    x, y = problem(kind)
    scale = cost_scale(x, y, cost)
    one, other = (float(sinkhorn_divergence(*sets, 0.5 * scale, 50, cost, debias)) for sets in ((x, y), (y, x)))
    assert one == pytest.approx(other, abs=3e-6 * scale)


@pytest.mark.parametrize("epsilon", [1, 0.1, 0.01, 1e-6])
@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("kind", ["identical", "permuted"])
def test_no_divergence_from_itself(kind, cost, epsilon):
    """At the default number of iterations; the gradient vanishes too."""
    for size, value in ((1, "sharp"), (40, "dual")) if kind == "identical" else ((2, "dual"), (40, "sharp")):
        x, y = problem(kind, size)
        scale = cost_scale(x, y, cost)
        divergence, gradients = value_and_gradients(x, y, epsilon=epsilon * scale, cost=cost, value=value)
        assert abs(divergence) <= 1e-5 * scale
        spread = np.linalg.norm(x - x.mean(0)) or np.linalg.norm(x)
        assert np.linalg.norm(gradients) <= 1e-5 * scale / spread * size


@pytest.mark.parametrize("epsilon", [1, 0.1, 0.01, 1e-6])
@pytest.mark.parametrize("value", ["sharp", "dual"])
def test_no_divergence_from_itself_with_zero_rows(value, epsilon):
    """Rows of zeros cost 1 to themselves, so here the three terms are far from 0 and must cancel."""
    x, _ = problem("zero_rows")
    assert abs(float(sinkhorn_divergence(x, x[::-1], epsilon, value=value))) <= 1e-5


def test_no_divergence_between_sets_of_zeros():
    x = np.zeros((5, 3), "float32")
    assert float(sinkhorn_divergence(x, x)) == pytest.approx(0, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    kind=st.sampled_from(list(KINDS)),
    cost=st.sampled_from(COSTS),
    value=st.sampled_from(["sharp", "dual"]),
    epsilon=st.sampled_from([1, 0.3, 0.1]),
    seed=st.integers(0, 1000),
)
def test_never_negative(kind, cost, value, epsilon, seed):
    x, y = problem(kind, size=6, features=3, seed=seed)
    scale = cost_scale(x, y, cost)
    assert float(sinkhorn_divergence(x, y, epsilon * scale, 60, cost, value=value)) >= -1e-6 * max(scale, 1e-3)


@settings(max_examples=8, deadline=None)
@given(
    kind=st.sampled_from(["gaussian", "clustered", "zero_rows"]), cost=st.sampled_from(COSTS), seed=st.integers(0, 9)
)
def test_the_order_of_the_points_does_not_matter(kind, cost, seed):
    x, y = problem(kind)
    rng = np.random.default_rng(seed)
    scale = cost_scale(x, y, cost)
    one, other = (
        float(sinkhorn_divergence(*sets, 0.2 * scale, cost=cost)) for sets in ((x, y), map(rng.permutation, (x, y)))
    )
    assert one == pytest.approx(other, abs=2e-6 * scale)


@pytest.mark.parametrize("cost", ["euclidean", "sqeuclidean"])
def test_a_common_offset_does_not_matter(cost):
    """float32 rounds points near 1000, so the offset is subtracted from the rounded points."""
    x, y = problem("offset")
    centred = np.float64(x) - 1000, np.float64(y) - 1000
    scale = cost_scale(*centred, cost)
    near, far = (float(sinkhorn_divergence(*sets, 0.2 * scale, cost=cost)) for sets in (centred, (x, y)))
    assert far == pytest.approx(near, abs=3e-6 * scale)
    assert near > 0.1 * scale


@settings(max_examples=8, deadline=None)
@given(factor=st.floats(1e-3, 1e3), cost=st.sampled_from(["euclidean", "sqeuclidean"]))
def test_scaling(factor, cost):
    """W(s Q, s epsilon) = s W(Q, epsilon), and a relative epsilon scales by itself."""
    x, y = (np.float64(points) for points in problem("gaussian"))
    stretch = factor if cost == "euclidean" else factor**0.5
    value = float(sinkhorn_divergence(x, y, 0.2, cost=cost))
    stretched = float(sinkhorn_divergence(stretch * x, stretch * y, 0.2 * factor, cost=cost))
    assert stretched == pytest.approx(factor * value, rel=1e-6)
    one, other = (float(sinkhorn_divergence(s * x, s * y, 0.2, cost=cost, relative_epsilon=True)) for s in (1, stretch))
    assert other == pytest.approx(factor * one, rel=1e-6)


@pytest.mark.parametrize("solver", ["fast", "plain"])
def test_relative_epsilon_is_a_share_of_the_mean_cost(solver):
    """It takes no gradient: value and gradients equal those of the absolute epsilon of the same size."""
    x, y = problem("gaussian")
    epsilon = 0.3 * reference.cost_matrix(x, y, "euclidean").mean()
    options = {"cost": "euclidean", "solver": solver, "differentiate_plan": True}
    value, gradients = value_and_gradients(x, y, epsilon=0.3, relative_epsilon=True, **options)
    expected, expected_gradients = value_and_gradients(x, y, epsilon=epsilon, **options)
    assert value == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(gradients, expected_gradients, atol=1e-5)


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("value", ["sharp", "dual"])
@pytest.mark.parametrize("cost", COSTS)
def test_diracs(cost, value, solver):
    """One point against one: all mass moves, so W is the cost, and the divergence twice that, at any epsilon."""
    x, y = problem("single")
    distance = reference.cost_matrix(x, y, cost)[0, 0]
    slope = reference.through_cost(np.ones((1, 1)), np.float64(x), np.float64(y), cost)
    for epsilon in (10.0, 0.5) if solver == "plain" else (10.0, 0.5, 1e-3):
        ours, gradients = value_and_gradients(x, y, epsilon=epsilon, cost=cost, value=value, solver=solver)
        assert ours == pytest.approx(2 * distance, rel=2e-5)
        np.testing.assert_allclose(gradients[0], 2 * slope, rtol=1e-4, atol=1e-6)


both_values = tf.function(
    lambda x, y, epsilon: [
        sinkhorn_divergence(x, y, epsilon, 60, "sqeuclidean", value=value) for value in ("sharp", "dual")
    ]
)


@settings(max_examples=20, deadline=None)
@given(shift=st.floats(0.1, 3), epsilon=st.floats(0.5, 5))
def test_two_shifted_points(shift, epsilon):
    """x = (0, 0), (1, 0), shifted upwards by h: each cost grows by h^2, so W does, at any plan."""
    x = np.array([[0.0, 0.0], [1.0, 0.0]])
    y = x + [0.0, shift]
    for ours in both_values(x, y, tf.constant(epsilon, "float64")):
        assert float(ours) == pytest.approx(2 * shift**2, abs=1e-5)
