"""Images with two labels: when they are correct, by training's metric and by evaluation, and the report on them."""

import argparse

import keras
import numpy as np
import pytest
import tensorflow as tf
from encapnet_tf.trainers.commands import evaluate
from encapnet_tf.trainers.data.pipeline.label_rows import label_rows
from encapnet_tf.trainers.evaluation.chance import guessing_limit
from encapnet_tf.trainers.evaluation.correctness import are_correct, lead_of_mistake
from encapnet_tf.trainers.evaluation.predictions import Predictions
from encapnet_tf.trainers.report.run_record import RunRecord
from encapnet_tf.trainers.report.run_report import render_report
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

from encapnet_tf.losses import MarginLoss
from encapnet_tf.losses.labels_found import LabelsFound
from encapnet_tf.losses.multi_label_crossentropy import MultiLabelCrossentropy

LENGTHS = np.array([[0.9, 0.2, 0.8, 0.1], [0.9, 0.2, 0.8, 0.1], [0.3, 0.7, 0.6, 0.9], [0.5, 0.5, 0.9, 0.1]], "float32")
LABELS = np.array([[2, 0], [0, 1], [3, 0], [2, 0]], "int32")
CORRECT = [True, False, False, False]  # a tie is a mistake


def _predictions():
    worst = np.array([1, 2, 3])
    return Predictions(LENGTHS, LABELS, worst, np.zeros((3, 4, 4, 1), np.uint8))


def test_both_labels_are_to_be_found():
    assert are_correct(LENGTHS, LABELS).tolist() == CORRECT
    np.testing.assert_allclose(lead_of_mistake(LENGTHS, LABELS), [-0.6, 0.6, 0.4, 0.0], atol=1e-6)
    metric = LabelsFound()
    for part in (slice(0, 1), slice(1, 4)):
        metric.update_state(label_rows(LABELS[part], 4), LENGTHS[part])
    predictions = _predictions()
    assert float(metric.result()) == predictions.accuracy == 0.25
    assert predictions.errors == 3
    assert [predictions.top(k) for k in (1, 2, 3, 4)] == [0, 0.25, 0.75, 1]


def test_metric_and_evaluation_agree_on_random_scores():
    rng = np.random.default_rng(0)
    scores = rng.random((500, 5), "float32")
    labels = np.argsort(rng.random((500, 5)), axis=1)[:, :2]
    metric = LabelsFound()
    metric.update_state(label_rows(labels, 5), scores)
    expected = [set(np.argsort(row)[-2:]) == set(pair) for row, pair in zip(scores, labels, strict=True)]
    assert are_correct(scores, labels).tolist() == expected
    assert float(metric.result()) == pytest.approx(np.mean(expected))


def test_margin_loss_of_two_labels():
    """T is the sum of both one-hot rows (Sabour et al. 2017, section 6)."""
    loss = float(MarginLoss()(label_rows(LABELS[1:2], 4), LENGTHS[1:2]))
    assert loss == pytest.approx(0.0 + 0.7**2 + 0.5 * 0.7**2 + 0.0, abs=1e-6)


def test_crossentropy_of_two_labels_has_the_right_gradient():
    """In a graph with a softmax, where Keras's loss calls a kernel of TensorFlow that takes targets to sum to 1."""
    logits, rows = keras.ops.log(LENGTHS), label_rows(LABELS, 4)

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = MultiLabelCrossentropy(reduction="sum")(rows, keras.activations.softmax(logits))
        return tape.gradient(loss, logits)

    np.testing.assert_allclose(gradient(), keras.ops.softmax(logits) - np.asarray(rows) / 2, atol=1e-6)


def test_numbers_of_each_class():
    predictions = _predictions()
    assert [counts.tolist() for counts in predictions.class_counts()] == [[4, 1, 2, 1], [3, 1, 3, 1]]
    np.testing.assert_allclose(predictions.per_class(), [3 / 4, 0, 1, 1])


def test_guessing_a_pair():
    labels = np.array([[0, 1], [1, 0], [1, 2], [2, 3]] * 25)
    assert guessing_limit(labels) == pytest.approx(0.5 + 2 * np.sqrt(0.25 / 100))


def test_the_report_names_both_labels():
    summary = {
        **{"test_accuracy": 0.25, "test_errors": 3, "test_images": 4, "validation_accuracy": 0.5},
        **{"validation_images": 4, "best_epoch": 1, "epochs": 1, "parameters": 9, "train_seconds": 1.0},
        **{"train_images": 8, "images_per_second": 8.0, "class_names": ["ant", "bee", "cat", "dog"]},
    }
    row = {"epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5}
    page = render_report("pairs", RunRecord({"config": {}}, [row], summary, _predictions()))
    assert "right if both labels are found" in page
    assert "ant (0.90) and cat (0.80), truly ant (0.90) and bee (0.20)" in page
    assert "75.00% of 4" in page
    assert "Confusion matrix" not in page
    assert "Calibration" not in page


@pytest.mark.parametrize(
    ("compose", "flag", "message"),
    [
        ("overlap", "--crops=10", r"--crops=10: .* composed images \(--compose=overlap\).* Leave --crops out"),
        ("affine", "--crops=10", r"\(--compose=affine\)"),
        ("overlap", "--shifts", r"--shifts: .* images with two labels .* Leave --shifts out"),
    ],
)
def test_what_is_not_measured_of_composed_images(tmp_path, compose, flag, message):
    run = RunDirectory.create("x", tmp_path / "run")
    run.write_json(RunDirectory.config_file, {"config": {"compose": compose}})
    run.write_json(RunDirectory.summary_file, {})
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    args = parser.parse_args([str(run.path), flag])
    with pytest.raises(UserError, match=message):
        evaluate.check_arguments(args)
