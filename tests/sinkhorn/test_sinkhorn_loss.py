"""SinkhornLoss in a compiled model: optimal transport without capsules."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.losses import SinkhornLoss
from tests.sinkhorn.problems import problem


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(1)


def mover(**options):
    """A model that can shift, turn and stretch points of the plane."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="identity")])
    model.compile(keras.optimizers.Adam(0.08), SinkhornLoss(epsilon=0.1, cost="sqeuclidean"), **options)
    return model


def points(rng, size):
    return rng.normal(size=(size, 2)).astype("float32")


@pytest.mark.ci
def test_a_model_learns_to_move_points():
    """Onto a set shifted by (3, -1), without a target for each point."""
    rng = np.random.default_rng(0)
    model = mover()
    x, y = points(rng, 256), points(rng, 256) + [3.0, -1.0]
    history = model.fit(x, y, batch_size=64, epochs=25, verbose=0).history["loss"]
    assert history[-1] < 0.1 * history[0]
    np.testing.assert_allclose(model.predict(x, verbose=0).mean(0), [3, -1], atol=0.3)


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param({"jit_compile": True}, marks=pytest.mark.ci),
        pytest.param({"jit_compile": False}, marks=pytest.mark.ci),
        {"run_eagerly": True},
    ],
    ids=str,
)
def test_the_logged_loss_is_the_divergence(mode):
    x, y = problem("gaussian", 12, 2)
    model = mover(**mode)
    expected = float(en.ops.sinkhorn_divergence(model(x), y, 0.1, cost="sqeuclidean"))
    logs = model.fit(x, y, batch_size=12, verbose=0, shuffle=False).history
    assert logs["loss"] == pytest.approx([expected], rel=1e-4)


def test_it_evaluates_and_the_last_batch_may_be_smaller():
    x, y = problem("gaussian", 10, 2)
    model = mover()
    loss = model.evaluate(x, y, batch_size=4, verbose=0)
    parts = [float(SinkhornLoss(0.1, cost="sqeuclidean")(y[i : i + 4], x[i : i + 4])) for i in (0, 4, 8)]
    assert loss == pytest.approx(np.average(parts, weights=[4, 4, 2]), rel=1e-4)


def test_save_and_load(tmp_path):
    x, y = problem("gaussian", 8, 2)
    model = mover(run_eagerly=True)
    model.fit(x, y, verbose=0)
    path = tmp_path / "mover.keras"
    model.save(path)
    loaded = en.load_model(path)
    assert isinstance(loaded.loss, SinkhornLoss)
    assert loaded.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0), rel=1e-6)
    loaded.compile(loaded.optimizer, loaded.loss, run_eagerly=True)
    loaded.fit(x, y, verbose=0)


def test_prediction_is_the_first_set():
    """The order matters before convergence: a fixed number of steps treats rows and columns in turn."""
    x, y = problem("gaussian", 12, 3)
    ours = float(SinkhornLoss(epsilon=0.1, iterations=1, solver="plain", debias=False)(y, x))
    right, wrong = (
        float(en.ops.sinkhorn_divergence(*sets, 0.1, 1, solver="plain", debias=False)) for sets in ((x, y), (y, x))
    )
    assert ours == pytest.approx(right, rel=1e-6)
    assert ours != pytest.approx(wrong, rel=1e-3)


@pytest.mark.ci
def test_targets_of_several_ranks_in_one_compiled_model():
    """After the second form Keras traces one function for both, in which the number of axes is unknown."""
    x, y = problem("gaussian", 6, 2)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", SinkhornLoss(cost="sqeuclidean"))
    for target in (y[:, :1], y[:, 1]):
        expected = float(model.loss(target.reshape(6, 1), model(x)))
        for form in (target.reshape(6, 1), target.reshape(6), target.reshape(6, 1)):
            assert model.evaluate(x, form, verbose=0) == pytest.approx(expected, rel=1e-5)
    function = tf.function(model.loss, input_signature=[tf.TensorSpec(None), tf.TensorSpec((None, 2))])
    for wrong in (y[:5], y[0]):
        with pytest.raises(tf.errors.InvalidArgumentError):
            function(wrong.astype("float32"), x.astype("float32"))
    with pytest.raises(ValueError, match="known number of axes"):
        tf.function(model.loss, input_signature=[tf.TensorSpec(None), tf.TensorSpec(None)])(y, x)


def test_image_shaped_targets_are_flattened():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 6, 4, 4, 3)).astype("float32")
    flat = float(SinkhornLoss()(y.reshape(6, -1), x.reshape(6, -1)))
    assert float(SinkhornLoss()(y, x)) == pytest.approx(flat)
    assert flat == pytest.approx(float(en.ops.sinkhorn_divergence(x.reshape(6, -1), y.reshape(6, -1))))


def test_image_shaped_targets_in_a_model():
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    model.compile("sgd", SinkhornLoss(cost="euclidean"), run_eagerly=True)
    x, y = np.random.default_rng(0).random((2, 8, 4, 4, 3)).astype("float32")
    assert np.isfinite(model.fit(x, y, batch_size=4, verbose=0).history["loss"]).all()


def test_every_option_reaches_the_divergence():
    x, y = problem("gaussian")
    changes = [
        {"epsilon": 0.1},
        {"iterations": 1, "epsilon": 0.1},
        {"cost": "euclidean"},
        {"debias": False},
        {"value": "dual"},
        {"solver": "plain", "epsilon": 0.1, "iterations": 2},
        {"relative_epsilon": True, "cost": "sqeuclidean"},
    ]
    for options in changes:
        expected = float(en.ops.sinkhorn_divergence(x, y, **options))
        assert float(SinkhornLoss(**options)(y, x)) == pytest.approx(expected, rel=1e-6), options
        assert expected != pytest.approx(float(SinkhornLoss()(y, x)), rel=1e-6), "the option changes nothing here"


def test_config_round_trip():
    options = {
        "epsilon": 0.25,
        "iterations": 7,
        "cost": "euclidean",
        "debias": False,
        "differentiate_plan": True,
        "value": "dual",
        "solver": "plain",
        "relative_epsilon": True,
        "name": "transport",
    }
    loss = SinkhornLoss(**options)
    config = loss.get_config()
    assert {key: config[key] for key in options} == options
    assert SinkhornLoss.from_config(config).get_config() == config
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert isinstance(copy, SinkhornLoss)
    assert copy.get_config() == config


def test_sample_weights_are_weights_of_the_points():
    """Of the target and of the prediction of a sample; without weight it is absent, even if it is NaN."""
    x, y = problem("gaussian", 6, 2)
    weights = np.array([1, 2, 0, 1, 3, 0], "float32")
    options = {"epsilon": 0.3, "cost": "sqeuclidean"}
    shares = weights / weights.sum()
    expected = float(en.ops.sinkhorn_divergence(x, y, **options, x_weights=shares, y_weights=shares))
    x[2], y[5] = np.nan, np.nan
    for form in (weights, weights[:, None], 10 * weights):
        assert float(SinkhornLoss(**options)(y, x, form)) == pytest.approx(expected, rel=1e-5)
    assert float(SinkhornLoss(**options)(y, x, 0 * weights)) == 0
    with pytest.raises(ValueError, match="must be at least 0"):
        SinkhornLoss(**options)(y, x, weights - 1)


def point_sets():
    """Predicted sets of five points and targets of three, for four samples."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(4, 5, 2)).astype("float32"), rng.normal(size=(4, 3, 2)).astype("float32")


BLOCKS = {"iterations": 3, "cost": "sqeuclidean", "block_size": 3}


@pytest.mark.parametrize(
    "options",
    [{}, {"epsilon": 0.2, "cost": "euclidean", "value": "dual"}, pytest.param(BLOCKS, marks=pytest.mark.ci)],
    ids=str,
)
def test_a_divergence_for_each_sample(options):
    x, y = point_sets()
    expected = [float(en.ops.sinkhorn_divergence(*pair, **options)) for pair in zip(x, y, strict=True)]
    for reduction, value in ((None, expected), ("sum_over_batch_size", np.mean(expected)), ("sum", np.sum(expected))):
        loss = SinkhornLoss(**options, sample_axis=1, reduction=reduction)
        np.testing.assert_allclose(loss(y, x), value, rtol=1e-5)
    factors = np.array([0.0, 1.0, 2.0, 0.5], "float32")
    for form in (factors, factors[:, None]):
        np.testing.assert_allclose(
            SinkhornLoss(**options, sample_axis=1)(y, x, form), np.mean(factors * expected), rtol=1e-5
        )


def test_padded_targets_of_each_sample():
    """Weights (batch, points) are those of the targets' points: here one, two, three and none of three."""
    x, y = point_sets()
    counts = [1, 2, 3, 0]
    weights = np.float32([[1] * n + [0] * (3 - n) for n in counts])
    expected = [float(en.ops.sinkhorn_divergence(a, b[:n])) if n else 0 for a, b, n in zip(x, y, counts, strict=True)]
    y[weights == 0] = np.nan
    loss = SinkhornLoss(sample_axis=1, reduction=None)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        values = loss(y, x, weights)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    gradients = tape.gradient(values, x).numpy()
    assert np.isfinite(gradients).all()
    assert (gradients[3] == 0).all()


def test_masked_predictions_of_each_sample():
    """A mask of the predicted points, as `Masking` makes it, leaves out points."""
    x, y = point_sets()
    x[0, 3:], x[1, 2:] = 0, 0
    model = keras.Sequential([keras.Input((5, 2)), keras.layers.Masking(), keras.layers.Dense(2, "tanh")])
    predicted = model(x)
    values = SinkhornLoss(sample_axis=1, reduction=None)(y, predicted)
    expected = [float(en.ops.sinkhorn_divergence(predicted[i, :n], y[i])) for i, n in enumerate((3, 2, 5, 5))]
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    np.testing.assert_allclose(SinkhornLoss(sample_axis=1)(y, model(x), np.ones(4)), np.mean(expected), rtol=1e-5)


def test_fit_to_point_sets_of_each_sample():
    """Sets of one-dimensional points need no axis of features, and dense layers predict them."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5)])
    model.compile(keras.optimizers.Adam(0.1), SinkhornLoss(0.05, cost="sqeuclidean", sample_axis=1), jit_compile=False)
    x, y = problem("gaussian", 8, 2)[0], np.tile(np.float32([-1, 0, 1]), (8, 1))
    weights = np.where(np.arange(8) < 6, 1.0, 0.0)
    history = model.fit(x, y, sample_weight=weights, batch_size=8, epochs=6, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]


def test_point_sets_that_do_not_fit():
    x, y = point_sets()
    with pytest.raises(ValueError, match=r"differ in the number of points only.*\(4, 3, 2\) and \(4, 5, 3\)"):
        SinkhornLoss(sample_axis=1)(y, np.ones((4, 5, 3), "float32"))
    with pytest.raises(ValueError, match=r"\(3, 3, 2\) and \(4, 5, 2\)"):
        SinkhornLoss(sample_axis=1)(y[:3], x)
    with pytest.raises(ValueError, match="sample_axis must be one of 0, 1"):
        SinkhornLoss(sample_axis=2)


@keras.saving.register_keras_serializable("test_sinkhorn_loss")
def manhattan(x, y):
    return keras.ops.sum(keras.ops.abs(x[..., :, None, :] - y[..., None, :, :]), axis=-1)


def test_cost_function_in_the_configuration():
    x, y = problem("gaussian", 6, 2)
    for made in (SinkhornLoss(cost=manhattan), en.metrics.SinkhornDivergence(cost=manhattan)):
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
        assert copy.get_config() == made.get_config()
        expected = float(en.ops.sinkhorn_divergence(x, y, cost=manhattan))
        assert float(copy(y, x)) == pytest.approx(expected, rel=1e-5)


def test_configuration_of_an_earlier_version():
    config = {"name": "s", "epsilon": 0.1, "iterations": 5, "cost": "euclidean", "debias": True, "value": "sharp"}
    loss = SinkhornLoss.from_config(config | {"differentiate_plan": False, "solver": "fast", "relative_epsilon": False})
    x, y = problem("gaussian", 6, 2)
    expected = float(en.ops.sinkhorn_divergence(x, y, 0.1, 5, "euclidean"))
    assert float(loss(y, x)) == pytest.approx(expected, rel=1e-6)


# The metric.


def test_metric_of_batches_is_the_logged_loss():
    """The mean over batches, weighted by their sizes."""
    x, y = problem("gaussian", 10, 2)
    model = mover(metrics=[en.metrics.SinkhornDivergence(0.1, cost="sqeuclidean", name="moved")], run_eagerly=True)
    logs = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    assert logs["moved"] == pytest.approx(logs["loss"], rel=1e-5)
    metric = en.metrics.SinkhornDivergence(0.1, cost="sqeuclidean")
    weights = np.arange(10, dtype="float32")
    for part in (slice(0, 4), slice(4, 10)):
        metric.update_state(y[part], x[part], weights[part])
    parts = [float(model.loss(y[part], x[part], weights[part])) for part in (slice(0, 4), slice(4, 10))]
    assert float(metric.result()) == pytest.approx(np.average(parts, weights=[6, 39]), rel=1e-5)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_metric_of_samples():
    x, y = point_sets()
    values = np.asarray(SinkhornLoss(0.2, sample_axis=1, reduction=None)(y, x))
    factors, points = np.float32([0, 1, 2, 1]), np.float32([[1, 1, 0]] * 4)
    metric = en.metrics.SinkhornDivergence(0.2, sample_axis=1)
    metric.update_state(y[:1], x[:1])
    metric.update_state(y[1:], x[1:])
    assert float(metric.result()) == pytest.approx(values.mean(), rel=1e-5)
    expected = {
        "factors": (factors, np.average(values, weights=factors)),
        "points": (points, float(SinkhornLoss(0.2, sample_axis=1)(y, x, points))),
    }
    for weights, value in expected.values():
        metric.reset_state()
        metric.update_state(y, x, weights)
        assert float(metric.result()) == pytest.approx(value, rel=1e-5)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"one shape.*\(4, 2\).*\(4, 3\)"):
        SinkhornLoss()(np.ones((4, 2), "float32"), np.ones((4, 3), "float32"))


@pytest.mark.parametrize(
    ("dtype", "mode"),
    [
        *((dtype, {"run_eagerly": True}) for dtype in ("float32", "int64", "bool")),
        *(pytest.param(dtype, {"jit_compile": False}, marks=pytest.mark.ci) for dtype in ("float32", "int64", "bool")),
    ],
    ids=str,
)
def test_targets_of_one_number_fit_dense_1(dtype, mode):
    """As with Keras's own losses, (batch,) are the targets of `Dense(1)`."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", SinkhornLoss(epsilon=0.1, cost="sqeuclidean"), **mode)
    x, y = problem("gaussian", 8, 3)[0], (np.arange(8) > 3).astype(dtype)
    expected = float(model.loss(np.float32(y)[:, None], model(x)))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert np.isfinite(model.fit(x, y, batch_size=4, verbose=0).history["loss"]).all()


def test_either_side_may_lack_a_last_axis_of_one():
    x, y = np.float32([1, 2, 3]), np.float32([2, 5, 3])
    loss = SinkhornLoss(cost="euclidean")
    expected = float(loss(y[:, None], x[:, None]))
    for sides in ((y, x), (y[:, None], x), (y, x[:, None]), (y.tolist(), x.tolist())):
        assert float(loss(*sides)) == pytest.approx(expected)
    with pytest.raises(ValueError, match="one shape"):
        loss(np.ones((3, 2), "float32"), np.ones((3, 2, 2), "float32"))
    with pytest.raises(ValueError, match="one shape"):
        loss(np.float32(1), np.float32(1))


def test_mixed_precision_predictions():
    keras.config.set_dtype_policy("mixed_float16")
    x, y = problem("gaussian", 12, 2)
    model = mover()
    history = model.fit(x, y, epochs=3, batch_size=12, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert SinkhornLoss()(y, np.float16(x)).dtype == "float32"
