"""The unit returns the higher layer's output bit for bit, and adds to the loss in training only."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from encapnet_tf.layers import FeedbackAgreement
from tests.feedback.networks import KINDS, data, network, sides


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_output_is_the_higher_input(dtype, policy, rng):
    """Its dtype is kept too: a layer in full precision may precede the unit in a mixed-precision network."""
    higher, lower = (tf.constant(rng.normal(size=(4, n)), dtype) for n in (5, 6))
    unit = FeedbackAgreement(generator="conv", dtype=policy)
    for training in (True, False):
        output = unit([higher, lower], training=training)
        assert output.dtype == higher.dtype
        np.testing.assert_array_equal(output, higher)
        assert len(unit.losses) == training
        assert all(np.isfinite(float(loss)) for loss in unit.losses)


@pytest.mark.parametrize("training", [True, False])
def test_any_values_are_returned_unchanged(training):
    """NaN in the lower layer's output does not reach the unit's output."""
    unit = FeedbackAgreement(generator=None, extractor=None)
    higher = np.float32([[1e38, -0.0], [np.inf, 1e-45]])
    output = unit([higher, np.full((2, 2), np.nan, "float32")], training=training).numpy()
    assert output.tobytes() == higher.tobytes()


def test_inference_computes_nothing():
    """No weight of the unit is read in the inference graph, and no second convolution runs."""
    model = network("even_map")
    traced = {
        training: tf.function(lambda x, training=training: model(x, training=training)).get_concrete_function(
            tf.TensorSpec([4, 8, 6, 4])
        )
        for training in (False, True)
    }
    variables = {variable.value.ref() for variable in model.get_layer("agreement").variables}
    read = {key: {variable.ref() for variable in function.variables} & variables for key, function in traced.items()}
    convolutions = {
        key: sum(op.type == "Conv2D" for op in function.graph.get_operations()) for key, function in traced.items()
    }
    assert not read[False]
    assert read[True], "the training graph does read them, so they can be seen here"
    assert convolutions[False] == 1 < convolutions[True]


@pytest.mark.parametrize("kind", KINDS)
def test_output_shape(kind):
    model = network(kind)
    unit = model.get_layer("agreement")
    assert unit.output.shape == unit.input[0].shape
    assert unit.compute_output_shape([(None, 5), (None, 12)]) == (None, 5)


def test_loss_in_training_only():
    model = network()
    x, _ = data(model)
    model(x, training=False)
    assert model.losses == []
    model(x)
    assert model.losses == []
    model(x, training=True)
    assert len(model.losses) == 1
    model(x, training=True)
    assert len(model.losses) == 1, "each call clears the losses of the last"


def test_loss_is_weight_times_divergence():
    model = network(weight=2.5)
    unit = model.get_layer("agreement")
    x, _ = data(model)
    model(x, training=True)
    divergence = float(unit.agreement(*sides(model, x), training=True))
    assert divergence > 0.01
    assert [float(loss) for loss in model.losses] == pytest.approx([2.5 * divergence], rel=1e-6)
    unit.weight = 0.0
    model(x, training=True)
    assert float(model.losses[0]) == 0


def test_loss_dtype_is_at_least_float32():
    for policy, expected in (("mixed_float16", "float32"), ("mixed_bfloat16", "float32"), ("float64", "float64")):
        keras.config.set_dtype_policy(policy)
        model = network()
        model(data(model)[0], training=True)
        assert [loss.dtype for loss in model.losses] == [expected]


def test_predictions_are_those_of_the_network_without_it():
    model = network("even_map")
    x, _ = data(model)
    bare = keras.Sequential([layer for layer in model.layers if layer.name != "agreement"])
    np.testing.assert_array_equal(model(x, training=False), bare(x, training=False))
