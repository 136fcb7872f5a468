"""Errors for wrong arguments: they name the argument and what was received."""

import math

import numpy as np
import pytest
import tensorflow as tf
from keras import ops as K

from encapnet_tf.losses import SinkhornLoss
from encapnet_tf.ops import sinkhorn, sinkhorn_divergence, sinkhorn_plan

WRONG = [
    ({"epsilon": 0}, r"epsilon must be a positive number.*epsilon=0"),
    ({"epsilon": -1.0}, r"epsilon must be.*epsilon=-1\.0"),
    ({"epsilon": math.nan}, r"epsilon must be.*nan"),
    ({"epsilon": math.inf}, r"epsilon must be.*inf"),
    ({"epsilon": np.float32(-1)}, r"epsilon must be"),
    ({"iterations": 0}, r"iterations must be an integer of at least 1.*iterations=0"),
    ({"iterations": 2.5}, r"iterations must be.*2\.5"),
    ({"iterations": True}, r"iterations must be.*True"),
    ({"solver": "exact"}, r"solver must be one of 'fast', 'plain'.*solver='exact'"),
]
OF_POINTS = [
    ({"cost": "l2"}, r"cost must be one of 'cosine', 'euclidean', 'sqeuclidean'.*cost='l2'"),
    ({"value": "primal"}, r"value must be one of 'sharp', 'dual'.*value='primal'"),
]
POINTS = np.ones((3, 2), "float32")


@pytest.mark.parametrize(("wrong", "message"), WRONG, ids=str)
@pytest.mark.parametrize("solve", [sinkhorn, sinkhorn_plan])
def test_solver(solve, wrong, message):
    with pytest.raises(ValueError, match=message):
        solve(np.eye(3, dtype="float32"), **{"epsilon": 1.0, **wrong})


@pytest.mark.parametrize(("wrong", "message"), WRONG + OF_POINTS, ids=str)
def test_divergence(wrong, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn_divergence(POINTS, POINTS, **wrong)


@pytest.mark.parametrize(("wrong", "message"), WRONG + OF_POINTS, ids=str)
def test_loss(wrong, message):
    with pytest.raises(ValueError, match=message):
        SinkhornLoss(**wrong)


def test_right_arguments_pass():
    """Integers and NumPy's numbers are numbers."""
    for right in ({"epsilon": 1}, {"epsilon": np.float64(0.5)}, {"iterations": np.int64(3)}):
        assert float(sinkhorn_divergence(POINTS, POINTS, **right)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("shape", [(3,), (3, 0), (2, 3, 3, 3)])
def test_costs_that_are_no_matrix(shape):
    with pytest.raises(ValueError, match=r"must be a matrix \(n, m\)"):
        sinkhorn(np.ones(shape, "float32"), 1.0)


@pytest.mark.parametrize("shapes", [((3, 2), (3, 5)), ((3, 2), (1, 3, 2)), ((2, 3, 2), (4, 3, 2)), ((3,), (3,))])
def test_sets_that_do_not_fit(shapes):
    received = " and ".join(str(shape).replace("(", r"\(").replace(")", r"\)") for shape in shapes)
    with pytest.raises(ValueError, match=received):
        sinkhorn_divergence(*(np.ones(shape, "float32") for shape in shapes))


def test_empty_sets():
    for options in ({}, {"solver": "plain"}, {"block_size": 2}):
        with pytest.raises(ValueError, match="at least one point"):
            sinkhorn_divergence(POINTS[:0], POINTS[:0], **options)


@pytest.mark.parametrize("weights", [[0.5, 0.5], [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], 1.0])
def test_weights_of_the_wrong_shape(weights):
    with pytest.raises(ValueError, match=r"y_weights must hold a weight for each of the 3 points.*Received: shape"):
        sinkhorn_divergence(POINTS, POINTS, y_weights=weights)
    with pytest.raises(ValueError, match=r"x_weights must hold a weight for each of the 3 points.*Received: shape"):
        sinkhorn(np.eye(3), 1.0, x_weights=weights)


@pytest.mark.parametrize("weights", [[0.5, 0.7, -0.2], [1.0, 1.0, 1.0], [0.5, 0.5, math.nan], [0.0, 0.0, 0.0]])
def test_weights_that_are_no_distribution(weights):
    """They raise where values are known, and make the value NaN in a graph."""
    with pytest.raises(ValueError, match=r"x_weights must be at least 0 and sum to 1"):
        sinkhorn_divergence(POINTS, POINTS, x_weights=weights)
    graph = tf.function(lambda weights: sinkhorn_divergence(POINTS, POINTS, x_weights=weights))
    assert math.isnan(graph(tf.constant(weights)))


@pytest.mark.parametrize("block_size", [0, 2.5, True])
def test_block_size(block_size):
    for call in (lambda **options: sinkhorn_divergence(POINTS, POINTS, **options), SinkhornLoss):
        with pytest.raises(ValueError, match="block_size must be an integer of at least 1"):
            call(block_size=block_size)


def test_cost_function_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"of shape \(3, 3\), for points.*returned shape \(3,\)"):
        sinkhorn_divergence(POINTS, POINTS, cost=lambda x, y: K.sum(x - y, axis=-1))
