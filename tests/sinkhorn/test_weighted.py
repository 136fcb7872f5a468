"""Weighted sets of different sizes: values, gradients and plans of the reference and of POT; absence; batches."""

import math
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st

from encapnet_tf.ops import sinkhorn, sinkhorn_divergence, sinkhorn_plan
from tests.sinkhorn import reference
from tests.sinkhorn.problems import COSTS, KINDS

FEATURES = 3


@cache
def compiled(cost, value="sharp", differentiate_plan=False):
    """Return a function that runs a graph for sets of any sizes: values, and gradients with respect to x and y."""
    points, weights = tf.TensorSpec([None, None, FEATURES]), tf.TensorSpec([None, None])

    @tf.function(input_signature=[points, points, weights, weights, tf.TensorSpec([])], autograph=False)
    def run(x, y, a, b, epsilon):
        return differentiated(x, y, epsilon, 200, cost, True, differentiate_plan, value, x_weights=a, y_weights=b)

    return lambda *arguments: run(*map(np.float32, arguments))


def differentiated(x, y, *arguments, **options):
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        value = sinkhorn_divergence(x, y, *arguments, **options)
    return value, tape.gradient(value, [x, y])


def random_weights(rng, count, kind="skewed"):
    """Return weights over several orders of magnitude, or moderate ones with zeros."""
    weights = 10.0 ** rng.uniform(-4, 0, count) if kind == "skewed" else rng.exponential(size=count)
    if kind == "zeros":
        weights[rng.permutation(count)[: count // 3]] = 0
    return np.float32(weights / weights.sum())


def weighted_problem(kind, sizes, seed=0, weights="skewed"):
    """Return two sets of different sizes in float32, and their weights."""
    rng = np.random.default_rng(seed)
    x, y = (KINDS[kind](rng, size, FEATURES)[i] for i, size in enumerate(sizes))
    x, y = x[: sizes[0]], y[: sizes[1]]
    return np.float32(x), np.float32(y), random_weights(rng, len(x), weights), random_weights(rng, len(y), weights)


def exact_weights(*weights):
    """Weights in float64 that sum to 1."""
    return [np.float64(w) / np.float64(w).sum() for w in weights]


def mean_cost(x, y, a, b, cost):
    return a @ reference.cost_matrix(x, y, cost) @ b


def assert_accurate(ours, gradients, x, y, a, b, epsilon, cost, value="sharp", differentiate_plan=False):
    """Within 2e-3 of the value or of a thousandth of the mean cost, and 1e-3 of the gradients.

    The gradients' terms may cancel: then the error is compared with one of the terms. All may be 0 but for the rounding
    of the reference.
    """
    a, b = exact_weights(a, b)
    scale = mean_cost(x, y, a, b, cost)
    options = {"differentiate_plan": differentiate_plan, "a": a, "b": b}
    expected, expected_gradients = reference.value_and_gradients(x, y, epsilon, cost, value, **options)
    assert abs(ours - expected) <= 2e-3 * max(abs(expected), 1e-3 * scale)
    terms = reference.gradients(x, y, epsilon, cost, value, debias=False, **options)
    for gradient, other, term in zip(gradients, expected_gradients, terms, strict=True):
        error = np.linalg.norm(np.float64(gradient) - other)
        assert error <= 1e-3 * np.linalg.norm(other) + 2e-6 * np.linalg.norm(term) + ROUNDING


ROUNDING = 1e-14  # of float64, in gradients of about 1
SETTINGS = [("cosine", "dual", False), ("euclidean", "sharp", True), ("sqeuclidean", "sharp", False)]
ALL_SETTINGS = [(cost, *kind) for cost in COSTS for kind in (("sharp", False), ("dual", False), ("sharp", True))]
EPSILONS = (0.05, 0.5, 6.0)


@pytest.mark.parametrize(
    "setting", [pytest.param(s, marks=[] if s in SETTINGS else [pytest.mark.ci]) for s in ALL_SETTINGS], ids=str
)
def test_values_and_gradients(setting):
    """Every kind of set, with epsilons and kinds of weights in turn."""
    for i, kind in enumerate(("gaussian", "uniform", "clustered", "zero_rows")):
        x, y, a, b = weighted_problem(kind, (11, 7), i, ("skewed", "moderate")[i % 2])
        epsilon = EPSILONS[(i + ALL_SETTINGS.index(setting)) % 3] * mean_cost(x, y, a, b, setting[0])
        values, gradients = compiled(*setting)(x[None], y[None], a[None], b[None], epsilon)
        assert_accurate(values[0], [gradient[0] for gradient in gradients], x, y, a, b, epsilon, *setting)


@pytest.mark.ci
@settings(max_examples=60, deadline=None)
@example(kind="zero_rows", setting=("cosine", "sharp", False), sizes=(1, 1), exponent=0.0, weights="skewed", seed=193)
@given(
    kind=st.sampled_from(["gaussian", "uniform", "clustered", "zero_rows"]),
    setting=st.sampled_from(ALL_SETTINGS),
    sizes=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    exponent=st.floats(math.log(0.05), math.log(6)),
    weights=st.sampled_from(["skewed", "moderate"]),
    seed=st.integers(0, 1000),
)
def test_values_and_gradients_at_any_size(kind, setting, sizes, exponent, weights, seed):
    x, y, a, b = weighted_problem(kind, sizes, seed, weights)
    cost = setting[0]
    epsilon = math.exp(exponent) * mean_cost(x, y, a, b, cost)
    values, gradients = compiled(*setting)(x[None], y[None], a[None], b[None], epsilon)
    assert_accurate(values[0], [gradient[0] for gradient in gradients], x, y, a, b, epsilon, *setting)


@pytest.mark.ci
@pytest.mark.parametrize("sizes", [(500, 300), (1, 500), (400, 500)])
def test_large_sets(sizes):
    x, y, a, b = weighted_problem("gaussian", sizes)
    epsilon = 0.05 * mean_cost(x, y, a, b, "sqeuclidean")
    for value in ("sharp", "dual"):
        values, gradients = compiled("sqeuclidean", value)(x[None], y[None], a[None], b[None], epsilon)
        gradients = [gradient[0] for gradient in gradients]
        assert_accurate(values[0], gradients, x, y, a, b, epsilon, "sqeuclidean", value)


@pytest.mark.parametrize("solver", ["fast", "plain"])
@pytest.mark.parametrize("cost", COSTS)
def test_plan_equals_pot(cost, solver):
    ot = pytest.importorskip("ot")
    x, y, a, b = weighted_problem("gaussian", (6, 9), weights="moderate")
    matrix, (a, b) = reference.cost_matrix(x, y, cost), exact_weights(a, b)
    epsilon = 0.3 * a @ matrix @ b
    result = sinkhorn(matrix, epsilon, 300, solver, x_weights=a, y_weights=b)
    # POT's entropy is that of the plan itself, which has the same minimum.
    expected = ot.sinkhorn(a, b, matrix, epsilon, stopThr=1e-12, numItermax=10_000)
    np.testing.assert_allclose(result.plan, expected, atol=1e-8)
    assert result.plan.shape == (6, 9)
    assert float(result.marginal_error) < 1e-6
    dual = a @ np.asarray(result.potential_x) + b @ np.asarray(result.potential_y)
    assert dual == pytest.approx(reference.transport(matrix, epsilon, "dual", a, b), rel=1e-5)


@pytest.mark.ci
@pytest.mark.parametrize("setting", ALL_SETTINGS, ids=str)
def test_equal_sets_without_weights_at_many_iterations(setting):
    """They begin with other steps: clusters of unequal counts take more of these than there are."""
    cost, value, differentiate_plan = setting
    graph = tf.function(
        lambda x, y, epsilon: differentiated(x, y, epsilon, 200, cost, True, differentiate_plan, value), autograph=False
    )
    for i, kind in enumerate(("gaussian", "clustered", "uniform", "clustered")):
        x, y = (np.float32(points) for points in KINDS[kind](np.random.default_rng(i), 40, FEATURES))
        share = np.full(40, 1 / 40)
        epsilon = EPSILONS[i % 2] * mean_cost(x, y, share, share, cost)
        ours, gradients = graph(*map(tf.constant, (x, y)), tf.constant(epsilon, "float32"))
        assert_accurate(ours, gradients, x, y, share, share, epsilon, *setting)


@pytest.mark.ci
@pytest.mark.parametrize("execution", ["step", "xla"])
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_compiled_equals_eager(setting, execution):
    """The compiled part of a training step, and XLA as a whole, give the values and gradients of eager calls."""
    cost, value, differentiate_plan = setting
    x, y, a, b = weighted_problem("gaussian", (6, 5), weights="zeros")
    options = {"x_weights": a, "y_weights": b, "training": execution == "step"}

    def run(x, y):
        return differentiated(x, y, 0.5, 30, cost, True, differentiate_plan, value, **options)

    values, gradients = tf.function(run, autograph=False, jit_compile=execution == "xla")(*map(tf.constant, (x, y)))
    expected, expected_gradients = run(x, y)
    assert float(values) == pytest.approx(float(expected), rel=1e-5)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, atol=1e-5 * np.abs(other).max())


# Absence: a weight of 0 is as good as no point.

ABSENT = (0.0, 1e6, math.nan, math.inf)
OPTIONS = (
    {},
    {"value": "dual", "cost": "euclidean"},
    {"differentiate_plan": True, "cost": "sqeuclidean"},
    {"solver": "plain"},
)
IN_TURN = [
    pytest.param(absent, options, marks=[] if i == j else [pytest.mark.ci])
    for i, absent in enumerate(ABSENT)
    for j, options in enumerate(OPTIONS)
]


@pytest.mark.parametrize(("absent", "options"), IN_TURN)
def test_weight_zero_is_absence(absent, options):
    """It changes neither value nor gradient, and takes none, whatever its coordinates are."""
    x, y, a, b = weighted_problem("gaussian", (5, 6), weights="zeros")
    x[a == 0], y[b == 0] = absent, absent
    options = {"epsilon": 0.5, "iterations": 30, **options}
    value, gradients = differentiated(x, y, x_weights=a, y_weights=b, **options)
    expected, expected_gradients = differentiated(x[a > 0], y[b > 0], x_weights=a[a > 0], y_weights=b[b > 0], **options)
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    for weights, gradient, other in zip((a, b), gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient.numpy()[weights > 0], other, atol=1e-5)
        assert (gradient.numpy()[weights == 0] == 0).all()


def test_absent_points_of_a_cost_matrix():
    rng = np.random.default_rng(0)
    matrix, a, b = rng.random((4, 5)), np.array([0.3, 0.0, 0.5, 0.2]), np.array([0.0, 0.1, 0.4, 0.3, 0.2])
    expected = sinkhorn(matrix[a > 0][:, b > 0], 0.1, 50, x_weights=a[a > 0], y_weights=b[b > 0])
    matrix[1], matrix[:, 0] = math.nan, math.inf
    result = sinkhorn(matrix, 0.1, 50, x_weights=a, y_weights=b)
    np.testing.assert_allclose(np.asarray(result.plan)[a > 0][:, b > 0], expected.plan, atol=1e-12)
    np.testing.assert_allclose(np.asarray(result.potential_x)[a > 0], expected.potential_x, atol=1e-9)
    assert np.asarray(result.plan)[1].sum() == np.asarray(result.plan)[:, 0].sum() == 0
    assert float(result.potential_x[1]) == float(result.potential_y[0]) == 0
    assert float(result.marginal_error) < 1e-9


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_nan_in_a_present_point_is_seen_in_its_problem_only(setting):
    x, y, a, b = (np.stack([part] * 2) for part in weighted_problem("gaussian", (5, 6), weights="zeros"))
    for wrong in (math.nan, math.inf, 1e20):
        x[1, np.argmax(a[1])] = wrong
        values, gradients = compiled(*setting)(x, y, a, b, 0.5)
        assert np.isnan(values[1])
        assert np.isnan(gradients[0][1].numpy()[a[1] > 0]).all()
        assert np.isfinite(values[0])
        assert np.isfinite(gradients[0][0]).all()
        assert np.isfinite(gradients[1][0]).all()


# Batches.


@pytest.mark.parametrize(
    ("iterations", "solver"), [(10, "fast"), (40, "fast"), pytest.param(1, "fast", marks=pytest.mark.ci), (5, "plain")]
)
def test_batched_equals_looped(solver, iterations):
    """A problem's result does not depend on the others, converged or not: easy, hard and ragged ones together."""
    problems = [weighted_problem("gaussian", (8, 6), 1, "moderate"), weighted_problem("clustered", (8, 6), 2, "zeros")]
    problems.append(weighted_problem("identical", (8, 6), 3))

    def run(x, y, a, b):
        return differentiated(x, y, 1.5, iterations, "sqeuclidean", solver=solver, x_weights=a, y_weights=b)

    values, gradients = run(*(np.stack(parts) for parts in zip(*problems, strict=True)))
    for i, problem in enumerate(problems):
        value, own = run(*problem)
        np.testing.assert_allclose(values[i], value, rtol=1e-5)
        for both, one in zip(gradients, own, strict=True):
            np.testing.assert_allclose(both[i], one, atol=1e-6 * np.abs(one).max())


def test_batch_of_uniform_sets_equals_single_uniform_sets():
    """The batch is solved by another algorithm than a single pair of equal sets, with converged results in common."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3, 10, 4))
    values = sinkhorn_divergence(x, y, 1.0, 100, "sqeuclidean")
    assert values.shape == (3,)
    expected = [float(sinkhorn_divergence(*pair, 1.0, 50, "sqeuclidean")) for pair in zip(x, y, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_batch_of_cost_matrices():
    rng = np.random.default_rng(0)
    costs, b = rng.random((3, 4, 6)), rng.dirichlet(np.ones(6))
    for relative in (False, True):
        result = sinkhorn(costs, 0.2, 60, relative_epsilon=relative, y_weights=b)
        assert [tuple(part.shape) for part in result] == [(3, 4, 6), (3, 4), (3, 6), (3,), (3,)]
        for i, matrix in enumerate(costs):
            one = sinkhorn(matrix, 0.2, 60, relative_epsilon=relative, y_weights=b)
            for both, single in zip(result, one, strict=True):
                np.testing.assert_allclose(both[i], single, atol=1e-9)


def test_one_set_of_weights_serves_all_problems():
    rng = np.random.default_rng(0)
    x, y, a = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4, 3)), rng.dirichlet(np.ones(5))
    np.testing.assert_allclose(
        sinkhorn_divergence(x, y, x_weights=a), sinkhorn_divergence(x, y, x_weights=[a, a]), rtol=1e-12
    )


# Properties.

SMALL = {"max_examples": 15, "deadline": None}
kinds, seeds = st.sampled_from(["gaussian", "uniform", "clustered", "zero_rows"]), st.integers(0, 1000)


@settings(**SMALL)
@given(kind=kinds, setting=st.sampled_from(SETTINGS), seed=seeds)
def test_symmetry(kind, setting, seed):
    x, y, a, b = weighted_problem(kind, (7, 5), seed)
    scale = mean_cost(x, y, a, b, setting[0])
    one, other = (
        compiled(*setting)(*(part[None] for part in parts), 0.3 * scale)[0][0].numpy()
        for parts in ((x, y, a, b), (y, x, b, a))
    )
    assert one == pytest.approx(other, abs=3e-6 * scale)


@settings(**SMALL)
@given(kind=kinds, setting=st.sampled_from(SETTINGS), seed=seeds)
def test_zero_on_itself_and_never_negative(kind, setting, seed):
    x, y, a, b = weighted_problem(kind, (7, 5), seed)
    scale = mean_cost(x, y, a, b, setting[0])
    function = compiled(*setting)
    own, gradients = function(x[None], x[None], a[None], a[None], 0.3 * scale)
    assert abs(own[0]) <= 3e-6 * scale
    assert np.abs(gradients).max() <= 1e-4 * math.sqrt(scale)
    assert function(x[None], y[None], a[None], b[None], 0.3 * scale)[0][0] >= -3e-6 * scale


@settings(**SMALL)
@given(kind=kinds, setting=st.sampled_from(SETTINGS), seed=seeds)
def test_order_and_division_of_points_do_not_matter(kind, setting, seed):
    """A point is worth as much as two copies of it with half its weight each."""
    x, y, a, b = weighted_problem(kind, (7, 5), seed, "moderate")
    order = np.random.default_rng(seed).permutation(8)
    divided, halves = np.concatenate([x, x[:1]])[order], np.concatenate([a[:1] / 2, a[1:], a[:1] / 2])[order]
    scale = mean_cost(x, y, a, b, setting[0])
    one, other = (
        compiled(*setting)(*(part[None] for part in parts), 0.3 * scale)[0][0].numpy()
        for parts in ((x, y, a, b), (divided, y, halves, b))
    )
    assert one == pytest.approx(other, abs=3e-6 * scale)


def test_weights_take_no_gradient():
    x, y, a, b = map(tf.constant, weighted_problem("gaussian", (5, 6)))
    with tf.GradientTape() as tape:
        tape.watch([a, b])
        value = sinkhorn_divergence(x, y, x_weights=a, y_weights=b)
    assert tape.gradient(value, [a, b]) == [None, None]


def test_finite_at_tiny_epsilon():
    x, y, a, b = weighted_problem("clustered", (9, 6))
    for epsilon in (1e-2, 1e-6):
        value, gradients = differentiated(
            x, y, epsilon=epsilon, cost="sqeuclidean", x_weights=a, y_weights=b, differentiate_plan=True
        )
        assert np.isfinite(value)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
    plan = np.asarray(sinkhorn_plan(reference.cost_matrix(x, y, "euclidean"), 1e-4, 30, x_weights=a, y_weights=b))
    np.testing.assert_allclose(plan.sum(0), b / b.sum(), rtol=1e-5)


@pytest.mark.parametrize("cost", [*COSTS, lambda x, y: tf.norm(x[..., :, None, :] - y[..., None, :, :], axis=-1)])
def test_float64(cost):
    x, y, a, b = (np.float64(part) for part in weighted_problem("gaussian", (8, 5), weights="moderate"))
    a, b = exact_weights(a, b)
    expected = reference.divergence(x, y, 1.0, "euclidean" if callable(cost) else cost, debias=False, a=a, b=b)
    for block_size in (None, 3):
        options = {"debias": False, "x_weights": a, "y_weights": b, "block_size": block_size}
        value = sinkhorn_divergence(x, y, 1.0, 100, cost, **options)
        assert value.dtype == "float64"
        assert float(value) == pytest.approx(expected, rel=1e-11)
