"""Heat maps of an explanation: averaged gradients, lower capsules at their place, and the words about them."""

import base64
import io

import numpy as np
import pytest
from encapnet_tf.trainers.explanation.agreement_part import agreement_panel, agreement_part
from encapnet_tf.trainers.explanation.page import _mean_of_cells
from PIL import Image

from encapnet_tf.explain import Agreement


def agreement(contribution, centres, cosine=None):
    cosine = np.sign(contribution) if cosine is None else cosine
    return Agreement("class_capsules", np.array([0]), cosine, np.ones_like(contribution), contribution, centres)


def decode(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.png)))).astype(int)


def test_a_checkerboard_is_averaged_out():
    rows, columns = np.indices((28, 20))
    heat = np.where((rows + columns) % 2, 1.0, -1.0) + (rows < 14)
    cells = _mean_of_cells(heat)
    assert cells.shape == (14, 10)
    np.testing.assert_allclose(cells, (np.arange(14) < 7)[:, None].repeat(10, axis=1), atol=1e-6)
    np.testing.assert_array_equal(_mean_of_cells(heat[:8, :8]), heat[:8, :8])


def test_capsules_are_drawn_where_they_lie():
    """A 2 x 2 map in the middle of a 24 x 24 image: one position for the class, one against, and nothing around it."""
    contribution = np.zeros((1, 2, 2, 3))
    contribution[0, 0, 1, 2], contribution[0, 1, 0, 0] = 0.5, -0.5
    pixels = np.full((24, 24, 1), 128, np.uint8)
    (picture,) = agreement_panel(agreement(contribution, (np.array([9.0, 13.0]), np.array([10.0, 14.0]))), pixels)
    image = decode(picture)
    scale = len(image) // 24
    redness = (image[..., 0] - image[..., 2])[scale // 2 :: scale, scale // 2 :: scale]
    red, blue = np.argwhere(redness > 50), np.argwhere(redness < -50)
    assert (red.min(axis=0).tolist(), red.max(axis=0).tolist()) == ([7, 13], [11, 16])
    assert (blue.min(axis=0).tolist(), blue.max(axis=0).tolist()) == ([12, 8], [15, 12])
    assert (redness[:6] == 0).all()


def test_capsules_without_a_place_are_bars():
    contribution = np.array([[0.1, 0.5, -0.2, 0.4, 0.2]])
    cosine = np.array([[0.4, 0.9, -0.9, 0.8, 0.6]])
    part = agreement_part(agreement(contribution, None, cosine), np.zeros((8, 8, 1)), "cat")
    assert [(bar.name, bar.text) for bar in part.bars] == [
        ("capsule 1", "50%"),
        ("capsule 3", "40%"),
        ("capsule 4", "20%"),
        ("capsule 0", "10%"),
    ]
    assert [bar.share for bar in part.bars] == pytest.approx([0.5, 0.4, 0.2, 0.1])
    assert part.texts[0] == (
        "3 of the 5 lower capsules vote along the capsule of cat (cosine above 0.5), 1 against it. The strongest makes "
        "up half of the sum of the votes."
    )
    assert agreement_panel(agreement(contribution, None), np.zeros((8, 8, 1), np.uint8)) == []
