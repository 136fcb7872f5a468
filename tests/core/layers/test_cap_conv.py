"""CapConv2D: the interaction of its branches, its two kinds of aides, arguments and initial values."""

import itertools

import keras
import numpy as np
import pytest

import encapnet_tf as en
from tests.core.ops import numpy_reference

CAPSULES, DIM_IN, DIM_OUT = 4, 3, 2


def build(rng, shape=(2, 6, 5, CAPSULES * DIM_IN), **options):
    """Return a layer with changed weights, and an input."""
    layer = en.layers.CapConv2D(DIM_OUT, CAPSULES, **options)
    layer.build(shape)
    layer.set_weights([w + rng.uniform(0.1, 0.5, w.shape) for w in layer.get_weights()])
    return layer, rng.normal(size=shape).astype("float32")


def numpy_conv(layer, x, groups):
    weight = np.transpose(layer.kernel, (3, 2, 0, 1))
    return numpy_reference.convolve(x, weight, layer.bias, groups, layer.strides)


def per_capsule(x):
    return np.reshape(x, (*x.shape[:-1], CAPSULES, -1))


def effect_per_capsule(layer, changed, x):
    """Return the largest difference that a changed input makes in each output capsule."""
    return per_capsule(np.abs(np.asarray(layer(changed)) - np.asarray(layer(x)))).max((0, 1, 2, 4))


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("coefficients", ["own", "cross", "both"])
def test_interaction(rng, coefficients, strides):
    """Eq. 6 computed here from the layer's branches: the inputs of m1 and m2, and the branches that they scale."""
    layer, x = build(rng, coefficients=coefficients, kernel_size=3, strides=strides, post_activation=False)
    master = np.asarray(layer.master_activation(numpy_conv(layer.master, x, CAPSULES)))
    aide = np.asarray(layer.aide_activation(numpy_conv(layer.aide, x, 1)))
    together = np.concatenate([per_capsule(master), per_capsule(aide)], axis=-1).reshape(*master.shape[:-1], -1)
    m1_from, m2_from = {"own": (master, aide), "cross": (aide, master), "both": (together, together)}[coefficients]
    m1 = numpy_conv(layer.master_coefficient, m1_from, CAPSULES)[..., None]
    m2 = numpy_conv(layer.aide_coefficient, m2_from, CAPSULES)[..., None]
    expected = m1 * per_capsule(master) + m2 * per_capsule(aide)
    y = np.asarray(layer(x, training=False))
    np.testing.assert_allclose(y, expected.reshape(y.shape), atol=2e-5)


@pytest.mark.parametrize("coefficients", ["own", "cross", "both"])
@pytest.mark.parametrize("branch", ["master", "aide"])
def test_each_coefficient_scales_its_branch(rng, coefficients, branch):
    """m1 = 2 and m2 = 0 leave twice the master; the other way round, twice the aide."""
    layer, x = build(rng, coefficients=coefficients, post_activation=False)
    for name in ("master", "aide"):
        convolution = getattr(layer, f"{name}_coefficient")
        convolution.kernel.assign(keras.ops.zeros_like(convolution.kernel))
        convolution.bias.assign(keras.ops.full_like(convolution.bias, 2.0 if name == branch else 0.0))
    alone = getattr(layer, f"{branch}_activation")(getattr(layer, branch)(x))
    np.testing.assert_allclose(layer(x, training=False), 2 * np.asarray(alone), atol=1e-6)


def test_end_is_norm_relu_squash(rng):
    layer, x = build(rng, kernel_size=3)
    bare = en.layers.CapConv2D(DIM_OUT, CAPSULES, kernel_size=3, post_activation=False)
    bare.build(x.shape)
    for target, source in zip(bare.weights, layer.weights, strict=False):  # the last BatchNorm is missing in `bare`
        assert target.path.split("/")[1:] == source.path.split("/")[1:]
        target.assign(source)
    norm = layer.activation.norm
    state = {"n.weight": norm.gamma, "n.bias": norm.beta}
    state |= {"n.running_mean": norm.moving_mean, "n.running_var": norm.moving_variance}
    state = {name: np.asarray(value) for name, value in state.items()}
    shortcut = rng.normal(size=(2, 6, 5, CAPSULES * DIM_OUT)).astype("float32")
    expected = numpy_reference.branch_end(np.asarray(bare(x)) + shortcut, state, "n", CAPSULES)
    np.testing.assert_allclose(layer(x, shortcut=shortcut, training=False), expected, atol=1e-5)


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_aide_that_excludes_its_own_capsule(rng, kernel_size):
    """Changing input capsule j alone changes every capsule of the aide but j; the released aide changes in j too."""
    excluding, x = build(rng, kernel_size=kernel_size, aide_excludes_own=True)
    released, _ = build(rng, kernel_size=kernel_size)
    for j in range(CAPSULES):
        changed = x.copy()
        changed[..., j * DIM_IN : (j + 1) * DIM_IN] += rng.normal(size=DIM_IN)
        effect = effect_per_capsule(excluding.aide, changed, x)
        assert effect[j] == 0
        assert (np.delete(effect, j) > 1e-3).all()
        assert (effect_per_capsule(released.aide, changed, x) > 1e-3).all()


def test_master_reads_its_own_capsule_only(rng):
    layer, x = build(rng, kernel_size=3, routing="master", post_activation=False)
    for j in range(CAPSULES):
        changed = x.copy()
        changed[..., j * DIM_IN : (j + 1) * DIM_IN] += 1
        effect = effect_per_capsule(layer, changed, x)
        assert effect[j] > 1e-3
        assert (np.delete(effect, j) == 0).all()


def test_master_alone_has_no_other_weights():
    layer = en.layers.CapConv2D(DIM_OUT, CAPSULES, routing="master")
    layer.build((None, 6, 5, CAPSULES * DIM_IN))
    paths = [w.path.split("/", 1)[1] for w in layer.weights]
    assert {path.split("/")[0] for path in paths} == {"master", "activation"}
    assert tuple(layer.master.kernel.shape) == (1, 1, DIM_IN, CAPSULES * DIM_OUT)


def test_aide_kernel_is_four_larger():
    layer = en.layers.CapConv2D(DIM_OUT, CAPSULES, kernel_size=3)
    assert layer.get_config()["aide_kernel_size"] == 7
    layer.build((None, 6, 5, CAPSULES * DIM_IN))
    assert tuple(layer.aide.kernel.shape) == (7, 7, CAPSULES * DIM_IN, CAPSULES * DIM_OUT)
    assert en.layers.CapConv2D(DIM_OUT, CAPSULES, aide_kernel_size=3).aide.kernel_size == 3


def test_batch_statistics_in_training_only(rng):
    layer, x = build(rng)
    before = [np.asarray(w) for w in layer.non_trainable_weights]
    layer(x, training=False)
    assert all((np.asarray(w) == old).all() for w, old in zip(layer.non_trainable_weights, before, strict=True))
    layer(x, training=True)
    assert all((np.asarray(w) != old).any() for w, old in zip(layer.non_trainable_weights, before, strict=True))


def test_unknown_height_and_width(rng):
    layer, x = build(rng, shape=(2, 6, 5, CAPSULES * DIM_IN), kernel_size=3, strides=2)
    inputs = keras.Input((None, None, CAPSULES * DIM_IN))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, CAPSULES * DIM_OUT)
    np.testing.assert_allclose(model(x, training=False), layer(x, training=False), atol=1e-6)
    assert model(x[:, :3, :4]).shape == (2, 2, 2, CAPSULES * DIM_OUT)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"routing": "dynamic"}, r"routing.*'master', 'master_aide'.*'dynamic'"),
        ({"coefficients": "other"}, r"coefficients.*'own', 'cross', 'both'.*'other'"),
        ({"kernel_size": 2}, "kernel_size"),
        ({"kernel_size": 0}, "kernel_size"),
        ({"aide_kernel_size": 4}, "aide_kernel_size"),
        ({"aide_kernel_size": 0}, "aide_kernel_size"),
        ({"capsule_dim": 0}, "capsule_dim"),
        ({"num_capsules": 1.5}, "num_capsules"),
        ({"strides": -1}, "strides"),
        ({"num_capsules": 1, "aide_excludes_own": True}, "num_capsules"),
    ],
)
def test_wrong_arguments_raise(changes, message):
    with pytest.raises(ValueError, match=message):
        en.layers.CapConv2D(**{"capsule_dim": 2, "num_capsules": 4, **changes})


@pytest.mark.parametrize("shape", [(2, 6, 5, 10), (2, 6, 12), (2, 6, 5, None)])
def test_wrong_input_shape_raises(shape):
    with pytest.raises(ValueError, match="num_capsules=4"):
        en.layers.CapConv2D(2, 4).build(shape)


@pytest.mark.parametrize("shape", [(2, 6, 5, 4), (2, 3, 5, 8), (2, 5, 8), (2, 6, 5, 1)])
def test_wrong_shortcut_raises(rng, shape):
    """A shortcut is refused even if it could be broadcast."""
    layer, x = build(rng)
    with pytest.raises(ValueError, match="shortcut"):
        layer(x, shortcut=np.ones(shape, "float32"))


def kernels_by_shape(layer):
    """Return the kernels of a layer or model, grouped by shape."""
    kernels = [w for w in layer.trainable_weights if w.name == "kernel"]
    shapes = {tuple(w.shape) for w in kernels}
    return [[np.asarray(w) for w in kernels if tuple(w.shape) == shape] for shape in shapes]


@pytest.mark.parametrize("initializer", ["glorot_normal", keras.initializers.HeNormal()], ids=["string", "object"])
def test_kernels_of_one_shape_start_differently(initializer):
    """One initializer object shared by all convolutions would give them equal kernels, and m1 and m2 stay close."""
    layer = en.layers.CapConvModule(2, 4, depth=3, kernel_initializer=initializer)
    layer.build((None, 6, 5, 4))
    groups = kernels_by_shape(layer)
    assert max(len(group) for group in groups) >= 6
    for group in groups:
        assert all((a != b).any() for a, b in itertools.combinations(group, 2))


def test_random_biases_start_differently():
    layer = en.layers.CapConv2D(2, 4, bias_initializer=keras.initializers.RandomNormal())
    layer.build((None, 6, 5, 4))
    assert (np.asarray(layer.master.bias) != np.asarray(layer.aide.bias)).any()
    assert (np.asarray(layer.master_coefficient.bias) != np.asarray(layer.aide_coefficient.bias)).any()


def test_seed_repeats_the_weights():
    def weights():
        keras.utils.set_random_seed(3)
        layer = en.layers.CapConv2D(2, 4)
        layer.build((None, 6, 5, 4))
        return layer.get_weights()

    for first, second in zip(weights(), weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_no_regularizer_unless_asked_for(rng):
    layer, x = build(rng)
    layer(x)
    assert not layer.losses
    layer, x = build(rng, kernel_regularizer=keras.regularizers.L2(0.5))
    layer(x)
    kernels = [np.asarray(w) for w in layer.trainable_weights if w.name == "kernel"]
    assert len(layer.losses) == len(kernels) == 4
    assert float(sum(layer.losses)) == pytest.approx(sum(0.5 * np.sum(k**2) for k in kernels), rel=1e-5)


def test_synchronized_reaches_every_norm():
    layer = en.layers.CapConv2D(2, 4)
    norms = [part for part in layer._flatten_layers() if isinstance(part, keras.layers.BatchNormalization)]
    assert len(norms) == 3
    assert not any(norm.synchronized for norm in norms)
    layer.synchronized = True
    assert layer.synchronized
    assert all(norm.synchronized for norm in norms)
    assert layer.get_config()["synchronized"] is True
