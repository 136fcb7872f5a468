"""Evaluation beyond accuracy: top-5, calibration, ten crops, and accuracy on disturbed images."""

import keras
import numpy as np
import pytest
import scipy.ndimage
import tensorflow as tf
from encapnet_tf.trainers.data.augmentation.views import ENLARGE, Views
from encapnet_tf.trainers.data.pipeline.split import Split
from encapnet_tf.trainers.evaluation.calibration import Calibration
from encapnet_tf.trainers.evaluation.predictions import Predictions, many_crop_lengths
from encapnet_tf.trainers.evaluation.robustness import DISTURBANCES, accuracies, table
from encapnet_tf.trainers.report.calibration_section import calibration_section
from encapnet_tf.trainers.report.classes_section import class_accuracy_section
from encapnet_tf.trainers.report.robustness_section import robustness_section
from encapnet_tf.trainers.report.run_record import RunRecord

LENGTHS = np.array([[0.9, 0.1, 0.3], [0.2, 0.7, 0.1], [0.5, 0.4, 0.6], [0.8, 0.85, 0.1]])
LABELS = np.array([0, 1, 0, 0])


def _predictions(lengths=LENGTHS, labels=LABELS):
    return Predictions(lengths, labels, np.array([], int), np.zeros((0, 4, 4, 1), np.uint8))


def test_top_k():
    predictions = _predictions()
    assert [predictions.top(k) for k in (1, 2, 3)] == [0.5, 1.0, 1.0]
    assert predictions.top(1) == predictions.accuracy
    tied = _predictions(np.full((2, 3), 0.5), np.array([0, 2]))
    assert tied.top(1) == 0  # a model that says the same of every class knows nothing


def test_accuracy_per_class():
    np.testing.assert_allclose(_predictions().per_class(), [1 / 3, 1.0, np.nan])


def test_calibration_error_by_hand():
    bins = Calibration.from_scores(LENGTHS, LABELS, bins=2)
    assert bins.counts.tolist() == [0, 4]
    assert bins.expected_error == pytest.approx(abs(0.5 - (0.9 + 0.7 + 0.6 + 0.85) / 4))


def test_a_calibrated_model_has_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 40_000)
    labels = (rng.random(40_000) > confidence).astype(int)
    scores = np.stack([confidence, 1 - confidence], axis=1)
    assert Calibration.from_scores(scores, labels).expected_error < 0.02
    assert Calibration.from_scores(scores, np.ones_like(labels)).expected_error == pytest.approx(0.75, abs=0.01)
    assert Calibration.from_scores(np.array([[1.0, 0.0]]), np.array([0])).expected_error == 0


def _sections(robustness_curves):
    record = RunRecord({}, [], {"class_names": ["a", "b", "c"]}, _predictions(), robustness_curves)
    return [section(record) for section in (class_accuracy_section, calibration_section, robustness_section)]


@pytest.mark.ci
def test_sections_show_the_hardest_class_first_and_no_class_without_images():
    classes, calibrated, nothing = _sections({})
    assert [row[0] for row in classes.table] == ["a", "b"]
    assert "46.25%" in calibrated.texts[0]
    assert nothing is None


def test_section_of_robustness_draws_every_disturbance():
    curves = {name: {"net $": [0.5] * len(d.sizes)} for name, d in DISTURBANCES.items()}
    *_, section = _sections(curves)
    assert len(section.pictures) == 1
    assert len(section.pictures[0].png) > 1000


class _WhichHalf(keras.layers.Layer):
    """Layer that scores two classes: the left half is brighter, or the right half is."""

    def call(self, images):
        left, right = (keras.ops.mean(half, axis=(1, 2, 3)) for half in (images[:, :, :4], images[:, :, 4:]))
        return keras.ops.softmax(keras.ops.stack([left, right], axis=1) / 255)


@pytest.fixture(scope="module")
def halves():
    """20 images, brighter by 10 grey levels on the left (label 0) or right (label 1), and a model that tells which."""
    labels = np.arange(20) % 2
    images = np.full((20, 8, 8, 1), 100, np.uint8)
    images[labels == 0, :, :4] = 110
    images[labels == 1, :, 4:] = 110
    inputs = keras.Input((8, 8, 1))
    return Split(images, labels.astype(np.int32)), keras.Model(inputs, _WhichHalf()(inputs))


def test_fgsm_breaks_a_linear_model_at_exactly_half_its_margin(halves):
    split, model = halves
    result = dict(zip(DISTURBANCES["fgsm"].sizes, accuracies(model, split, Views((8, 8)), "fgsm", 6), strict=True))
    assert [result[size] for size in (0, 1, 2, 4)] == [1, 1, 1, 1]
    assert [result[size] for size in (8, 16, 32)] == [0, 0, 0]  # 5 levels up and 5 down undo 10


def test_rotation_by_a_right_angle_takes_left_from_right(halves):
    split, model = halves
    result = accuracies(model, split, Views((8, 8)), "rotations", 6)
    assert result[0] == 1
    assert result[DISTURBANCES["rotations"].sizes.index(45)] == 1
    assert result[-1] <= 0.5  # what is left at 90 degrees are ties


def test_a_disturbance_of_size_zero_changes_nothing(halves):
    split, model = halves
    for name in DISTURBANCES:
        images = tf.constant(split.images[:4], tf.float32)
        same = DISTURBANCES[name].apply(model, images, tf.constant(split.labels[:4]), tf.range(4), 0.0)
        np.testing.assert_allclose(same, images, atol=1e-3)


def test_images_shift_in_four_directions():
    image = np.zeros((4, 8, 8, 1), "float32")
    image[:, 4, 4] = 9
    shifted = DISTURBANCES["shifts"].apply(None, tf.constant(image), None, tf.range(4), 0.25).numpy()[..., 0]
    assert [tuple(int(n) for n in np.argwhere(one)[0]) for one in shifted] == [(4, 2), (4, 6), (2, 4), (6, 4)]


def test_noise_of_an_image_follows_from_its_index():
    images, noisy = tf.fill((3, 16, 16, 1), 100.0), DISTURBANCES["noise"].apply
    result = noisy(None, images, None, tf.range(3), 10.0).numpy()
    assert result.std() == pytest.approx(10, rel=0.1)
    assert result.mean() == pytest.approx(100, abs=1)
    np.testing.assert_array_equal(result[2:], noisy(None, images[:1], None, tf.range(2, 3), 10.0))
    assert (result[0] != result[1]).all(axis=-1).any()


def test_blur_is_a_gaussian_filter_that_keeps_flat_images():
    blur = DISTURBANCES["blur"].apply
    flat = tf.fill((1, 6, 9, 2), 7.0)
    np.testing.assert_allclose(blur(None, flat, None, tf.range(1), 2.0), flat, rtol=1e-5)
    image = np.random.default_rng(0).uniform(0, 255, (1, 21, 31, 1)).astype("float32")
    expected = scipy.ndimage.gaussian_filter(image[0, :, :, 0], 1.5)
    blurred = blur(None, tf.constant(image), None, tf.range(1), 1.5).numpy()[0, :, :, 0]
    np.testing.assert_allclose(blurred[7:-7, 7:-7], expected[7:-7, 7:-7], rtol=1e-3)


def test_the_attack_sees_through_saturated_scores():
    """Lengths beyond the margins, where the margin loss is flat, still give a direction."""
    inputs = keras.Input((2, 2, 1))
    pixels = keras.layers.Flatten()(inputs)
    scores = keras.layers.Dense(2, activation="sigmoid", kernel_initializer="ones", bias_initializer="zeros")(pixels)
    model = keras.Model(inputs, scores)
    model.layers[-1].set_weights([np.array([[0.01, -0.01]] * 4), np.array([1.0, -1.0])])
    images = tf.fill((1, 2, 2, 1), 200.0)
    attacked = DISTURBANCES["fgsm"].apply(model, images, tf.constant([0]), tf.range(1), 3.0)
    np.testing.assert_array_equal(attacked, images - 3)


def test_table_names_runs_and_sizes():
    text = table("shifts", {"encapnet": [1.0] * 6, "plain": [0.25] * 6})
    assert text.splitlines()[0] == "Shift (share of the image's side)"
    assert "0.0625" in text
    assert text.splitlines()[-1].count("25.00%") == 6


def test_ten_crops_are_averaged():
    """A model of linear scores, so that the mean over crops is the score of the mean crop."""
    rng = np.random.default_rng(0)
    split = Split(rng.integers(0, 256, (7, 8, 8, 1)).astype(np.uint8), np.zeros(7, np.int32))
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    views = Views((8, 8), ENLARGE["++"])
    mean = np.mean([crop.numpy() for crop in views.ten_crops(tf.constant(split.images, tf.float32))], axis=0)
    np.testing.assert_allclose(many_crop_lengths(model, split, views, 20), model.predict(mean, verbose=0), rtol=1e-3)
