"""Mixed precision: the network computes in half precision, the divergence in float32, without NaN in a long run."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.ops import sinkhorn_divergence
from tests.feedback.networks import data, gradients, network, sides

POLICIES = ["mixed_float16", "mixed_bfloat16"]


@pytest.mark.parametrize(
    ("policy", "objective"),
    [
        pytest.param("mixed_float16", "adversarial", marks=pytest.mark.ci),
        pytest.param("mixed_float16", "minimize", marks=pytest.mark.ci),
        pytest.param("mixed_bfloat16", "minimize", marks=pytest.mark.ci),
        pytest.param("mixed_bfloat16", "adversarial", marks=pytest.mark.ci),
    ],
)
def test_no_nan_over_200_steps(policy, objective):
    keras.config.set_dtype_policy(policy)
    model = network("even_map", generator="capsule", extractor_objective=objective, epsilon=0.05)
    optimizer = keras.optimizers.Adam(3e-3)
    if policy == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**10)
    model.compile(optimizer, "mse", jit_compile=False)
    x, y = data(model, 200 * 4)
    logs = NaNCount()
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[logs])
    assert logs.steps == 200
    assert logs.not_finite == 0
    assert all(np.isfinite(np.float32(variable)).all() for variable in model.variables)
    if policy == "mixed_float16":
        # A step whose gradients overflow is skipped and halves the scale; loss scaling allows a few of those.
        assert float(optimizer.dynamic_scale) >= 2.0**6


class NaNCount(keras.callbacks.Callback):
    """Callback that counts the steps and those after which a logged mean is not finite."""

    def __init__(self):
        super().__init__()
        self.steps = self.not_finite = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.not_finite += not all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("policy", POLICIES)
def test_the_parts_compute_in_half_precision_and_the_divergence_in_float32(policy):
    keras.config.set_dtype_policy(policy)
    model = network("even_map", epsilon=0.05)
    unit = model.get_layer("agreement")
    higher, lower = sides(model, data(model)[0])
    half = policy.removeprefix("mixed_")
    assert higher.dtype == half
    generated = unit.generator(higher, training=True)
    assert generated.dtype == half
    features = [tf.reshape(unit.extractor(z, training=True), (8, -1)) for z in (generated, lower)]
    assert features[0].dtype == half
    expected = sinkhorn_divergence(*(tf.cast(z, "float32") for z in features), epsilon=0.05)
    value = unit.agreement(higher, lower, training=True)
    assert value.dtype == "float32"
    assert float(value) == pytest.approx(float(expected), rel=1e-5)
    assert all(variable.dtype == "float32" for variable in unit.trainable_variables)


@pytest.mark.parametrize("policy", POLICIES)
def test_close_to_full_precision(policy):
    outcomes = {}
    for name in ("float32", policy):
        keras.utils.set_random_seed(7)
        keras.config.set_dtype_policy(name)
        model = network("even_map", extractor=None, epsilon=0.3)
        value, _, _ = gradients(model.get_layer("agreement"), *sides(model, data(model)[0]))
        outcomes[name] = float(value)
    assert outcomes[policy] == pytest.approx(outcomes["float32"], rel=0.02)


@pytest.mark.ci
def test_a_step_with_jit():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = network("even_map")
    model.compile("sgd", "mse", jit_compile=True)
    x, y = data(model)
    logs = model.train_on_batch(x, y, return_dict=True)
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("policy", POLICIES)
def test_a_network_of_capsules(policy):
    keras.config.set_dtype_policy(policy)
    model = en.models.EncapNet(
        (8, 8, 1), 3, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4, feedback="two"
    )
    model.compile("sgd", en.losses.MarginLoss(), run_eagerly=True)
    rng = np.random.default_rng(0)
    x, y = rng.random((16, 8, 8, 1)).astype("float32"), rng.integers(3, size=16)
    history = model.fit(x, y, batch_size=8, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert model.predict(x, verbose=0).dtype == "float32"
