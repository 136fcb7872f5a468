"""Agreement of lower capsules: coefficients that give each layer's output, sums, places in the image, and errors."""

import keras
import numpy as np
import pytest
from keras import ops as K

import encapnet_tf as en
from encapnet_tf.explain.couplings import votes_and_couplings
from encapnet_tf.explain.gradients import gradient
from encapnet_tf.explain.position_centres import position_centres
from tests.core.conformance.rows import enliven

L, M = en.layers, en.models
rng = np.random.default_rng(4)
MAP = rng.normal(size=(2, 3, 2, 8)).astype("float32")  # 2 capsules of 4 components at 3 x 2 positions
FLAT = rng.normal(size=(2, 5, 4)).astype("float32")


def squash(sums, **options):
    return en.ops.squash(sums, **options)


def layer_norm(layer):
    def normalise(sums):
        centred = sums - K.mean(sums, axis=-1, keepdims=True)
        return centred / K.sqrt(K.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * layer.gamma + layer.beta

    return normalise


def row(layer, *inputs, finish=squash, **options):
    return layer, inputs, options, finish


ROWS = {
    "capfc": lambda: row(L.CapFC(3, 4), MAP),
    "dynamic": lambda: row(L.DynamicRouting(3, 4, num_input_capsules=2), MAP),
    "dynamic_flat": lambda: row(L.DynamicRouting(3, 4, iterations=4, use_bias=False), FLAT),
    "dynamic_input": lambda: row(L.DynamicRouting(3, 4, 2, softmax_over="input"), MAP),
    "dynamic_once": lambda: row(L.DynamicRouting(3, 4, 2, iterations=1), MAP),
    "em": lambda: row(L.EMRouting(3, 4, 2), MAP, finish=lambda sums: sums),
    "em_rescale": lambda: row(
        L.EMRouting(3, 4, 2, rescale=True), MAP, np.abs(MAP[..., ::4]), finish=lambda sums: sums
    ),
    "self_attention": lambda: row(
        L.SelfAttentionRouting(3, 4), FLAT, finish=lambda sums: squash(sums, kind="exponential")
    ),
    "inverted": lambda: inverted(L.InvertedAttentionRouting(3, 4, iterations=3), FLAT),
    "inverted_matrix": lambda: inverted(L.InvertedAttentionRouting(3, 4, pose="matrix"), FLAT),
    "inverted_first_pass": lambda: inverted(L.InvertedAttentionRouting(3, 4, iterations=1), FLAT),
    "inverted_previous": lambda: inverted(
        L.InvertedAttentionRouting(3, 4, iterations=1), FLAT, previous=FLAT[:, :3]
    ),
}  # fmt: skip


def inverted(layer, *inputs, **options):
    return row(layer, *inputs, finish=lambda sums: layer_norm(layer)(sums), **options)


@pytest.mark.parametrize("name", ROWS)
def test_votes_and_coefficients_give_the_layers_output(name):
    layer, inputs, options, finish = ROWS[name]()
    expected = layer(*inputs, **options)
    enliven(layer, None)
    expected = layer(*inputs, **options)
    votes, couplings = votes_and_couplings(layer, *inputs, **options)
    sums = K.einsum("bij,bijd->bjd", couplings, votes)
    expected = expected[0] if isinstance(expected, tuple) else expected
    np.testing.assert_allclose(finish(sums), expected, rtol=1e-4, atol=1e-5)
    assert np.std(couplings) > 1e-3 or name in ("capfc", "dynamic_once", "inverted_first_pass")


SHAPE = (12, 10, 1)
NETWORKS = {
    "encapnet": lambda: M.EncapNet(SHAPE, 3, (0,), (4,), (2,), 4, routing="master"),
    "dynamic": lambda: M.CapNet(SHAPE, 3, num_capsules=2),
    "em": lambda: M.CapNet(SHAPE, 3, "em", num_capsules=2),
    "sabour": lambda: M.SabourCapsNet((20, 24, 1), 3, num_capsules=2, filters=8),
    "efficient": lambda: M.EfficientCapsNet((15, 14, 1), 3),
    "inverted": lambda: inverted_network("sequential"),
    "concurrent": lambda: inverted_network("concurrent"),
    "self_routing": lambda: M.SelfRoutingCapsNet(SHAPE, 3, num_capsules=2, capsule_dim=4, filters=4, blocks=1, depth=1),
}


def inverted_network(schedule):
    return M.InvertedAttentionCapsNet(
        (16, 14, 1), 3, 4, 4, [(4, 4, 3, 2)], 4, backbone="simple", filters=8, schedule=schedule
    )


EXPECTED = {  # layer, shape of the lower capsules, and pixel coordinates of the map's rows and columns
    "encapnet": ("class_capsules", (6, 5, 4), ([0, 2, 4, 6, 8, 10], [0, 2, 4, 6, 8])),
    "dynamic": ("class_capsules", (2 * 3 * 3,), None),  # of a fully connected layer
    "em": ("routing2", (2 * 3 * 3,), None),
    "sabour": ("class_capsules", (2, 4, 2), ([8, 10], [8, 10, 12, 14])),
    "efficient": ("class_capsules", (1, 1, 16), ([7], [6])),
    "inverted": ("class_capsules", (3, 3, 4), None),
    "concurrent": ("class_capsules", (3, 3, 4), None),
    "self_routing": ("class_routing", (3, 3, 2), ([0, 4, 8], [0, 4, 8])),
}


_FEW = ("encapnet", "sabour", "concurrent", "self_routing")  # the default suite's; `-m ci` takes the others


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=() if name in _FEW else pytest.mark.ci) for name in NETWORKS]
)
def explained(request):
    """Name, model, images and agreement of a network with three classes."""
    keras.utils.set_random_seed(2)
    model = NETWORKS[request.param]()
    images = rng.uniform(size=(3, *model.input_shape[1:])).astype("float32")
    enliven(model, images)
    return request.param, model, images, en.explain.agreement(model, images, [0, 1, 2])


def test_shapes_and_places(explained):
    name, _, _, agreement = explained
    layer, shape, centres = EXPECTED[name]
    assert agreement.layer == layer
    assert agreement.coupling.shape == agreement.contribution.shape == (3, *shape)
    assert agreement.labels.tolist() == [0, 1, 2]
    assert agreement.cosine is None or np.abs(agreement.cosine).max() <= 1
    if centres is not None:
        assert [place.tolist() for place in agreement.centres] == list(centres)
    assert (agreement.centres is None) == (len(shape) == 1)


def test_contributions_sum_to_the_length_before_the_squash(explained):
    name, model, images, agreement = explained
    scores = np.asarray(model(images))[[0, 1, 2], [0, 1, 2]]
    sums = agreement.contribution.reshape(3, -1).sum(axis=1)
    if name in ("encapnet", "dynamic", "sabour"):
        np.testing.assert_allclose(sums**2 / (1 + sums**2), scores, atol=1e-3)
    elif name == "efficient":
        np.testing.assert_allclose(1 - np.exp(-sums), scores, atol=1e-3)
    elif name == "self_routing":
        np.testing.assert_allclose(sums, scores, atol=1e-5)
        assert np.std(agreement.coupling) > 1e-3
    else:
        assert (sums > 0).all()


def test_the_class_of_highest_score_is_explained(explained):
    _, model, images, _ = explained
    best = np.argmax(model(images), axis=1)
    np.testing.assert_array_equal(en.explain.agreement(model, images).labels, best)


def test_a_capsule_at_one_place_is_found_there():
    """The images are their own capsules, 2 capsules of 2 components at 3 x 4 positions, all 0 but one."""
    inputs = keras.Input((3, 4, 4))
    capsules = L.CapFC(2, 2, name="class_capsules")(inputs)
    model = keras.Model(inputs, L.CapsuleLength()(capsules))
    images = np.zeros((1, 3, 4, 4), "float32")
    images[0, 2, 1, 2:] = 1  # capsule 1
    agreement = en.explain.agreement(model, images)
    assert np.argwhere(agreement.contribution[0]).tolist() == [[2, 1, 1]]
    assert agreement.cosine[0, 2, 1, 1] == pytest.approx(1)
    assert [place.tolist() for place in agreement.centres] == [[0, 1, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize("order", ["position", "capsule"])
def test_flattened_capsules_find_their_place(order):
    inputs = keras.Input((3, 4, 4))
    capsules = L.DynamicRouting(2, 2)(L.FlattenCapsules(2, order)(keras.layers.ReLU()(inputs)))
    model = keras.Model(inputs, L.CapsuleLength()(capsules))
    images = np.zeros((1, 3, 4, 4), "float32")
    images[0, 2, 1, 2:] = 1
    agreement = en.explain.agreement(model, images)
    assert np.unravel_index(np.abs(agreement.contribution[0]).argmax(), (3, 4, 2)) == (2, 1, 1)


LAYERS = {
    "valid": [lambda: keras.layers.Conv2D(1, 5), lambda: keras.layers.Conv2D(1, 4, 2)],
    "same": [lambda: keras.layers.Conv2D(1, 3, 2, padding="same"), lambda: keras.layers.MaxPooling2D(2)],
    "dilated": [lambda: keras.layers.Conv2D(1, 3, dilation_rate=2), lambda: keras.layers.AveragePooling2D(3, 2)],
    "symmetric": [lambda: L.GroupedConv2D(1, 5, 2), lambda: L.CapConv2D(2, 1, 3, 2, "master", post_activation=False)],
    "routing": [
        lambda: L.InvertedAttentionConv2D(1, 4, 1, 3, 2, padding="valid"),
        lambda: L.ConvRouting3D(1, 4, 1, 3, 1, "same"),
    ],
    "resized": [lambda: keras.layers.UpSampling2D(2), lambda: keras.layers.Conv2D(1, 3)],
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ("valid", "symmetric") else pytest.mark.ci) for name in LAYERS]
)
def test_centres_are_those_of_the_receptive_fields(name):
    """Against the middle of the pixels that have a gradient, of a position in the middle of the map."""
    inputs = keras.Input((24, 20, 1))
    x = inputs
    for make in LAYERS[name]:
        x = make()(x)
    model = keras.Model(inputs, x)
    row, column = x.shape[1] // 2, x.shape[2] // 2
    image = np.random.default_rng(1).uniform(size=(1, 24, 20, 1)).astype("float32")
    seen = np.zeros((24, 20), bool)
    for shift in (0, 1, 2):  # of maxima, any of a window may be the largest
        slope = gradient(lambda z: K.sum(model(z)[:, row, column]), np.roll(image, shift, (1, 2)))
        seen |= np.abs(np.asarray(slope))[0, :, :, 0] > 0
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    expected = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    centres = position_centres(x)
    tolerance = {"same": 1.5, "resized": 0.6}.get(name, 0.01)
    np.testing.assert_allclose((centres[0][row], centres[1][column]), expected, atol=tolerance)


def test_networks_without_class_capsules():
    with pytest.raises(ValueError, match="no layer that computes 3 class capsules"):
        en.explain.agreement(M.PlainCNN((8, 6, 1), 3, num_capsules=2), np.zeros((1, 8, 6, 1)))
    inputs = keras.Input((3, 4, 4))
    hidden = keras.layers.Flatten()(L.CapFC(5, 2)(inputs))
    with pytest.raises(ValueError, match="no layer that computes 3 class capsules"):  # five are no classes
        en.explain.agreement(keras.Model(inputs, keras.layers.Dense(3)(hidden)), np.zeros((1, 3, 4, 4)))
    with pytest.raises(ValueError, match="functional models"):
        en.explain.agreement(None, np.zeros((1, 3, 4, 4)))
