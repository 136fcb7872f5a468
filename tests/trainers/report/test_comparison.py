"""The page that compares runs: results, settings, curves and errors by class, also of runs that lack some of them."""

import dataclasses
import re

import numpy as np
import pytest
from encapnet_tf.trainers.evaluation.predictions import Predictions
from encapnet_tf.trainers.report.comparison import class_errors, curves
from encapnet_tf.trainers.report.comparison.class_errors import ClassErrors, class_errors_section
from encapnet_tf.trainers.report.comparison.compared_run import ComparedRun, short_names
from encapnet_tf.trainers.report.comparison.sections import comparison_sections
from encapnet_tf.trainers.report.page import render_page
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.runs.run_directory import RunDirectory

EVIL = "<img onerror=alert(1) src=x>"
DOLLARS = r"$\frac{$"
SUMMARY = {
    "test_accuracy": 0.5,
    "validation_accuracy": 0.5,
    "parameters": 1234,
    "train_seconds": 1.0,
    "class_names": ["a", "b", "c"],
}
LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2])


def predictions(predicted, labels=LABELS, classes=3):
    lengths = np.eye(classes, dtype="float32")[predicted]
    return Predictions(lengths, labels, np.zeros(0, int), np.zeros((0, 4, 4, 1), np.uint8))


def run(name, predicted=(0, 1, 1, 2, 1, 1, 0, 2), loss=True, **settings):
    rows = [{"epoch": e, "accuracy": 0.1 * e, "val_accuracy": 0.2 * e} for e in (1, 2, 3)]
    rows = [row | ({"class_loss": 1 / row["epoch"], "val_class_loss": 2.0} if loss else {}) for row in rows]
    return ComparedRun(name, {"recipe": "digits", **settings}, SUMMARY, rows, predictions(list(predicted)))


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave pictures undrawn, where a test is about texts."""
    for module in (curves, class_errors):
        monkeypatch.setattr(module, "png", lambda figure: "")


def titles(sections):
    return [section.title for section in sections]


def test_sections():
    sections = comparison_sections([run("one", seed=1), run(EVIL), run(DOLLARS, loss=False)])
    results, settings, accuracy, loss, classes = sections
    assert titles(sections) == ["Results", "Different settings", "Accuracy", "Class loss", "Errors by class"]
    assert [row[0] for row in results.table] == ["run", "one", EVIL, DOLLARS]
    assert results.table[1][2] == "50.00%"
    assert results.texts == []
    assert settings.table == [("setting", "one", EVIL, DOLLARS), ("seed", "1", "0", "0")]
    assert [len(section.pictures) for section in (accuracy, loss, classes)] == [1, 1, 1]
    assert loss.texts[1] == f"1 run without a log of it left out: {DOLLARS}."
    page = render_page("t", sections)
    assert not re.search(r"<[^>]*onerror", page)
    assert page.count("data:image/png") == 3


@pytest.mark.usefixtures("no_pictures")
def test_equal_settings():
    section = comparison_sections([run("one"), run("two")])[1]
    assert section.table == []
    assert "There are none" in section.texts[0]


@pytest.mark.usefixtures("no_pictures")
def test_runs_on_different_data():
    other = dataclasses.replace(run("two"), summary={**SUMMARY, "data_name": "photos"})
    renamed = dataclasses.replace(run("two"), summary={**SUMMARY, "class_names": ["a", "b", "d"]})
    for second in (other, renamed):  # other classes are other data, whatever its name
        results, _, accuracy, loss, classes = comparison_sections([run("one"), second])
        for section in (results, accuracy, loss):
            assert any("different data" in text for text in section.texts)
        assert len(classes.pictures) == 2
    assert [row[1] for row in comparison_sections([run("one"), other])[0].table] == ["data", "", "photos"]
    assert [picture.caption for picture in class_errors_section([run("one"), other]).pictures] == ["", "photos"]


@pytest.mark.usefixtures("no_pictures")
def test_what_a_run_lacks_is_named():
    bare = ComparedRun("bare", {"recipe": "digits"}, SUMMARY)
    bare = dataclasses.replace(bare, problems=("bare/metrics.jsonl is missing.",))
    results, _, accuracy, loss, classes = comparison_sections([run("whole"), bare])
    assert results.texts == ["bare/metrics.jsonl is missing."]
    assert accuracy.texts[1] == "1 run without a log of it left out: bare."
    assert loss.texts[1] == accuracy.texts[1]
    assert classes.texts[-1] == "1 run without saved predictions left out: bare."
    assert len(classes.pictures) == 1
    _, _, accuracy, _, classes = comparison_sections([bare, dataclasses.replace(bare, name="too")])
    assert [*accuracy.pictures, *classes.pictures] == []
    assert classes.texts == ["2 runs without saved predictions left out: bare, too."]


@pytest.fixture
def figure_of(monkeypatch):
    """A function that calls a drawing function and returns its figure instead of the PNG."""

    def draw(module, function, *arguments):
        monkeypatch.setattr(module, "png", lambda figure: figure)
        return getattr(module, function)(*arguments)

    return draw


def test_curves_of_all_runs_in_one_figure(figure_of):
    runs = [run(f"_{i}", model="encapnet", routing=["master", "master_aide"]) for i in range(12)]
    figure = figure_of(curves, "_draw_curves", runs, "accuracy")
    training, validation = figure.axes
    assert len(training.lines) == len(validation.lines) == 12
    np.testing.assert_allclose(training.lines[3].get_xydata(), [(1, 0.1), (2, 0.2), (3, 0.3)])
    np.testing.assert_allclose(validation.lines[3].get_ydata(), [0.2, 0.4, 0.6])
    styles = {(line.get_color(), line.get_linestyle()) for line in validation.lines}
    assert len(styles) == 12, "more runs than colours"
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[2] == " _2: encapnet master+master_aide"
    assert training.get_yscale() == "linear"
    assert figure_of(curves, "_draw_curves", runs, "class_loss").axes[0].get_yscale() == "log"


def test_errors_are_counted_by_class():
    errors = ClassErrors.of([run("runs/x/one"), run("runs/x/two", predicted=LABELS)])
    assert errors.run_names == ["one", "two"]
    np.testing.assert_allclose(errors.shares, [[0.75, 0], [0, 0], [0.5, 0]])
    assert errors.mistaken_for.tolist() == [[1, -1], [-1, -1], [0, -1]]
    assert errors.hardest().tolist() == [0, 2, 1]


def test_errors_figure(figure_of):
    errors = ClassErrors(["one", DOLLARS], ("a", DOLLARS, "a very long name of a class"), *_shares())
    axes, bar = figure_of(class_errors, "draw_class_errors", errors).axes
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["75.0\nas $\\frac{$", "25.0\nas a very long nam…", "50.0\nas a", "0.0", "0.0", "0.0"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", errors.class_names[2], DOLLARS]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["one", DOLLARS]
    assert axes.texts[0].get_color() == "white", "on a dark cell"
    assert axes.texts[3].get_color() != "white"
    assert bar.get_ylabel() == "errors, %"


def _shares():
    return np.array([[0.75, 0.25], [0, 0], [0.5, 0]]), np.array([[1, 2], [-1, -1], [0, -1]])


@pytest.mark.usefixtures("no_pictures")
def test_the_class_with_the_largest_difference_is_named():
    texts = class_errors_section([run("one"), run("two", predicted=LABELS)]).texts
    assert texts[1] == "The runs differ most in a: 0.00% errors of two, 75.00% of one."
    assert len(class_errors_section([run("one"), run("two")]).texts) == 1, "they do not differ"
    assert len(class_errors_section([run("one")]).texts) == 1


@pytest.mark.usefixtures("no_pictures")
def test_many_classes_classes_without_images_and_pairs():
    labels = np.arange(1, 60)  # class 0 has no image
    many = predictions(np.zeros(59, int), labels, classes=60)
    names = [f"class {i}" for i in range(60)]
    record = dataclasses.replace(run("one"), predictions=many, summary={**SUMMARY, "class_names": names})
    assert len(ClassErrors.of([record]).hardest()) == 40
    section = class_errors_section([record])
    assert section.texts[-1] == "40 of the 60 classes are drawn."
    pairs = Predictions(np.eye(3)[[0, 1]], np.array([[0, 1], [1, 2]]), np.zeros(0, int), np.zeros((0, 4, 4, 1)))
    errors = ClassErrors.of([dataclasses.replace(run("one"), predictions=pairs)])
    assert (errors.mistaken_for == -1).all(), "two labels, two answers: none stands for another"


def test_short_names():
    def of(*names):
        return short_names([ComparedRun(name, {}, SUMMARY) for name in names])

    assert of("runs/digits/a", "runs/digits/b") == ["a", "b"]
    assert of("runs/digits/a", "runs/mnist/a") == ["digits/a", "mnist/a"]
    assert of("a", "runs/b") == ["a", "runs/b"]
    assert of("/tmp/runs/a") == ["a"]


def test_files_of_a_run(finished_run, tmp_path):
    whole = ComparedRun.read(finished_run)
    assert whole.problems == ()
    assert whole.predictions.accuracy == pytest.approx(whole.summary["test_accuracy"])
    for name in ("config.json", "summary.json"):
        (tmp_path / name).write_bytes(finished_run.file(name).read_bytes())
    bare = ComparedRun.read(RunDirectory(tmp_path))
    assert (bare.metrics, bare.predictions) == ((), None)
    assert [problem.split("/")[-1] for problem in bare.problems] == [
        "metrics.jsonl is missing.",
        "predictions.npz is missing.",
    ]
    predictions([0, 1] * 4, classes=2).save(tmp_path / "predictions.npz")
    assert "has scores of shape (8, 2) for 10 classes" in ComparedRun.read(RunDirectory(tmp_path)).problems[1]
    (tmp_path / "summary.json").write_text('{"class_names": []}')
    with pytest.raises(UserError, match="it lacks test_accuracy"):
        ComparedRun.read(RunDirectory(tmp_path))
