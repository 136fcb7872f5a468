"""Errors for wrong arguments: they name the argument and what was received."""

import math

import numpy as np
import pytest

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


@pytest.mark.parametrize("shape", [(3, 4), (3,), (2, 3, 3)])
def test_matrix_that_is_not_square(shape):
    with pytest.raises(ValueError, match="square matrix"):
        sinkhorn(np.ones(shape, "float32"), 1.0)


def test_sets_that_do_not_fit():
    with pytest.raises(ValueError, match=r"as many points.*\(3, 2\) and \(4, 2\)"):
        sinkhorn_divergence(POINTS, np.ones((4, 2), "float32"))
    for options in ({}, {"solver": "plain"}):
        with pytest.raises(ValueError, match="at least one point"):
            sinkhorn_divergence(POINTS[:0], POINTS[:0], **options)
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(3, 5\)"):
        sinkhorn_divergence(POINTS, np.ones((3, 5), "float32"))
