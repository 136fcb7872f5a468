"""Each augmentation against tf.image, Pillow or a hand-computed result."""

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers.data.augmentation import colour, mixing
from encapnet_tf.trainers.data.augmentation.augment import STEPS, Augmentation
from encapnet_tf.trainers.data.augmentation.rand_augment import _OPERATIONS, NUM_UNIFORMS, rand_augment
from encapnet_tf.trainers.data.augmentation.views import ENLARGE, Views
from PIL import Image, ImageOps

RNG = np.random.default_rng(0)


def _images(n=2, height=8, width=8, channels=3):
    return RNG.integers(0, 256, (n, height, width, channels)).astype("float32")


def _base(name, images, numbers, views):
    out, _ = STEPS[name].apply(tf.constant(images), None, tf.constant(numbers, tf.float32), views)
    return out.numpy()


def test_affine_at_the_middle_is_the_identity():
    images = _images(height=8, width=6)
    np.testing.assert_allclose(_base("affine", images, np.full((2, 5), 0.5), Views((8, 6))), images, atol=1e-3)


def test_affine_shifts_by_its_share():
    image = np.zeros((1, 10, 10, 1), "float32")
    image[0, 5, 5] = 200
    numbers = np.full((1, 5), 0.5)
    numbers[0, 3] = 1.0  # a tenth of the width: one pixel
    assert _base("affine", image, numbers, Views((10, 10)))[0, 5, 4, 0] == pytest.approx(200, rel=1e-3)


@pytest.mark.parametrize(("name", "large"), [("+", 34), ("++", 40)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_crop_is_what_tf_image_does_in_three_steps(name, large, mirrored):
    """The paper's sizes: 34 and 40 pixels, then a crop of 32, then a flip."""
    images = _images(3, 32, 32)
    tops, lefts = np.array([0, 1, large - 32]), np.array([large - 32, 0, 1])
    numbers = np.full((3, STEPS[name].num_uniforms), 0.5)  # of the jitter: none
    numbers[:, 0], numbers[:, 1] = ((x + 0.5) / (large - 32 + 1) for x in (tops, lefts))
    numbers[:, 2] = 0.2 if mirrored else 0.8
    result = _base(name, images, numbers, Views((32, 32), ENLARGE[name]))
    resized = tf.image.resize(images, (large, large)).numpy()
    for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        expected = resized[i, top : top + 32, left : left + 32]
        np.testing.assert_allclose(result[i], expected[:, ::-1] if mirrored else expected, atol=1e-2)


@pytest.mark.parametrize("name", ["+", "++"])
def test_digits_are_not_mirrored(name):
    images = _images(1, 32, 32)
    numbers = np.full((2, STEPS[name].num_uniforms), 0.5)
    numbers[:, 2] = (0.2, 0.8)
    one, other = _base(name, np.repeat(images, 2, axis=0), numbers, Views((32, 32), ENLARGE[name], mirrors=False))
    np.testing.assert_array_equal(one, other)


def test_jitter_stays_within_its_bounds():
    grey_image = np.full((1, 32, 32, 3), 100, "float32")
    for number, brightness in ((0.0, 80), (1.0, 120)):
        numbers = np.full((1, 6), 0.5)
        numbers[0, 3] = number
        views = Views((32, 32), ENLARGE["++"])
        np.testing.assert_allclose(_base("++", grey_image, numbers, views), brightness, atol=0.1)


def test_the_test_view_is_the_middle_crop():
    images = _images(2, 32, 32)
    result = Views((32, 32), ENLARGE["++"]).test(tf.constant(images)).numpy()
    np.testing.assert_allclose(result, tf.image.resize(images, (40, 40))[:, 4:36, 4:36], atol=1e-2)
    assert Views((32, 32)).test(images) is images


def test_ten_crops_are_corners_and_middle_and_their_mirrors():
    images = _images(1, 32, 32)
    crops = [crop.numpy()[0] for crop in Views((32, 32), ENLARGE["++"]).ten_crops(tf.constant(images))]
    large = tf.image.resize(images, (40, 40)).numpy()[0]
    corners = [large[y : y + 32, x : x + 32] for y, x in ((4, 4), (0, 0), (0, 8), (8, 0), (8, 8))]
    assert len(crops) == 10
    for crop, expected in zip(crops, [*corners, *(c[:, ::-1] for c in corners)], strict=True):
        np.testing.assert_allclose(crop, expected, atol=1e-2)
    assert len(Views((32, 32), mirrors=False).ten_crops(tf.constant(images))) == 5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (colour.autocontrast, ImageOps.autocontrast),
        (lambda x: colour.solarize(x, tf.constant([100.0])), lambda x: ImageOps.solarize(x, 100)),
        (lambda x: colour.posterize(x, tf.constant([3.0])), lambda x: ImageOps.posterize(x, 3)),
    ],
    ids=["autocontrast", "solarize", "posterize"],
)
def test_point_operations_are_pillows(ours, theirs):
    image = RNG.integers(30, 200, (16, 16, 3)).astype(np.uint8)
    result = ours(tf.constant(image[None], tf.float32)).numpy()[0]
    np.testing.assert_allclose(result, np.asarray(theirs(Image.fromarray(image))), atol=1)


def test_equalize_spreads_each_channel_over_all_levels():
    image = RNG.integers(100, 120, (1, 64, 64, 3)).astype("float32")
    result = colour.equalize(tf.constant(image)).numpy()
    for channel in range(3):
        before, after = image[0, :, :, channel].ravel(), result[0, :, :, channel].ravel()
        assert (after.min(), after.max()) == (0, 255)
        assert abs(after.mean() - 127) < 12
        order = np.argsort(before, kind="stable")
        assert (np.diff(after[order]) >= 0).all()  # the order of grey levels stays
    flat = np.full((1, 8, 8, 1), 7, "float32")
    np.testing.assert_array_equal(colour.equalize(tf.constant(flat)), flat)


@pytest.mark.parametrize("function", [colour.brightness, colour.contrast, colour.saturation, colour.sharpness])
def test_factor_one_changes_nothing(function):
    images = _images()
    np.testing.assert_allclose(function(tf.constant(images), tf.ones(2)), images, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("n", [1, 60])
def test_rand_augment_keeps_shape_and_range(n, channels):
    numbers = RNG.random((n, NUM_UNIFORMS)).astype("float32")
    result = rand_augment(tf.constant(_images(n, channels=channels)), tf.constant(numbers))
    assert result.shape == (n, 8, 8, channels)
    assert tf.reduce_all(tf.math.is_finite(result))
    assert tf.reduce_min(result) >= 0
    assert tf.reduce_max(result) <= 255


def test_rand_augment_gives_each_image_its_own_operation():
    """Image i asks for operation i, twice; alone or in a batch it gets the same."""
    n = len(_OPERATIONS)
    images = np.repeat(40 + 0.6 * _images(1, 16, 16), n, axis=0)  # room for every operation to do something
    numbers = np.full((n, NUM_UNIFORMS), 0.9, "float32")
    numbers[:, ::2] = ((np.arange(n) + 0.5) / n)[:, None]
    together = rand_augment(tf.constant(images), tf.constant(numbers)).numpy()
    for i in range(n):
        alone = rand_augment(tf.constant(images[i : i + 1]), tf.constant(numbers[i : i + 1])).numpy()[0]
        np.testing.assert_allclose(together[i], alone, atol=1e-3)
    np.testing.assert_array_equal(together[0], images[0])  # the first operation is none
    assert all(np.abs(together[i] - images[i]).max() > 1 for i in range(1, n))


def test_erasing_fills_one_rectangle_with_the_mean():
    images = _images(1, 20, 20)
    numbers = np.array([[0.0, 0.5, 0.5, 0.5, 0.5]], "float32")
    result = mixing.erasing(tf.constant(images), tf.constant(numbers)).numpy()
    changed = (result != images).any(axis=-1)[0]
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.95
    assert 0.1 < changed.mean() < 0.25  # area: between 2 and 33 %
    np.testing.assert_allclose(result[0][changed], np.broadcast_to(images.mean((1, 2)), (changed.sum(), 3)), rtol=1e-4)
    untouched = mixing.erasing(tf.constant(images), tf.constant(numbers + [[0.9, 0, 0, 0, 0]], tf.float32))
    np.testing.assert_array_equal(untouched, images)


def test_cutmix_mixes_the_label_by_the_area_that_was_pasted():
    images = np.stack([np.zeros((20, 20, 1)), np.full((20, 20, 1), 255)]).astype("float32")
    labels = np.eye(2, dtype="float32")
    numbers = np.array([[0.25, 0.5, 0.5], [0.36, 0.0, 0.0]], "float32")
    mixed, rows = (x.numpy() for x in mixing.cutmix(tf.constant(images), tf.constant(labels), tf.constant(numbers)))
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)
    assert rows[0, 1] == pytest.approx(0.25)
    assert rows[1, 0] == pytest.approx(0.09)  # three quarters of the rectangle lie beyond the corner
    assert mixed[0].mean() / 255 == pytest.approx(rows[0, 1], rel=1e-5)
    assert 1 - mixed[1].mean() / 255 == pytest.approx(rows[1, 0], rel=1e-4)


def test_mixup_draws_from_its_beta_distribution():
    from scipy.stats import beta, kstest

    n = 4000
    images = np.zeros((n, 1, 1, 1), "float32")
    images[n // 2 :] = 1  # every image's partner is of the other half
    labels = np.eye(2, dtype="float32")[(np.arange(n) >= n // 2).astype(int)]
    numbers = RNG.random((n, 1)).astype("float32")
    mixed, rows = (x.numpy() for x in mixing.mixup(tf.constant(images), tf.constant(labels), tf.constant(numbers)))
    np.testing.assert_allclose(mixed.ravel(), rows[:, 1], atol=1e-6)
    assert kstest(rows[: n // 2, 1], beta(0.2, 0.2).cdf).pvalue > 1e-3


def test_a_chain_slices_numbers_for_each_link():
    """Each link has numbers of its own: a later one does not repeat an earlier one's."""
    chain = Augmentation(("+", "erasing", "cutmix"), Views((8, 8), ENLARGE["+"]), classes=3)
    assert chain.num_uniforms == 3 + mixing.ERASING_UNIFORMS + mixing.CUTMIX_UNIFORMS
    images, labels = chain(
        tf.constant(_images(4)), tf.constant([0, 1, 2, 0]), tf.random.uniform((4, chain.num_uniforms))
    )
    assert images.shape == (4, 8, 8, 3)
    np.testing.assert_allclose(tf.reduce_sum(labels, axis=1), 1, rtol=1e-6)
