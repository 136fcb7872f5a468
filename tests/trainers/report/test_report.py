import base64
import dataclasses
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.predictions import Predictions
from encapnet_tf.trainers.report.comparison import comparison_sections
from encapnet_tf.trainers.report.page import render_page
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
    page = render_report("t", _record(["a", "b", "c"], right=True))
    assert "There are none" in page


def _with_units(record, shares):
    rows = [
        {**row, "unit": 0.1, "unit_divergence": 0.5 * share, "unit_raw_divergence": 0.5, "unit_spread": 0.3,
         "unit_raw_spread": 0.4}
        for row, share in zip(record.metrics, shares, strict=True)
    ]  # fmt: skip
    return dataclasses.replace(record, metrics=rows)


def test_feedback_units_have_a_section():
    page = render_report("t", _with_units(_record(["a", "b", "c"]), (0.5, 0.2, 0.1)))
    assert "<h2>Feedback agreement</h2>" in page
    assert "Warning" not in page


def test_a_collapsed_extractor_is_told():
    page = render_report("t", _with_units(_record(["a", "b", "c"]), (0.5, 0.002, 0.001)))
    assert "Warning: the extractor of unit collapsed at epoch 2" in page
    assert "fell to 0.001 of the features" in page


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
    page = render_report("t", _with_agreement(_record(["a", "b", "c"])))
    assert "<h2>Agreement of capsules</h2>" in page
    assert "<h2>Agreement" not in render_report("t", _record(["a", "b", "c"]))


def test_runs_beside_each_other():
    """Results of every run; the class losses of those that logged them."""
    plain = _record(["a", "b", "c"])
    logged = dataclasses.replace(
        plain, metrics=[{**row, "class_loss": 0.5, "val_class_loss": 0.6} for row in plain.metrics]
    )
    results, losses = comparison_sections({"one": plain, EVIL: logged, DOLLARS: logged})
    assert [row[0] for row in results.table] == ["run", "one", EVIL, DOLLARS]
    assert results.table[1][1] == "50.00%"
    assert len(losses.pictures) == 1
    assert "1 of the runs logged no class loss" in losses.texts[1]
    assert not re.search(r"<[^>]*onerror", render_page("t", [results, losses]))
    assert not comparison_sections({"one": plain})[1].pictures
