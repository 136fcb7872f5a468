"""The first training step: what is traced and compiled once, and numbers that change without compiling again."""

from functools import partial

import keras
import numpy as np
import pytest

import encapnet_tf as en
from encapnet_tf.model_classes.capsule_model import CapsuleModel
from encapnet_tf.optimizers.fused_updates import fused_updates

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")
UNITS = {"feedback": "two", "feedback_options": {"weight": 2.0, "epsilon": 0.5, "iterations": 3}}


def data():
    rng = np.random.default_rng(0)
    return rng.random((8, 8, 6, 1), dtype="float32"), rng.integers(0, 3, 8)


def network(optimizer="sgd", **options):
    keras.utils.set_random_seed(0)
    model = en.models.EncapNet(
        (8, 6, 1), 3, depths=(0,), capsule_dims=(2,), strides=(2,), num_capsules=2, routing="master", **options
    )
    model.compile(optimizer, en.losses.MarginLoss(), metrics=["accuracy"])
    return model


def fit(model, **options):
    return model.fit(*data(), batch_size=8, shuffle=False, verbose=0, **options).history


def count_traces(model):
    """Count how often TensorFlow traces the training step of a model from now on; the list grows by one each time."""
    traces, train_step = [], model.train_step
    model.train_step = lambda batch: traces.append(1) or train_step(batch)
    return traces


def test_the_step_is_traced_once():
    model, plain = network("adam"), keras.Sequential([keras.Input((8, 6, 1)), keras.layers.Flatten()])
    plain.add(keras.layers.Dense(3))
    plain.compile("adam", en.losses.MarginLoss())
    assert type(model) is CapsuleModel
    counts = [count_traces(each) for each in (model, plain)]
    fit(model), fit(plain)
    assert len(counts[1]) == 2, "Keras traces once by itself: remove BuildBeforeTracing"
    assert len(counts[0]) == 1


@pytest.mark.parametrize("fit_options", [{}, {"sample_weight": np.ones(8)}], ids=["plain", "weights"])
def test_building_first_changes_nothing(fit_options):
    """The model learns what it learns if Keras builds the optimizer and the metrics itself."""
    model, other = (network(keras.optimizers.SGD(0.1, momentum=0.9)) for _ in range(2))
    optimizer, other = other.optimizer, keras.Model(other.inputs, other.outputs)
    other.compile(optimizer, en.losses.MarginLoss(), metrics=["accuracy"])
    first, second = fit(model, epochs=2, **fit_options), fit(other, epochs=2, **fit_options)
    for name in second:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-6, err_msg=name)


def test_train_on_batch_after_fit_and_before():
    model = network("adam")
    before = model.train_on_batch(*data())
    assert fit(model)["loss"][0] < before[0]
    assert model.train_on_batch(*data())[0] < before[0]


@pytest.mark.parametrize("class_name", ["Adam", "AdamW", "AdamL2"])
@pytest.mark.parametrize(
    "options", [{}, {"amsgrad": True}, {"gradient_accumulation_steps": 2}, {"clipnorm": 1.0}], ids=str
)
def test_one_operation_updates_as_keras_does(class_name, options):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    values, gradients = rng.normal(size=(3, 2)), rng.normal(size=(6, 3, 2))

    def step(optimizer, variable, gradient):
        with fused_updates(optimizer):
            optimizer.apply([gradient], [variable])

    results = []
    for is_fused in (True, False):
        optimizer = getattr(en.optimizers if class_name == "AdamL2" else keras.optimizers, class_name)(0.01, **options)
        variable = keras.Variable(values.astype("float32"))
        optimizer.build([variable])

        compiled = partial(step, optimizer, variable)
        if is_fused:  # an eager update is Keras's own
            compiled = tf.function(compiled, autograph=False)
        for gradient in gradients.astype("float32"):
            compiled(tf.constant(gradient))
        if is_fused:
            graph = compiled.get_concrete_function(tf.constant(gradient)).graph.as_graph_def()
            nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
            assert any(node.op == "ResourceApplyAdam" for node in nodes) == ("amsgrad" not in options)
        results.append([variable.numpy(), *(slot.numpy() for slot in optimizer.variables)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_the_optimizer_keeps_its_own_update():
    model = network("adam")
    fit(model)
    assert "update_step" not in vars(model.optimizer)


@pytest.mark.ci
def test_a_new_epsilon_needs_no_new_trace():
    """Training goes on as in a model built with the new value, in the step that was compiled for the old one."""
    fresh = network(feedback="two", feedback_options={**UNITS["feedback_options"], "epsilon": 0.05, "weight": 7.0})
    model = network(**UNITS)
    initial, traces = model.get_weights(), count_traces(model)
    old = fit(model)
    for variable, value in zip(model.weights, initial, strict=True):
        variable.assign(value)
    for unit in (layer for layer in model.layers if isinstance(layer, en.layers.FeedbackAgreement)):
        unit.epsilon, unit.weight = 0.05, 7.0
        assert (unit.epsilon, unit.get_config()["epsilon"]) == (0.05, 0.05)
    new, expected = fit(model), fit(fresh)
    assert len(traces) == 1
    for name in expected:
        np.testing.assert_allclose(new[name], expected[name], rtol=1e-5, err_msg=name)
    assert abs(new["loss"][0] - old["loss"][0]) > 1e-3


@pytest.mark.ci
def test_another_epsilon_compiles_no_other_divergence():
    from encapnet_tf.ops.acceleration.on_tensorflow import compile_with_xla

    fit(network(**UNITS))
    compiled = compile_with_xla.cache_info().currsize
    fit(network(feedback="two", feedback_options={**UNITS["feedback_options"], "epsilon": 0.123}))
    assert compile_with_xla.cache_info().currsize == compiled


def test_epsilon_is_no_weight():
    unit = en.layers.FeedbackAgreement(epsilon=0.1, generator="conv")
    unit.build([(None, 4), (None, 4)])
    assert [weight for weight in unit.weights if "epsilon" in weight.path] == []
    assert [float(v) for v in unit.variables if v.name == "epsilon"] == [pytest.approx(0.1)]
    assert unit.epsilon == unit.get_config()["epsilon"] == 0.1  # not rounded to float32
    with pytest.raises(ValueError, match="positive"):
        unit.epsilon = 0.0
