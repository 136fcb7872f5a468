"""Margin and spread loss: closed forms, all forms of labels, errors, sample weights, training and saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import encapnet_tf as en
from tests.core.conformance.rows import CLASS_LOSSES, named

LENGTHS = np.array([[0.95, 0.05, 0.3], [0.4, 0.7, 0.1], [0.2, 0.8, 0.95]], "float32")
LABELS = np.array([0, 1, 2])


def margin_by_hand(labels, lengths, positive=0.9, negative=0.1, down=0.5):
    return [
        sum(
            max(0, positive - v) ** 2 if j == label else down * max(0, v - negative) ** 2
            for j, v in enumerate(np.float64(row))
        )
        for label, row in zip(labels, lengths, strict=True)
    ]


def spread_by_hand(labels, lengths, margin=0.9):
    return [
        sum(max(0, margin - (row[label] - v)) ** 2 for j, v in enumerate(np.float64(row)) if j != label)
        for label, row in zip(labels, lengths, strict=True)
    ]


BY_HAND = {
    "margin_loss": margin_by_hand,
    "margin_loss_options": lambda *args: margin_by_hand(*args, 0.8, 0.2, 0.25),
    "spread_loss": lambda *args: spread_by_hand(*args, 0.4),
}


@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_values(row):
    each = BY_HAND[row.name](LABELS, LENGTHS)
    total = sum(each) if row.factory.keywords.get("reduction") == "sum" else np.mean(each)
    assert float(row.factory()(LABELS, LENGTHS)) == pytest.approx(total, rel=1e-6)
    unreduced = row.factory(reduction="none")(LABELS, LENGTHS)
    np.testing.assert_allclose(unreduced, each, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_random_values(data):
    batch, classes = data.draw(st.integers(1, 4)), data.draw(st.integers(2, 5))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    lengths, labels = rng.uniform(size=(batch, classes)).astype("float32"), rng.integers(classes, size=batch)
    for row in CLASS_LOSSES:
        each = np.asarray(row.factory(reduction="none")(labels, lengths))
        np.testing.assert_allclose(each, BY_HAND[row.name](labels, lengths), rtol=1e-4, atol=1e-6)


def test_zero_where_every_class_is_as_it_should_be():
    good = np.array([[0.95, 0.05], [0.02, 0.99]], "float32")
    labels = np.array([0, 1])
    assert float(en.losses.MarginLoss()(labels, good)) == 0
    assert float(en.losses.SpreadLoss(0.8)(labels, good)) == 0
    assert float(en.losses.SpreadLoss(0.95)(labels, good)) > 0


@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_python_lists(row):
    """Lists work as in Keras's losses."""
    expected = float(row.factory()(LABELS, LENGTHS))
    assert float(row.factory()(LABELS.tolist(), LENGTHS.tolist())) == pytest.approx(expected)


@pytest.mark.parametrize(("dtype", "classes"), [("int32", 2), ("int64", 3), ("uint8", 7), ("float32", 3)])
@pytest.mark.parametrize("row", [CLASS_LOSSES[0], CLASS_LOSSES[-1]], ids=named)
def test_labels_in_every_form(rng, row, classes, dtype):
    """Integers (batch,) and (batch, 1), and one-hot rows, mean the same; eagerly and in a traced function."""
    lengths = rng.uniform(size=(5, classes)).astype("float32")
    labels = rng.integers(classes, size=5)
    forms = [labels, labels[:, None], np.eye(classes)[labels]]
    loss = row.factory()
    expected = float(loss(labels, lengths))
    for form in forms:
        form = form.astype(dtype)
        assert float(loss(form, lengths)) == pytest.approx(expected)
        assert float(tf.function(loss)(tf.constant(form), tf.constant(lengths))) == pytest.approx(expected)


@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_one_class(row):
    """Label 0 of one class means that class: present, not absent."""
    loss, lengths = row.factory(), np.array([[0.3], [0.5]])
    assert float(loss(np.array([0, 0]), lengths)) == pytest.approx(float(loss(np.ones((2, 1)), lengths)))


def test_soft_labels():
    """The entries of soft labels (mixed images) weight the two terms of each class."""
    expected = 0.25 * 0.5**2 + 0.5 * 0.75 * 0.3**2 + 0.75 * 0.2**2 + 0.5 * 0.25 * 0.6**2
    loss = en.losses.MarginLoss()(np.array([[0.25, 0.75]]), np.array([[0.4, 0.7]]))
    assert float(loss) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [[0, 3], [-1, 0], [0.5, 1], [[0], [7]]])
@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_label_out_of_range_raises(row, wrong):
    with pytest.raises(ValueError, match=r"0 to 2.*3 classes"):
        row.factory()(np.array(wrong), LENGTHS[:2])


def test_label_out_of_range_raises_in_an_eager_fit():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Activation("sigmoid")])
    model.compile("sgd", en.losses.MarginLoss(), run_eagerly=True)
    with pytest.raises(ValueError, match="0 to 2"):
        model.fit(LENGTHS, np.array([0, 1, 3]), verbose=0)


@pytest.mark.parametrize(
    ("y_true", "y_pred"),
    [
        (np.zeros((2, 4)), np.zeros((2, 3))),
        (np.zeros((2, 3, 1)), np.zeros((2, 3))),
        (np.zeros(2), np.zeros((2, 3, 4))),
        (np.zeros((2, 2)), np.zeros((2, 3))),
    ],
)
@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_wrong_shapes_raise(row, y_true, y_pred):
    with pytest.raises(ValueError, match="shape"):
        row.factory()(y_true, y_pred)


@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_sample_weight(row):
    loss, weights = row.factory(), np.array([0.0, 2.0, 1.0])
    each = np.array(BY_HAND[row.name](LABELS, LENGTHS))
    total = np.sum(weights * each)
    expected = total if row.factory.keywords.get("reduction") == "sum" else total / 3
    assert float(loss(LABELS, LENGTHS, sample_weight=weights)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("margin", [0, -0.1, 1.1, float("nan")])
def test_wrong_margin_raises(margin):
    with pytest.raises(ValueError, match="margin"):
        en.losses.SpreadLoss(margin)


def test_margin_is_settable_and_saved():
    loss = en.losses.SpreadLoss(0.2)
    loss.margin = 0.55
    assert loss.margin == pytest.approx(0.55)
    assert float(loss(np.array([1]), np.array([[0.4, 0.7]]))) == pytest.approx(0.25**2)
    copy = en.losses.SpreadLoss.from_config(loss.get_config())
    assert copy.margin == pytest.approx(0.55)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_new_margin_acts_in_a_compiled_step(jit_compile):
    """The margin is a variable, so a traced step uses its new value."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(1.0)])
    loss = en.losses.SpreadLoss(0.2)
    model.compile("sgd", loss, jit_compile=jit_compile)
    for margin in (0.2, 0.9, 0.5):
        loss.margin = margin
        logged = model.evaluate(LENGTHS, LABELS, verbose=0)
        assert logged == pytest.approx(np.mean(spread_by_hand(LABELS, LENGTHS, margin)), rel=1e-5)


@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_fit_save_load(row, tmp_path):
    """A model trains, is saved and loaded with its loss, and its next training step is that of the original."""
    model = keras.Sequential([keras.Input((2, 4)), en.layers.CapFC(3, 4), en.layers.CapsuleLength()])
    model.compile(keras.optimizers.SGD(0.5), row.factory(), run_eagerly=row is not CLASS_LOSSES[0])
    x, y = np.random.default_rng(0).normal(size=(12, 2, 4)), np.arange(12) % 3
    history = model.fit(x, y, batch_size=12, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    loaded = en.load_model(tmp_path / "model.keras")
    assert type(loaded.loss) is row.factory.func
    assert loaded.loss.get_config() == model.loss.get_config()
    for either in (model, loaded):
        either.run_eagerly = True
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-6)
    np.testing.assert_allclose(loaded.train_on_batch(x, y), model.train_on_batch(x, y), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("row", CLASS_LOSSES, ids=named)
def test_half_precision_lengths(row, dtype):
    """Lengths in half precision are cast: the loss is float32, as that of every Keras loss."""
    loss = row.factory()(LABELS, tf.cast(LENGTHS, dtype))
    assert loss.dtype == "float32"
    assert float(loss) == pytest.approx(float(row.factory()(LABELS, LENGTHS)), rel=0.05)
