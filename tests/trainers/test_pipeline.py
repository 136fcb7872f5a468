import numpy as np
import pytest
from encapnet_tf.trainers.data.augment import AUGMENTATIONS, NOISE
from encapnet_tf.trainers.data.pipeline import evaluation_batches, training_batches
from encapnet_tf.trainers.data.split import Split

N, BATCH = 10, 4


@pytest.fixture
def split():
    images = np.arange(N * 64, dtype=np.int64).reshape(N, 8, 8, 1) % 256
    return Split(images.astype(np.uint8), np.arange(N, dtype=np.int32))


def _collect(batches):
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def test_every_epoch_is_a_new_permutation_of_full_batches(split):
    batches = _collect(training_batches(split, BATCH, epochs=3, seed=0, augment="none"))
    assert len(batches) == 3 * (N // BATCH)
    epochs = [np.concatenate([labels for _, labels in batches[2 * e : 2 * e + 2]]) for e in range(3)]
    assert all(len(set(labels)) == 2 * BATCH for labels in epochs)
    assert len({tuple(labels) for labels in epochs}) == 3
    for images, labels in batches:
        np.testing.assert_array_equal(images, split.images[labels])  # images stay with their labels


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_same_seed_same_batches(split, augment):
    first, again, other = (
        _collect(training_batches(split, BATCH, epochs=2, seed=seed, augment=augment)) for seed in (5, 5, 6)
    )
    for (x1, y1), (x2, y2) in zip(first, again, strict=True):
        np.testing.assert_array_equal(x1, x2)
        np.testing.assert_array_equal(y1, y2)
    assert any((y1 != y2).any() for (_, y1), (_, y2) in zip(first, other, strict=True))


def test_evaluation_keeps_order_and_every_image(split):
    batches = _collect(evaluation_batches(split, BATCH))
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), split.labels)
    np.testing.assert_array_equal(np.concatenate([images for images, _ in batches]), split.images)


def test_affine_without_noise_is_the_identity():
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 6, 3)).astype("float32")
    result = AUGMENTATIONS["affine"](images, np.zeros((2, NOISE), "float32"))
    np.testing.assert_allclose(result, images, atol=1e-3)


def test_affine_shifts_by_its_share():
    image = np.zeros((1, 10, 10, 1), "float32")
    image[0, 5, 5] = 200
    noise = np.zeros((1, NOISE), "float32")
    noise[0, 3] = 1.0  # a tenth of the width: one pixel
    moved = AUGMENTATIONS["affine"](image, noise).numpy()[0, :, :, 0]
    assert moved[5, 4] == pytest.approx(200, rel=1e-3)
