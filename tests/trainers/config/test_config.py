import dataclasses
import json

import keras
import numpy as np
import pytest
from encapnet_tf.trainers.config.recipes import RECIPES, override, resolve
from encapnet_tf.trainers.config.schema import Config, settings
from encapnet_tf.trainers.fitting.network import build, compile_model
from encapnet_tf.trainers.runs.errors import UserError


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_survive_json(name):
    config = RECIPES[name].config
    assert config.recipe == name
    assert Config.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_every_setting_has_help():
    assert all(setting.metadata["help"] for setting in settings())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs", 0),
        ("batch_size", -1),
        ("seed", -1),
        ("learning_rate", float("nan")),
        ("learning_rate", -1e-3),
        ("validation_fraction", 1.0),
        ("validation_fraction", 0.0),
        ("flip", "maybe"),
        ("augment", ("mixup",)),
        ("augment", ("none", "+")),
        ("augment", ("+", "mixup", "mixup")),
        ("augment", "+"),
        ("image_size", 0),
        ("ema", 1.0),
        ("routing", ("master", "static")),
        ("debias", "yes"),
        ("train_limit", 0),
        ("depths", (1, -1)),
        ("epochs", "many"),
        ("epochs", 2.5),
        ("depths", (1.0,)),
    ],
)
def test_bad_values_are_named(setting, value):
    with pytest.raises(UserError, match=f"--{setting}"):
        dataclasses.replace(Config(), **{setting: value})


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("cifar-10", "cifar10"),
        ("CIFAR10", "cifar10"),
        ("Cifar_100", "cifar100"),
        ("svhn", "svhn_cropped"),
        ("SVHN", "svhn_cropped"),
        ("fashion-mnist", "fashion_mnist"),
        ("FashionMNIST", "fashion_mnist"),
        ("mnist ", "mnist"),
        ("ImageNet", "imagenet2012"),
        ("cifar10:3.0.2", "cifar10:3.0.2"),
        ("emnist/letters", "emnist/letters"),
        ("Stl10", "Stl10"),
    ],
)
def test_other_spellings_of_data_sets(given, name):
    assert dataclasses.replace(Config(), dataset=given) == Config(dataset=name)
    assert Config.from_json({"dataset": given}).to_json()["dataset"] == name


def test_unknown_key():
    with pytest.raises(UserError, match="epoch_count"):
        Config.from_json({"epoch_count": 3})


def test_unknown_recipe():
    with pytest.raises(UserError, match="digits, fashion_mnist"):
        resolve("imagenet22k", {})


def test_another_network_drops_the_recipes_own_settings():
    assert resolve("digits", {"model": "encapnet18"}).depths is None
    assert resolve("digits", {"model": "encapnet18", "routing": ("master",)}).routing == ("master",)
    assert resolve("digits", {"model": "encapnet"}).depths == RECIPES["digits"].config.depths


def test_agreement_is_not_asked_for_after_the_last_epoch():
    assert resolve("digits", {"epochs": 5, "routing_epochs": (0,)}).routing_epochs == (0,)
    with pytest.raises(UserError, match="--routing_epochs=6: expected at most --epochs=5"):
        resolve("digits", {"epochs": 5, "routing_epochs": (1, 6)})


def test_extra_augmentations_are_added_to_the_recipes_base():
    assert resolve("cifar10_plusplus", {"augment": ("mixup", "erasing")}).augment == ("++", "mixup", "erasing")
    assert resolve("cifar10_plusplus", {"augment": ("none", "mixup")}).augment == ("none", "mixup")


PAPER = ("mnist", "cifar10", "cifar10_plus", "cifar10_plusplus", "cifar100", "svhn", "h_imagenet", "imagenet")


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_settings(name):
    config = RECIPES[name].config
    assert (config.model, config.loss, config.feedback, config.feedback_weight) == ("encapnet18", "margin", "two", 10)
    assert (config.coefficients, config.skip, config.routing) == (("both",), "both", ("master_aide",))
    assert (config.optimizer, config.learning_rate, config.l2) == ("adam", 1e-4, 5e-4)
    assert (config.schedule, config.milestones, config.epochs) == ("step", (200, 300, 400), 600)
    assert config.batch_size == (256 if "imagenet" in name else 128)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_say_how_to_run_them_and_what_came_of_it(name):
    about = RECIPES[name].about
    assert "`encapnet train" in about
    assert "Not run" in about or "2 CPU cores" in about


def compiled(**overrides):
    """The optimizer, and the callbacks that training needs, of a model compiled with some settings."""
    model = keras.Sequential([keras.layers.Dense(10)])
    callbacks = compile_model(model, resolve("digits", overrides), steps_per_epoch=10, mixed_labels=True)
    return model.optimizer, [type(callback).__name__ for callback in callbacks]


def test_step_schedule_changes_with_the_first_step_after_a_milestone():
    optimizer, _ = compiled(schedule="step", milestones=(2, 3), learning_rate=1.0, epochs=5)
    rates = [float(optimizer._learning_rate(step)) for step in (0, 19, 20, 29, 30, 49)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_optimizers_by_settings():
    optimizer, callbacks = compiled(optimizer="adam", l2=5e-4)
    assert (type(optimizer).__name__, optimizer.l2, callbacks) == ("AdamL2", 5e-4, [])
    optimizer, callbacks = compiled(ema=0.99, loss="spread")
    assert (type(optimizer).__name__, optimizer.use_ema, optimizer.ema_momentum) == ("AdamW", True, 0.99)
    assert callbacks == ["SpreadMarginSchedule", "SwapEMAWeights"]
    with pytest.raises(UserError, match="goes with --optimizer=adam"):
        compiled(l2=5e-4)


def test_biases_begin_as_the_release_has_them():
    biases = [
        weight.numpy()
        for weight in build(resolve("digits", {"bias_stddev": 1.0}), (8, 8, 1), 10).weights
        if weight.name == "bias"
    ]
    assert 0.7 < np.concatenate(biases).std() < 1.3


def _parameters(model):
    return sum(variable.shape.num_elements() for variable in model.trainable_variables)


def test_fashion_mnist_network_is_under_a_million():
    assert _parameters(build(RECIPES["fashion_mnist"].config, (28, 28, 1), 10)) < 1_000_000


def test_the_papers_network_by_name():
    config = resolve("fashion_mnist", {"model": "encapnet18", "routing": ("master",)})
    assert _parameters(build(config, (32, 32, 3), 10)) == 1_743_680


def test_feedback_settings_reach_the_units():
    overrides = {"feedback": "half", "feedback_weight": 3.0, "epsilon": 0.2, "iterations": 7, "cost": "euclidean"}
    model = build(resolve("digits", overrides), (8, 8, 1), 10)
    unit = model.get_layer("module2_feedback_half")
    assert (unit.weight, unit.epsilon, unit.iterations, unit.cost) == (3.0, 0.2, 7, "euclidean")
    overrides = {"feedback": "half", "debias": False, "differentiate_plan": True, "extractor": "none"}
    unit = build(resolve("digits", overrides | {"generator": "conv"}), (8, 8, 1), 10).get_layer("module2_feedback_half")
    assert (unit.debias, unit.differentiate_plan, unit.extractor) == (False, True, None)
    assert unit.get_config()["generator"] == "conv"
    assert not any("feedback" in layer.name for layer in build(resolve("digits", {}), (8, 8, 1), 10).layers)


@pytest.mark.parametrize(
    ("settings", "layer"),
    [
        ({"model": "capnet", "num_capsules": 2}, "DynamicRouting"),
        ({"model": "capnet", "num_capsules": 2, "routing": ("em",)}, "EMRouting"),
        ({"model": "resnet18", "num_capsules": 2}, "Add"),
        ({"model": "resnet20"}, "Add"),
    ],
    ids=str,
)
def test_comparison_networks_by_name(settings, layer):
    model = build(resolve("digits", settings), (8, 8, 1), 10)
    assert model.name == settings["model"]
    assert layer in {type(layer).__name__ for layer in model.layers}
    assert model.layers[1].name == "rescaling"


def test_a_choice_reaches_the_network():
    config = resolve("digits", {"model": "plaincnn", "width": "similar_params"})
    assert _parameters(build(config, (32, 32, 3), 10)) == 9_624_782


def test_settings_that_make_no_network():
    for routing in (("master",), ("dynamic", "em")):
        with pytest.raises(UserError, match="routing"):
            build(resolve("digits", {"model": "capnet", "routing": routing}), (8, 8, 1), 10)
    for model in ("resnet18", "resnet20", "encapnet18", "encapnet101"):
        with pytest.raises(UserError, match=f"{model} has no setting width"):
            build(resolve("digits", {"model": model, "width": "same_shape"}), (8, 8, 1), 10)
    with pytest.raises(UserError, match="one entry of capsule_dims per module"):
        build(resolve("digits", {"depths": (1, 1, 1)}), (8, 8, 1), 10)
    with pytest.raises(UserError, match="encapnet6 has no setting depths"):
        build(resolve("digits", {"model": "encapnet6", "depths": (1,)}), (8, 8, 1), 10)


def test_settings_that_go_with_a_network():
    """They follow the network, unless the configuration has other values."""

    def chosen(recipe, *changes):
        config = RECIPES[recipe].config
        for change in changes:
            config = override(config, change)
        return config.loss, config.image_size

    assert chosen("digits", {"model": "sabourcapsnet"}) == ("margin", 28)
    assert chosen("digits", {"model": "sabourcapsnet", "image_size": 40}) == ("margin", 40)
    assert chosen("digits", {"image_size": 32}, {"model": "invertedattentioncapsnet"}) == ("crossentropy", 32)
    assert chosen("digits", {"model": "sabourcapsnet"}, {"model": "encapnet"}) == ("margin", None)
    assert chosen("digits", {"loss": "spread"}, {"model": "selfroutingcapsnet"}) == ("spread", None)
    assert chosen("cifar10_selfrouting", {"model": "encapnet"}) == ("margin", None)
    assert chosen("digits", {"model": "selfroutingcapsnet", "compose": "overlap"})[0] == "crossentropy"
    assert override(RECIPES["mnist"].config, {"model": "selfroutingcapsnet"}).bias_stddev == 0
