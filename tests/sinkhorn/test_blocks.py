"""`block_size`: the values and gradients of whole matrices of costs, in memory for the points alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from keras import ops as K

from encapnet_tf.ops import pairwise_cost, sinkhorn_divergence
from tests.sinkhorn.test_weighted import differentiated, weighted_problem

ROOT = Path(__file__).parents[2]


def manhattan(x, y):
    return K.sum(K.abs(x[..., :, None, :] - y[..., None, :, :]), axis=-1)


SETTINGS = [
    {"cost": "sqeuclidean"},
    {"cost": "euclidean", "differentiate_plan": True, "relative_epsilon": True},
    {"cost": "cosine", "value": "dual"},
    {"cost": "euclidean", "solver": "plain", "differentiate_plan": True, "debias": False},
    {"cost": "cosine", "solver": "plain", "value": "dual"},
    {"cost": manhattan},
    {"cost": manhattan, "differentiate_plan": True, "debias": False},
]
IN_CI = [1, 2, 4, 6]


def both(x, y, block_size, **options):
    """Return value and gradients, each once with blocks of costs and once with whole matrices."""
    return [differentiated(x, y, 0.7, **options, block_size=size) for size in (block_size, None)]


def assert_equal(blocks, whole):
    np.testing.assert_allclose(blocks[0], whole[0], rtol=1e-5)
    for one, other in zip(blocks[1], whole[1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize(
    "options",
    [pytest.param(o, marks=[pytest.mark.ci] if i in IN_CI else []) for i, o in enumerate(SETTINGS)],
    ids=lambda options: ",".join(str(getattr(value, "__name__", value)) for value in options.values()),
)
def test_blocks_equal_whole_matrices(options):
    """Sets that do not fill whole blocks, with absent points, and rows of zeros."""
    x, y, a, b = weighted_problem("zero_rows", (7, 5), weights="zeros")
    assert_equal(*both(x, y, 4, iterations=3, x_weights=a, y_weights=b, **options))


@pytest.mark.ci
@pytest.mark.parametrize("block_size", [1, 3, 100])
def test_any_block_size(block_size):
    x, y, _, _ = weighted_problem("gaussian", (7, 5))
    assert_equal(*both(x, y, block_size, iterations=12, cost="sqeuclidean"))


@pytest.mark.ci
def test_blocks_of_a_batch():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 6, 2)).astype("float32")
    assert_equal(*both(x, y, 3, iterations=12, cost="euclidean"))


@pytest.mark.ci
@pytest.mark.parametrize("cost", ["euclidean", manhattan])
def test_blocks_in_a_graph_of_unknown_sizes(cost):
    @tf.function(input_signature=[tf.TensorSpec([None, 3])] * 2, autograph=False)
    def graph(x, y):
        return differentiated(x, y, 0.7, 6, cost, block_size=3)

    for sizes in ((7, 5), (4, 9)):
        x, y, _, _ = weighted_problem("gaussian", sizes)
        assert_equal(graph(x, y), differentiated(x, y, 0.7, 6, cost, x_weights=np.full(sizes[0], 1 / sizes[0])))


@pytest.mark.slow
def test_blocks_under_xla():
    x, y, _, _ = weighted_problem("gaussian", (7, 5))
    graph = tf.function(
        lambda x, y: differentiated(x, y, 0.7, 6, "cosine", block_size=3), autograph=False, jit_compile=True
    )
    assert_equal(graph(x, y), differentiated(x, y, 0.7, 6, "cosine"))


@pytest.mark.ci
@pytest.mark.parametrize("options", [{}, {"block_size": 3}], ids=str)
def test_nan_is_seen(options):
    x, y, _, _ = weighted_problem("gaussian", (5, 4))
    for cost in ("cosine", "euclidean", manhattan):
        for wrong in (np.nan, np.inf):
            x[2, 1] = wrong
            value, gradients = differentiated(x, y, 0.7, 3, cost, **options)
            assert np.isnan(value)
            assert all(np.isnan(gradient).all() for gradient in gradients)


def test_function_of_costs():
    """A named cost written as a function gives its values and gradients, in batches too."""
    x, y, a, b = weighted_problem("gaussian", (6, 5), weights="zeros")

    def squared(x, y):
        return K.sum(K.square(x[..., :, None, :] - y[..., None, :, :]), axis=-1)

    weights = {"x_weights": a, "y_weights": b}
    for full in (False, True):
        own, named = (differentiated(x, y, 0.7, 60, c, True, full, **weights) for c in (squared, "sqeuclidean"))
        assert_equal(own, named)
    np.testing.assert_allclose(pairwise_cost(x[None], y[None], squared)[0], pairwise_cost(x, y, squared), rtol=1e-6)
    batch = sinkhorn_divergence(np.stack([x, 2 * x]), np.stack([y, y]), 0.7, 60, squared, **weights)
    np.testing.assert_allclose(batch[0], own[0], rtol=1e-5)


def test_function_of_costs_between_equal_sets():
    """A set's divergence from itself is 0 for any function, and asymmetric kernels do no harm."""
    x, _, _, _ = weighted_problem("gaussian", (6, 6))
    value, gradients = differentiated(x, x, 0.2, 60, lambda x, y: manhattan(x, y) ** 3)
    assert float(value) == 0
    assert max(np.abs(gradient).max() for gradient in gradients) < 1e-4


MEASURE = """
import json, resource, sys
import numpy as np
import tensorflow as tf
from encapnet_tf.ops import sinkhorn_divergence

size, block_size = map(int, sys.argv[1:])
x, y = np.random.default_rng(0).normal(size=(2, size, 3)).astype("float32")
x, y = tf.constant(x), tf.constant(y + 0.5)
with tf.GradientTape() as tape:
    tape.watch([x, y])
    value = sinkhorn_divergence(x, y, 1.0, 6, "sqeuclidean", block_size=block_size)
gradients = tape.gradient(value, [x, y])
print(json.dumps([resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, float(value)]))
"""


def peak_memory(size, block_size):
    """Return the peak resident memory in MB of a process that takes a divergence and its gradients, and the value."""
    child = subprocess.run(
        [sys.executable, "-c", MEASURE, str(size), str(block_size)], cwd=ROOT, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr[-3000:]
    return json.loads(child.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
@pytest.mark.parametrize("block_size", [1000, 2000])
def test_memory(block_size):
    """10,000 points against 10,000 take at most 200 MB more than 100 against 100."""
    large, value = peak_memory(10_000, block_size)
    small, _ = peak_memory(100, block_size)
    assert large - small <= 200
    assert 1.4 < value < 1.6, "2 |shift|^2 for many points"
