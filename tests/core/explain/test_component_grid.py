"""Grids of reconstructions with moved components."""

import numpy as np
import pytest

import encapnet_tf as en

SHAPE, CLASSES, DIM = (8, 6, 2), 3, 4
images = np.random.default_rng(3).uniform(size=(2, *SHAPE)).astype("float32")


@pytest.fixture(scope="module")
def model():
    return en.attach_reconstruction(en.models.EncapNet(SHAPE, CLASSES, (0,), (DIM,), (2,), 4, routing="master"))


@pytest.mark.parametrize("labels", [None, [2, 0]])
def test_rows_are_those_of_reconstruct(model, labels):
    grid = en.explain.component_grid(model, images, labels)
    assert grid.shape == (2, DIM, 11, *SHAPE)
    for i in (0, DIM - 1):
        np.testing.assert_allclose(grid[:, i], en.reconstruct(model, images, i, labels=labels), atol=1e-6)
    assert np.abs(grid[:, 0, 0] - grid[:, 0, -1]).max() > 1e-4
    rows = None if labels is None else np.eye(CLASSES)[labels]
    np.testing.assert_allclose(en.explain.component_grid(model, images, rows), grid, atol=1e-6)


def test_values(model):
    grid = en.explain.component_grid(model, images, values=[0.0, 0.5])
    np.testing.assert_allclose(grid[:, 1, 0], en.reconstruct(model, images), atol=1e-6)
    np.testing.assert_allclose(grid[:, 1], en.reconstruct(model, images, 1, [0.0, 0.5]), atol=1e-6)


def test_errors(model):
    with pytest.raises(ValueError, match="has no decoder"):
        en.explain.component_grid(en.strip_reconstruction(model), images)
    with pytest.raises(ValueError, match="values must be a list of finite numbers"):
        en.explain.component_grid(model, images, values=0.1)
    with pytest.raises(ValueError, match="takes inputs of shape"):
        en.explain.component_grid(model, images[:, :4])
