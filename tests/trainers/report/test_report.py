"""Reports: escaping and the security policy of the page, every section, and the numbers and texts in the pictures."""

import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.calibration import Calibration
from encapnet_tf.trainers.evaluation.predictions import Predictions
from encapnet_tf.trainers.report import calibration_section, classes_section
from encapnet_tf.trainers.report.agreement_section import agreement_section
from encapnet_tf.trainers.report.feedback_section import feedback_section
from encapnet_tf.trainers.report.run_record import RunRecord
from encapnet_tf.trainers.report.run_report import render_report

EVIL = "<img onerror=alert(1) src=x>"
DOLLARS = r"$\frac{$"


def _record(class_names, right=False):
    labels = np.array([0, 1, 2, 0])
    lengths = np.eye(3, dtype="float32")[labels if right else [0, 2, 2, 1]] * 0.8 + 0.1
    wrong = np.flatnonzero(lengths.argmax(1) != labels)
    return RunRecord(
        config={"config": {"recipe": EVIL, "depths": [1, 1]}, "command": f"encapnet train '{EVIL}'", "versions": {}},
        metrics=[
            {"epoch": e, "loss": 1 / e, "accuracy": 0.5, "val_loss": 1 / e, "val_accuracy": 0.5} for e in (1, 2, 3)
        ],
        summary={
            "test_accuracy": 0.5,
            "test_errors": 2,
            "test_images": 4,
            "validation_accuracy": 0.5,
            "validation_images": 4,
            "best_epoch": 2,
            "epochs": 3,
            "parameters": 1234,
            "train_seconds": 1.0,
            "train_images": 8,
            "images_per_second": 24.0,
            "class_names": class_names,
        },
        predictions=Predictions(lengths, labels, wrong, np.zeros((len(wrong), 4, 4, 1), np.uint8)),
    )


class _Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def page():
    return render_report(f"title {EVIL}", _record([EVIL, DOLLARS, "c & d"]))


def test_strings_are_escaped(page):
    assert "onerror" in page
    assert not re.search(r"<[^>]*onerror", page)
    for tag, attributes in _Tags(page).tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        if tag == "img":
            assert attributes["src"].startswith("data:image/png;base64,")


def test_no_script_and_a_strict_policy(page):
    tags = _Tags(page).tags
    assert not {"script", "iframe", "object", "link", "form"} & {tag for tag, _ in tags}
    assert not any("style" in attributes for _, attributes in tags)
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_sections_are_there(page):
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    expected = "Result|Loss and accuracy|Accuracy per class|Confusion matrix|Calibration|Worst mistakes|Settings"
    assert headings == expected.split("|")
    assert "2 of 2 mistakes" in page
    assert "(0.90), truly c &amp; d" not in page  # class 2 was never mistaken
    assert "c &amp; d (0.90), truly $\\frac{$ (0.10)" in page


def test_no_mistakes():
    section = classes_section.mistakes_section(_record(["a", "b", "c"], right=True))
    assert "There are none" in section.texts[0]
    assert not section.pictures


def _with_units(record, shares):
    rows = [
        {**row, "unit": 0.1, "unit_divergence": 0.5 * share, "unit_raw_divergence": 0.5, "unit_spread": 0.3,
         "unit_raw_spread": 0.4}
        for row, share in zip(record.metrics, shares, strict=True)
    ]  # fmt: skip
    return dataclasses.replace(record, metrics=rows)


def test_feedback_units_have_a_section():
    section = feedback_section(_with_units(_record(["a", "b", "c"]), (0.5, 0.2, 0.1)))
    assert section.title == "Feedback agreement"
    assert len(section.texts) == len(section.pictures) == 1
    with_mass = _with_units(_record(["a", "b", "c"]), (0.5, 0.2, 0.1))
    with_mass = dataclasses.replace(with_mass, metrics=[{**row, "unit_paired_mass": 0.4} for row in with_mass.metrics])
    assert feedback_section(with_mass).pictures[0].png != section.pictures[0].png
    assert feedback_section(_record(["a", "b", "c"])) is None


def test_a_collapsed_extractor_is_reported():
    section = feedback_section(_with_units(_record(["a", "b", "c"]), (0.5, 0.002, 0.001)))
    assert "Warning: the extractor of unit collapsed at epoch 2" in section.texts[1]
    assert "fell to 0.001 of that of the raw features" in section.texts[1]


def test_confusion_counts():
    counts = _record(["a", "b", "c"]).predictions.confusion()
    assert counts.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 1]]


def _with_agreement(record):
    bars = {"share": [0.05] * 20, "length": [0.1] * 10 + [0.0] * 10}
    rows = [
        {"epoch": epoch, "layer": layer, "branch": branch, **bars}
        for epoch in (1, 3)
        for layer, branch in (("module1_type1", "master"), ("module1_type1", "aide"), ("class_capsules", "mapped"))
    ]
    return dataclasses.replace(record, agreement=rows)


def test_agreement_has_a_section():
    section = agreement_section(_with_agreement(_record(["a", "b", "c"])))
    assert section.title == "Agreement of capsules"
    assert len(section.pictures) == 1
    assert agreement_section(_record(["a", "b", "c"])) is None


@pytest.fixture
def figure_of(monkeypatch):
    """A function that calls a drawing function and returns its figure instead of the PNG."""

    def draw(module, function, *arguments):
        monkeypatch.setattr(module, "png", lambda figure: figure)
        return getattr(module, function)(*arguments)

    return draw


def _texts(labels):
    return [label.get_text() for label in labels]


def test_confusion_matrix_shows_counts_names_and_shares_of_the_true_class(figure_of):
    counts = np.array([[30, 10, 0], [0, 0, 0], [5, 0, 15]])  # no image of the second class
    axes, colour_bar = figure_of(classes_section, "draw_confusion", counts, [EVIL, DOLLARS, "c"]).axes
    assert _texts(axes.texts) == ["30", "10", "", "", "", "", "5", "", "15"]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25, 0], [0, 0, 0], [0.25, 0, 0.75]])
    assert axes.images[0].get_clim() == (0, 1)
    assert {axes.texts[i].get_color() for i in (0, 8)} == {"white"}  # on dark cells
    assert "white" not in {axes.texts[i].get_color() for i in (1, 6)}
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert _texts(labels) == [EVIL, DOLLARS, "c"]
        assert not any(label.get_parse_math() for label in labels)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert colour_bar.get_ylabel() == "share of the true class"


def test_confusion_matrix_of_many_classes_has_neither_counts_nor_names(figure_of):
    axes, _ = figure_of(
        classes_section, "draw_confusion", np.eye(41, dtype=int), [f"class {i}" for i in range(41)]
    ).axes
    assert not axes.texts
    labels = _texts([*axes.get_xticklabels(), *axes.get_yticklabels()])
    assert len(labels) < 30
    assert not any("class" in label for label in labels)


@pytest.fixture(scope="module")
def scores():
    """Scores as of a network in float32, some beyond 1, with no image in the lowest bins."""
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.2, 1.01, (2000, 10)).astype("float32")
    return scores, np.where(rng.random(2000) < 0.8, scores.argmax(axis=1), rng.integers(0, 10, 2000))


def test_calibration_by_a_loop_over_bins(scores):
    """Confidence, accuracy and error of each bin from their definition."""
    calibration = Calibration.from_scores(*scores, bins=15)
    confidence, correct = np.minimum(scores[0].max(axis=1), 1).astype(float), scores[0].argmax(axis=1) == scores[1]
    bin_of_image = np.minimum((confidence * 15).astype(int), 14)
    members = [bin_of_image == i for i in range(15) if (bin_of_image == i).any()]
    assert calibration.counts.sum() == 2000
    assert calibration.counts[calibration.counts > 0].tolist() == [int(m.sum()) for m in members]
    np.testing.assert_allclose(calibration.confidence, [confidence[m].mean() for m in members], rtol=1e-12)
    np.testing.assert_allclose(calibration.accuracy, [correct[m].mean() for m in members], rtol=1e-12)
    error = sum(m.sum() * abs(correct[m].mean() - confidence[m].mean()) for m in members) / 2000
    assert calibration.expected_error == pytest.approx(error, rel=1e-12)


def test_calibration_figure_shows_accuracy_confidence_and_counts(figure_of, scores):
    calibration = Calibration.from_scores(*scores)
    figure = figure_of(calibration_section, "draw_calibration", calibration)
    diagram, histogram = figure.axes
    occupied = np.flatnonzero(calibration.counts)
    np.testing.assert_allclose([bar.get_height() for bar in diagram.patches], calibration.accuracy)
    np.testing.assert_allclose([bar.get_center()[0] * 15 - 0.5 for bar in diagram.patches], occupied)
    diagonal, points = diagram.lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [(0, 0), (1, 1)])
    np.testing.assert_array_equal(points.get_xydata(), np.stack([calibration.confidence, calibration.accuracy], axis=1))
    assert points.get_linestyle() == "None"
    assert [bar.get_height() for bar in histogram.patches] == calibration.counts.tolist()
    assert _texts(figure.legends[0].get_texts()) == ["Perfectly calibrated", "(mean confidence, accuracy)", "accuracy"]
    assert diagram.get_legend() is None  # it would cover bars
