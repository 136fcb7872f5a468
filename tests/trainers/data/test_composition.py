"""Composed examples: pairs of different classes, positions on the canvas, affine transforms, and keyed numbers."""

import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.data.augmentation.augment import Augmentation
from encapnet_tf.trainers.data.augmentation.views import Views
from encapnet_tf.trainers.data.composing import composed
from encapnet_tf.trainers.data.composition.canvas import canvas_size, place
from encapnet_tf.trainers.data.composition.overlap import Overlap
from encapnet_tf.trainers.data.composition.single import transform
from encapnet_tf.trainers.data.pipeline.batches import evaluation_batches, training_batches
from encapnet_tf.trainers.data.pipeline.dataset import Dataset
from encapnet_tf.trainers.data.pipeline.encoded import EncodedSplit
from encapnet_tf.trainers.data.pipeline.split import Split
from encapnet_tf.trainers.runs.errors import UserError
from scipy import ndimage

N, CLASSES = 30, 4
SIZE = (8, 14)


def _split(seed, channels=1):
    """Images of one grey value each, which tells the image."""
    values = np.random.default_rng(seed).permutation(200)[:N].astype(np.uint8) + 50
    images = np.broadcast_to(values[:, None, None, None], (N, *SIZE, channels)).copy()
    return Split(images, np.arange(N, dtype=np.int32) % CLASSES)


def _dataset(compose, channels=1, splits=None):
    train, validation, test = splits or (_split(i, channels) for i in range(3))
    dataset = Dataset("squares", tuple("abcd"), train, validation, test, Views(SIZE))
    return composed(dataset, compose)


def _training(dataset, first_step=0, batch_size=5, seed=3):
    chain = dataset.augmentation(("none",))
    batches = training_batches(dataset.train, batch_size, 2, seed, chain, first_step)
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def test_the_canvas_of_the_papers():
    assert canvas_size((28, 28), "overlap") == (36, 36)
    assert canvas_size((28, 28), "affine") == (40, 40)
    assert canvas_size((8, 14), "overlap") == (10, 18)
    assert canvas_size((3, 28), "affine") == (5, 40)


def test_placement_copies_the_image_to_every_position():
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 1)).astype("float32")
    uniforms = tf.random.stateless_uniform((400, 2), seed=(0, 0))
    placed = place(tf.repeat(image[None], 400, axis=0), uniforms, (4, 6)).numpy()
    positions = set()
    for one, (down, right) in zip(placed, uniforms.numpy(), strict=True):
        top, left = int(down * 3), int(right * 4)
        np.testing.assert_array_equal(one[top : top + 2, left : left + 3], image)
        assert np.count_nonzero(one) == image.size
        positions.add((top, left))
    assert len(positions) == 12


def test_a_partner_is_any_image_of_another_class():
    labels = np.array([2, 0, 2, 1, 0, 2, 2])
    rows = tf.repeat(tf.range(7), 3000)
    uniforms = tf.random.stateless_uniform((21000, 5), seed=(0, 0))
    pairs = Overlap(labels, (9, 9)).choose(rows, uniforms).numpy()
    np.testing.assert_array_equal(pairs[:, 0], rows)
    counts = np.histogram2d(*pairs.T, bins=(range(8), range(8)))[0]
    differ = labels[:, None] != labels
    np.testing.assert_array_equal(counts > 0, differ)
    expected = differ * 3000 / differ.sum(axis=1, keepdims=True)
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_training_pairs(channels):
    dataset = _dataset("overlap", channels)
    assert dataset.image_shape == (10, 18, channels)
    assert dataset.labels_per_image == 2
    of_value = dict(zip(dataset.train.base.images[:, 0, 0, 0], dataset.train.base.labels, strict=True))
    examples = [example for batch in _training(dataset) for example in zip(*batch, strict=True)]
    assert len(examples) == 60
    seconds = set()
    for image, row in examples:
        assert image.shape == (10, 18, channels)
        assert row.dtype == np.float32
        assert sorted(row) == [0, 0, 1, 1]
        values = np.unique(image[image > 0])
        assert 1 < len(values) <= 2 or np.count_nonzero(image[..., 0]) == np.prod(SIZE)  # one hides the other
        labels = {of_value[value] for value in values}
        assert labels <= set(np.flatnonzero(row))
        seconds.add(tuple(values))
    assert len(seconds) > 50  # the second epoch has other pairs


def test_pairs_are_keyed_by_seed_epoch_and_index():
    """Whatever the batch size and wherever training resumes."""
    dataset = _dataset("overlap")
    whole = _training(dataset)
    for first_step in (2, 8):
        for (images, labels), (others, other_labels) in zip(
            whole[first_step:], _training(dataset, first_step), strict=True
        ):
            np.testing.assert_array_equal(images, others)
            np.testing.assert_array_equal(labels, other_labels)
    of_tens = np.concatenate([images for images, _ in _training(dataset, batch_size=10)])
    np.testing.assert_array_equal(of_tens, np.concatenate([images for images, _ in whole]))
    assert (_training(dataset, seed=4)[0][0] != whole[0][0]).any()


@pytest.mark.parametrize("compose", ["overlap", "affine"])
def test_evaluation_is_the_same_every_time_and_for_a_subset(compose):
    split = _dataset(compose).test
    ((images, labels),) = evaluation_batches(split, N, lambda images: images).as_numpy_iterator()
    np.testing.assert_array_equal(labels, split.labels)
    np.testing.assert_array_equal(split.pixels(np.arange(N)), images)
    subset = _dataset(compose).test.take(range(7, 20)).take(np.array([2, 1]))
    np.testing.assert_array_equal(subset.labels, labels[[9, 8]])
    np.testing.assert_array_equal(subset.pixels([0, 1]), images[[9, 8]])
    ((_, rows),) = evaluation_batches(subset, 2, lambda images: images, one_hot=CLASSES).as_numpy_iterator()
    for row, of_image in zip(rows, np.reshape(subset.labels, (2, -1)), strict=True):
        assert set(np.flatnonzero(row)) == set(of_image)
        assert len(set(of_image)) == len(of_image)


def test_affine_trains_upright_and_tests_transformed():
    dataset = _dataset("affine")
    assert dataset.image_shape == (12, 20, 1)
    for images, labels in _training(dataset):
        assert (labels.dtype, labels.shape) == (np.int32, (5,))
        assert (np.count_nonzero(images, axis=(1, 2, 3)) == np.prod(SIZE)).all()
    validation = dataset.validation.pixels(np.arange(N))
    assert (np.count_nonzero(validation, axis=(1, 2, 3)) == np.prod(SIZE)).all()
    assert (np.count_nonzero(dataset.test.pixels(np.arange(N)), axis=(1, 2, 3)) != np.prod(SIZE)).mean() > 0.9


def test_transform_against_scipy():
    image = np.zeros((1, 28, 28, 1), "float32")
    image[0, 5:20, 9:21, 0] = np.random.default_rng(0).uniform(1, 255, (15, 12))
    rotation, shear, scale_x, scale_y, right, down = uniforms = (0.9, 0.2, 0.1, 0.8, 0.3, 0.6)
    result = transform(image, tf.constant([uniforms]), (40, 44))[0, :, :, 0].numpy()
    angle = np.deg2rad(20 * (2 * rotation - 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    scale = np.diag([0.8 + 0.4 * scale_x, 0.8 + 0.4 * scale_y])
    matrix = turn @ np.array([[1, 0.2 * (2 * shear - 1)], [0, 1]]) @ scale
    extent = np.abs(matrix) @ [12, 15]
    centre = (np.array([44, 40]) - 1) / 2 + (np.array([right, down]) - 0.5) * (np.array([44, 40]) - extent)
    inverse = np.linalg.inv(matrix)[::-1, ::-1]  # scipy's coordinates are (y, x)
    offset = np.array([12, 14.5]) - inverse @ centre[::-1]
    expected = ndimage.affine_transform(image[0, :, :, 0], inverse, offset, (40, 44), order=1, mode="grid-constant")
    np.testing.assert_allclose(result, expected, atol=0.05)


def test_a_transformed_object_stays_on_the_canvas():
    image = np.zeros((500, 28, 28, 3), "float32")
    image[:, 4:24, 4:24, 1] = 100  # as large as a digit of MNIST
    uniforms = tf.random.stateless_uniform((500, 6), seed=(0, 0))
    result = transform(image, uniforms, (40, 40)).numpy()[..., 1]
    scales = 0.6 + 0.4 * uniforms.numpy()[:, 2:4] + 0.2
    np.testing.assert_allclose(result.sum(axis=(1, 2)), 40000 * scales.prod(axis=1), rtol=0.03)
    upright = transform(image, tf.fill((500, 6), 0.5), (40, 40)).numpy()
    np.testing.assert_allclose(upright[0, 10:30, 10:30, 1], 100, atol=0.01)
    black = transform(np.zeros((1, 28, 28, 1), "float32"), uniforms[:1], (40, 40)).numpy()
    np.testing.assert_array_equal(black, 0)


@pytest.mark.ci
def test_images_are_read_from_files_for_pairs():
    splits = [_split(i) for i in range(3)]

    def encoded(split):
        files = tf.constant([tf.io.encode_png(image).numpy() for image in split.images])
        return EncodedSplit(lambda index: files[index], np.arange(N), split.labels, SIZE, 1, "image {}".format)

    in_memory, of_files = (_dataset("overlap", splits=made) for made in (splits, [encoded(s) for s in splits]))
    np.testing.assert_array_equal(in_memory.test.pixels(range(9)), of_files.test.pixels(range(9)))


def test_each_image_of_a_pair_is_augmented_by_itself():
    dataset = _dataset("overlap")
    chain = Augmentation(("affine", "erasing"), Views(SIZE), CLASSES)
    number, compose = dataset.train.training_reader(chain)
    assert number == 5 + 2 * chain.num_uniforms
    uniforms = np.full((N, number), 0.5, np.float32)
    plain, _ = compose(tf.range(N), tf.constant(uniforms))
    changed = []
    for position in (5, 5 + chain.num_uniforms):  # the rotations
        turned = uniforms.copy()
        turned[:, position] = 0.9
        changed.append(compose(tf.range(N), tf.constant(turned))[0] - plain)
    assert all(np.abs(difference).max() > 1 for difference in changed)
    assert np.abs(changed[0] - changed[1]).max() > 1


def test_classes_that_make_no_pairs():
    few = [Split(split.images, split.labels % 2) for split in (_split(i) for i in range(3))]
    with pytest.raises(UserError, match=r"at least 3 classes.*squares has 2"):
        composed(Dataset("squares", ("a", "b"), *few, Views(SIZE)), "overlap")
    one_class = [_split(0), Split(_split(1).images, np.zeros(N, np.int32)), _split(2)]
    with pytest.raises(UserError, match=r"All 30 validation images are of one class \(a\)"):
        _dataset("overlap", splits=one_class)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"compose": "overlap", "augment": ("mixup",)}, "mixup mixes the labels of two images"),
        ({"compose": "overlap", "augment": ("++",)}, "the base \\+\\+ crops images"),
        ({"compose": "overlap", "loss": "spread"}, "compares a single true class with the others. Use --loss=margin"),
        ({"compose": "affine", "augment": ("affine",)}, "Use --augment=none"),
        ({"compose": "overlay"}, "expected one of none, overlap, affine"),
    ],
)
def test_settings_that_do_not_go_with_it(settings, message):
    with pytest.raises(UserError, match=message):
        resolve("digits", settings)


def test_composed_examples_have_no_augmentation_unless_it_is_chosen():
    assert resolve("digits", {"compose": "overlap"}).augment == ("none",)
    assert resolve("digits", {"compose": "overlap", "augment": ("erasing",)}).augment == ("none", "erasing")
    assert data.load(resolve("digits", {"compose": "affine"})).image_shape == (12, 12, 1)
