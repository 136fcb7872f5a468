"""Networks of other capsule papers: the figures of the reference implementations, and their numbers of parameters."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from encapnet_tf.interop import load_reference_weights
from tests.core.family import error, figures

M = en.models


def weights_of(file):
    """Return the weights of a network: stored, or drawn again as the file's recipe says."""
    if "recipe_seed" not in file:
        return {name[2:]: file[name] for name in file if name.startswith("w/")}
    rng = np.random.RandomState(int(file["recipe_seed"]))
    weights = {}
    entries = zip(*(file[f"recipe_{key}"] for key in ("names", "shapes", "low", "high", "sums")), strict=True)
    for name, shape, low, high, total in entries:
        array = rng.uniform(low, high, [int(size) for size in shape.split("x")]).astype("float32")
        assert array.sum(dtype="float64") == pytest.approx(total)
        weights[str(name)] = array
    return weights


def loaded(model, file):
    """Return the network with a file's weights, and with a decoder if the file has one."""
    weights = weights_of(file)
    if any(name.startswith("decoder/") for name in weights):
        model = en.attach_reconstruction(model, decoder="conv" if "decoder/conv1/bias" in weights else "dense")
    load_reference_weights(model, weights)
    return model


def parameters(weights):
    return sum(int(np.prod(w.shape)) for w in weights)


def assert_close(ours, reference, limit=1e-4):
    assert error(np.reshape(ours, np.shape(reference)), reference) < limit


def probe(model, *names):
    return keras.Model(model.input, [model.get_layer(name).output for name in names])


def check_losses_and_gradients(file, model, training):
    """Compare the losses of a network with a decoder, and the gradients of their sum, with those of the reference."""
    images, labels = tf.constant(file["images"]), file["labels"]
    model.compile("sgd", en.losses.MarginLoss())
    assert model.reconstruction.weight == pytest.approx(0.392)
    with tf.GradientTape() as tape:
        tape.watch(images)
        lengths = model(images, training=training)
        total = model.compute_loss(images, labels, lengths, training=training)
    mse = model.reconstruction.metrics[0].result()
    for ours, name in ((model.loss(labels, lengths), "margin"), (mse, "mse"), (total, "total")):
        assert_close(ours, file[f"loss_{name}"])
    variables = targets(model)
    names = [name[2:] for name in file if name.startswith("g/")]
    gradients = tape.gradient(total, [images, *(variables[name][0].value for name in names)])
    assert_close(gradients[0], file["grad_images"])
    for name, gradient in zip(names, gradients[1:], strict=True):
        convert = variables[name][1]
        assert_close(gradient, convert(file[f"g/{name}"]))


def targets(model):
    from encapnet_tf.interop.reference_networks import network_targets

    return network_targets(model)


def test_sabour_capsnet():
    file, model = figures("sabour_mnist_net"), M.SabourCapsNet()
    assert parameters(model.weights) == file["params_without_decoder"] == 6_804_224
    model = loaded(model, file)
    assert parameters(model.weights) == file["params"] == 8_215_568
    images, labels = file["images"], file["labels"]
    primary, capsules, lengths = probe(model, "primary_list", "class_capsules", "lengths")(images)
    assert_close(primary[:, :8], file["primary_first"])
    assert_close(np.mean(primary, axis=1), file["primary_mean"])
    assert_close(capsules, file["capsules"])
    assert_close(lengths, file["lengths"])
    assert_close(en.reconstruct(model, images, labels=labels), file["recon_labels"])
    assert_close(en.reconstruct(model, images), file["recon_longest"])
    component, value = int(file["noise_component"]), float(file["noise_value"])
    moved = en.reconstruct(model, images[:1], component, [0.0, value], labels=labels[:1])
    assert_close(moved[:, 1], file["recon_noised"])
    check_losses_and_gradients(file, model, training=False)


def test_efficient_capsnet():
    file, model = figures("efficient_mnist_net"), M.EfficientCapsNet()
    assert parameters(model.trainable_weights) == file["params_encoder_trainable"] == 161_824
    assert parameters(model.weights) == file["params_encoder"] == 162_400
    model = loaded(model, file)
    assert parameters(model.reconstruction.weights) == file["params_decoder"] == 1_411_344
    both = probe(model, "class_capsules", "lengths")
    statistics = {w.path: w.numpy() for w in model.non_trainable_weights}
    for training in (False, True):
        capsules, lengths = both(file["images"], training=training)
        assert_close(capsules, file["capsules_train" if training else "capsules_eval"])
        assert_close(lengths, file["lengths_train" if training else "lengths_eval"])
    for weight in model.non_trainable_weights:
        weight.assign(statistics[weight.path])
    assert_close(en.reconstruct(model, file["images"], labels=file["labels"]), file["recon_labels"])
    assert_close(en.reconstruct(model, file["images"]), file["recon_longest"])
    check_losses_and_gradients(file, model, training=True)


@pytest.mark.parametrize(
    ("form", "trainable", "total", "decoder"),
    [("multimnist", 154_656, 155_232, 1_936_144), ("smallnorb", 151_664, 151_664, 229_570)],
)
def test_other_forms_of_efficient_capsnet(form, trainable, total, decoder):
    file = figures(f"efficient_{form}_net")
    classes = 5 if form == "smallnorb" else 10
    model = M.EfficientCapsNet(file["images"].shape[1:], classes, form)
    assert parameters(model.trainable_weights) == trainable
    assert parameters(model.weights) == total
    model = loaded(model, file)
    assert parameters(model.reconstruction.weights) == decoder
    capsules, lengths = probe(model, "class_capsules", "lengths")(file["images"])
    suffix = "" if form == "smallnorb" else "_eval"
    assert_close(capsules, file[f"capsules{suffix}"])
    assert_close(lengths, file[f"lengths{suffix}"])
    if form == "smallnorb":
        assert_close(en.reconstruct(model, file["images"])[..., 0], file["recon_longest_channel0"])
        return
    vectors = en.layers.CapsuleMask(2)(capsules)  # of the longest capsule and of the second
    for i, vector in enumerate(vectors, start=1):
        images = np.reshape(model.reconstruction.decoder(vector), file["images"].shape)
        assert_close(images, file[f"recon_longest_{i}"])


def inverted_attention(file, schedule, iterations):
    config = json.loads(str(file["config"]))
    primary = config["primary_capsules"]
    sizes = []
    for layer in config["capsules"]:
        kernel = [layer["kernel_size"], layer["stride"]] if layer["type"] == "CONV" else []
        sizes.append((layer["num_caps"], layer["caps_dim"], *kernel))
    classes = config["class_capsules"]
    return M.InvertedAttentionCapsNet(
        (16, 16, 3),
        classes["num_caps"],
        primary["num_caps"],
        primary["caps_dim"],
        sizes,
        classes["caps_dim"],
        pose="matrix" if classes["matrix_pose"] else "vector",
        iterations=iterations,
        schedule=schedule,
        backbone="simple",
        filters=config["backbone"]["output_dim"],
    )


@pytest.mark.parametrize("schedule", ["sequential", "concurrent"])
@pytest.mark.parametrize("pose", ["vector", "matrix"])
def test_inverted_attention_capsnet(pose, schedule):
    file = figures(f"inverted_attention_net_{pose}")
    for iterations in (1, 2, 3):
        model = inverted_attention(file, schedule, iterations)
        loaded(model, file)
        assert parameters(model.weights) == file["params"]
        case = f"{schedule}_{iterations}"
        logits = probe(model, "scores")
        images = tf.constant(file["images_nhwc"])
        variables = targets(model)
        names = [name.split("/", 1)[1] for name in file if name.startswith(f"g_{case}/")]
        with tf.GradientTape() as tape:
            tape.watch(images)
            (scores,) = tf.nest.flatten(logits(images, training=True))
            product = tf.reduce_sum(scores * file["cot_logits"])
        assert_close(scores, file[f"logits_{case}"])
        np.testing.assert_allclose(model(images), tf.nn.softmax(scores), atol=1e-5)
        if iterations == 2:
            gradients = tape.gradient(product, [images, *(variables[name][0].value for name in names)])
            assert_close(gradients[0], file[f"grad_images_nhwc_{case}"])
            for name, gradient in zip(names, gradients[1:], strict=True):
                assert_close(gradient, variables[name][1](file[f"g_{case}/{name}"]))


@pytest.mark.parametrize(
    ("schedule", "iterations"),
    [
        pytest.param("sequential", 1, marks=pytest.mark.ci),
        pytest.param("sequential", 2, marks=pytest.mark.ci),
        ("concurrent", 2),
    ],
)
def test_inverted_attention_capsnet_of_the_paper(schedule, iterations):
    file = figures("inverted_attention_cifar10_net")
    model = M.InvertedAttentionCapsNet(schedule=schedule, iterations=iterations)
    loaded(model, file)
    assert parameters(model.trainable_weights) == file["params"] == 1_828_817
    (scores,) = tf.nest.flatten(probe(model, "scores")(file["images_nhwc"]))
    assert_close(scores, file[f"logits_{schedule}_{iterations}"])


def test_size_of_inverted_attention_capsnet_for_cifar100():
    sizes = ((32, 36, 3, 2), (32, 36, 3, 1), (20, 36))
    model = M.InvertedAttentionCapsNet((32, 32, 3), 100, capsule_dim=36, capsule_layers=sizes, class_capsule_dim=36)
    assert parameters(model.trainable_weights) == 2_799_629


def test_self_routing_capsnet():
    file = figures("self_routing_net")
    model = M.SelfRoutingCapsNet(num_capsules=4, capsule_dim=4, depth=2, filters=4, blocks=1)
    loaded(model, file)
    assert parameters(model.trainable_weights) == file["params"] == 14_012
    maps = {"features": "stage3_block1", "a_primary": "primary_activations", "pose_primary": "primary_poses"}
    values = probe(model, *maps.values(), "capsules1_norm")(file["images_nhwc"])
    for name, value in zip([*maps, "pose_conv"], values, strict=True):
        assert_close(value, file[f"{name}_eval_nhwc"])
    variables, images = targets(model), tf.constant(file["images_nhwc"])
    names = [name.split("/", 1)[1] for name in file if name.startswith("g_eval/")]
    with tf.GradientTape() as tape:
        tape.watch(images)
        scores = tf.math.log(model(images))
        product = tf.reduce_sum(scores * file["cot_log_probs"])
    assert_close(scores, file["log_probs_eval"])
    gradients = tape.gradient(product, [images, *(variables[name][0].value for name in names)])
    assert_close(gradients[0], file["grad_images_eval_nhwc"])
    for name, gradient in zip(names, gradients[1:], strict=True):
        assert_close(gradient, variables[name][1](file[f"g_eval/{name}"]))
    assert_close(tf.math.log(model(images, training=True)), file["log_probs_train"])


@pytest.mark.parametrize(("depth", "count"), [(1, 931_664), (2, 3_187_536)])
def test_sizes_of_self_routing_capsnet(depth, count):
    assert parameters(M.SelfRoutingCapsNet(depth=depth).trainable_weights) == count
