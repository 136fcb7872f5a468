"""What losses say of data that does not fit: labels that are no class, counts that differ, NaN, wrong margins."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.callbacks import CollapseWatch, SpreadMarginSchedule
from encapnet_tf.layers import FeedbackAgreement
from encapnet_tf.losses import MarginLoss, SpreadLoss
from encapnet_tf.losses.class_loss import ClassLoss

LENGTHS = np.array([[0.95, 0.05, 0.3], [0.4, 0.7, 0.1], [0.2, 0.8, 0.95]], "float32")
LOSSES = [MarginLoss, SpreadLoss]


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.ci)])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_label_that_is_no_class_is_seen_in_fit(loss, jit_compile):
    """Loss, metric and weights are NaN, where a traced step cannot raise."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(1.0), keras.layers.Dense(3)])
    model.compile("sgd", loss(), weighted_metrics=[ClassLoss(loss())], jit_compile=jit_compile)
    assert np.isfinite(model.evaluate(LENGTHS, np.array([0.0, 1.0, 2.0]), verbose=0)).all()
    for wrong in ([1, 2, 3], [0, -1, 2], [0, 1.5, 2], [0, 1, np.nan]):
        assert np.isnan(model.evaluate(LENGTHS, np.float64(wrong), verbose=0)).all(), wrong
    model.fit(LENGTHS, np.float64([1, 2, 3]), verbose=0)
    assert np.isnan(model.get_weights()[0]).any()


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_of_every_width_are_checked_in_a_graph(loss):
    """Without a wrap to 32 bits, and where there are more classes than the labels' dtype can count."""
    function = tf.function(loss().call)
    many = np.full((1, 300), 0.1, "float32")
    assert np.isfinite(function(np.array([255], "uint8"), many)).all()
    assert np.isnan(function(np.array([2**32], "int64"), many)).all()
    assert np.isnan(function(np.array([-1], "int8"), many)).all()
    assert np.isfinite(function(np.array([True]), many)).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_only_the_sample_of_the_wrong_label_is_nan(loss):
    each = tf.function(loss(reduction="none"))(np.array([0, 3, 2]), LENGTHS)
    np.testing.assert_array_equal(np.isnan(each), [False, True, False])


@pytest.mark.parametrize("loss", LOSSES)
def test_counts_that_differ_raise(loss):
    for labels in ([0], [0, 1], np.eye(3)[:1], [[0], [1]]):
        with pytest.raises(ValueError, match="a label for each row"):
            loss()(labels, LENGTHS)
        with pytest.raises(ValueError, match="a label for each row"):
            tf.function(loss())(tf.constant(labels), tf.constant(LENGTHS))
    with pytest.raises(ValueError, match="a label for each row"):
        loss()([0, 1], LENGTHS[:1])


@pytest.mark.parametrize("shape", [(None,), (None, 1), (None, 3)])
@pytest.mark.parametrize("loss", LOSSES)
def test_counts_that_differ_raise_where_they_are_unknown_at_first(loss, shape):
    function = tf.function(loss(), input_signature=[tf.TensorSpec(shape), tf.TensorSpec((None, 3))])
    assert np.isfinite(function(np.zeros((3, *shape[1:]), "float32"), LENGTHS))
    for labels, lengths in ((1, 3), (3, 1), (2, 3)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            function(np.zeros((labels, *shape[1:]), "float32"), LENGTHS[:lengths])


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_labels_of_several_ranks_in_one_compiled_model(loss, jit_compile):
    """After the second form Keras traces one function for both, in which the number of axes is unknown."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(1.0)])
    model.compile("sgd", loss(), jit_compile=jit_compile)
    labels = np.array([0, 2, 1])
    expected = float(loss()(labels, LENGTHS))
    for form in (labels, labels[:, None], np.eye(3)[labels], labels):
        assert model.evaluate(LENGTHS, form, verbose=0) == pytest.approx(expected, rel=1e-6)
    assert np.isnan(model.evaluate(LENGTHS, np.array([1, 2, 3]), verbose=0))


@pytest.mark.parametrize("loss", LOSSES)
def test_labels_of_unknown_rank(loss):
    """As of a `tf.py_function` or a generator without shapes."""
    function = tf.function(loss(), input_signature=[tf.TensorSpec(None), tf.TensorSpec((None, 3))])
    for labels in ([0, 2, 1], [[0], [2], [1]], np.eye(3)[[0, 2, 1]]):
        assert float(function(np.float32(labels), LENGTHS)) == pytest.approx(float(loss()([0, 2, 1], LENGTHS)))
    for labels, lengths in (([0], LENGTHS), ([0, 1], LENGTHS), ([0, 1], LENGTHS[:1]), (np.zeros((3, 2)), LENGTHS)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            function(np.float32(labels), lengths)
    with pytest.raises(ValueError, match=r"lengths of shape \(batch, classes\)"):
        tf.function(loss(), input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)])([0.0], LENGTHS)


def test_counts_that_differ_raise_in_fit():
    """For instance behind a layer that moves samples into another axis."""
    model = keras.Sequential([keras.Input((2, 3)), keras.layers.Lambda(lambda x: keras.ops.reshape(x, (-1, 3)))])
    for loss, labels in ((MarginLoss(), np.array([0])), (en.losses.SinkhornLoss(), np.zeros((1, 3)))):
        model.compile("sgd", loss)
        with pytest.raises(Exception, match=r"ConcatOp|size-incompatible|label for each row|as many points"):
            model.evaluate(LENGTHS[None, :2], labels, verbose=0)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_nan_in_nan_out(loss, jit_compile):
    """In each class's length, where it is the true class and where it is not: value, and gradient of NaN."""

    loss = loss()

    @tf.function(jit_compile=jit_compile)
    def step(lengths):
        with tf.GradientTape() as tape:
            tape.watch(lengths)
            value = loss(np.array([0, 1, 2]), lengths)
        return value, tape.gradient(value, lengths)

    for wrong in (np.nan, np.inf, -np.inf):
        for column in range(3):
            lengths = LENGTHS.copy()
            lengths[1, column] = wrong
            value, gradient = step(lengths)
            assert not np.isfinite(value)
            if np.isnan(wrong):
                assert np.isnan(gradient[1, column])
            assert np.isfinite(gradient.numpy()[[0, 2]]).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_nan_in_soft_labels(loss):
    soft = np.full((3, 3), 1 / 3)
    assert np.isfinite(float(loss()(soft, LENGTHS)))
    soft[0, 0] = np.nan
    assert np.isnan(float(loss()(soft, LENGTHS)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, None, True, "wide"])
@pytest.mark.parametrize(
    ("factory", "name"),
    [
        (MarginLoss, "positive_margin"),
        (MarginLoss, "negative_margin"),
        (MarginLoss, "down_weight"),
        (SpreadLoss, "margin"),
        (SpreadMarginSchedule, "start"),
        (SpreadMarginSchedule, "end"),
        (partial(CollapseWatch, None), "ratio"),
        (FeedbackAgreement, "weight"),
        (en.optimizers.AdamL2, "l2"),
        (partial(en.ops.em_routing, *[None] * 6), "inverse_temperature"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_settings_must_be_finite_numbers(factory, name, wrong):
    with pytest.raises(ValueError, match=f"{name} must be"):
        factory(**{name: wrong})


def test_margins_out_of_order_are_refused():
    with pytest.raises(ValueError, match=r"must not exceed.*positive_margin=0.1, negative_margin=0.9"):
        MarginLoss(positive_margin=0.1, negative_margin=0.9)
    with pytest.raises(ValueError, match=r"must not exceed.*negative_margin=0.95"):
        MarginLoss.from_config({**MarginLoss().get_config(), "negative_margin": 0.95})
    with pytest.raises(ValueError, match="down_weight"):
        MarginLoss(down_weight=-0.5)
    MarginLoss(positive_margin=0.5, negative_margin=0.5)


@pytest.mark.parametrize("wrong", [np.nan, 0, 1.5, np.inf])
def test_wrong_margin_cannot_be_set(wrong):
    loss = SpreadLoss(0.3)
    with pytest.raises(ValueError, match="margin"):
        loss.margin = wrong
    assert loss.margin == pytest.approx(0.3)
