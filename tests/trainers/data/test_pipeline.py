"""Pipelines: every epoch is a permutation, and batches depend on (seed, epoch, index) alone, also after a resume."""

import numpy as np
import pytest
from encapnet_tf.trainers.config.schema import AUGMENT_BASES, AUGMENT_EXTRAS
from encapnet_tf.trainers.data.augmentation.augment import STEPS, Augmentation
from encapnet_tf.trainers.data.augmentation.views import ENLARGE, Views
from encapnet_tf.trainers.data.pipeline.batches import evaluation_batches, training_batches
from encapnet_tf.trainers.data.pipeline.split import Split

N, BATCH = 10, 4


@pytest.fixture(scope="module")
def split():
    images = np.random.default_rng(0).integers(0, 256, (N, 8, 8, 3))
    return Split(images.astype(np.uint8), np.arange(N, dtype=np.int32))


def _chain(*names):
    return Augmentation(names, Views((8, 8), ENLARGE[names[0]]), classes=N)


def _collect(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def _training(split, *names, epochs=2, seed=5, first_step=0):
    return _collect(training_batches(split, BATCH, epochs, seed, _chain(*names), first_step))


def _assert_equal(batches, others):
    for (images, labels), (other_images, other_labels) in zip(batches, others, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


def test_every_epoch_is_a_new_permutation_of_full_batches(split):
    batches = _training(split, "none", epochs=3)
    assert len(batches) == 3 * (N // BATCH)
    epochs = [np.concatenate([labels for _, labels in batches[2 * e : 2 * e + 2]]) for e in range(3)]
    assert all(len(set(labels)) == 2 * BATCH for labels in epochs)
    assert len({tuple(labels) for labels in epochs}) == 3
    for images, labels in batches:
        np.testing.assert_array_equal(images, split.images[labels])  # images stay with their labels


# Every base and every extra at least once; "++" and "randaugment" are in the two tests below.
@pytest.mark.parametrize("names", [("none", "cutmix"), ("affine", "mixup"), ("+", "erasing")], ids=",".join)
def test_same_seed_same_batches(split, names):
    first, second = (_training(split, *names, seed=5) for _ in range(2))
    _assert_equal(first, second)
    other = _training(split, *names, seed=6)
    assert any((labels != others).any() for (_, labels), (_, others) in zip(first, other, strict=True))


@pytest.mark.ci
def test_an_images_random_numbers_do_not_depend_on_its_batch(split):
    """Keyed by (seed, epoch, index): another batch size moves the image, not its augmentation."""
    chain = _chain("++", "randaugment", "erasing")
    pipelines = [_collect(training_batches(split, batch_size, 1, 0, chain)) for batch_size in (5, 5, 2)]
    _assert_equal(*pipelines[:2])
    by_label = [
        {label: image for images, labels in batches for image, label in zip(images, labels, strict=True)}
        for batches in pipelines[1:]
    ]
    assert by_label[0].keys() == by_label[1].keys() == set(range(N))
    for label in range(N):
        np.testing.assert_allclose(by_label[0][label], by_label[1][label], atol=1e-3)


def test_resuming_leaves_out_batches_and_changes_none(split):
    names = ("++", "cutmix")
    whole = _training(split, *names)
    for first_step in (1, 2, 3):  # within the first epoch, at its end, within the second
        _assert_equal(whole[first_step:], _training(split, *names, first_step=first_step))


def test_an_image_is_augmented_anew_in_each_epoch(split):
    one = Split(split.images[:1], split.labels[:1])
    first, second = (x for x, _ in _collect(training_batches(one, 1, 2, 0, _chain("++"))))
    assert np.abs(first - second).max() > 1


def test_evaluation_keeps_order_and_every_image(split):
    batches = _collect(evaluation_batches(split, BATCH, Views((8, 8)).test))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), split.labels)
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), split.images)


def test_evaluation_gives_one_hot_labels_where_training_mixes_labels(split):
    labels = np.concatenate([y for _, y in _collect(evaluation_batches(split, BATCH, Views((8, 8)).test, one_hot=N))])
    np.testing.assert_array_equal(labels, np.eye(N))


def test_every_augmentation_of_the_command_line_exists():
    assert set(STEPS) == {*AUGMENT_BASES, *AUGMENT_EXTRAS}
    assert set(ENLARGE) == set(AUGMENT_BASES)
