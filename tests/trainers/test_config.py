import dataclasses
import json

import pytest
from encapnet_tf.trainers.config import Config, settings
from encapnet_tf.trainers.errors import UserError
from encapnet_tf.trainers.network import build
from encapnet_tf.trainers.recipes import RECIPES, resolve


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
        ("dataset", "emnist"),
        ("routing", ("master", "dynamic")),
        ("depths", (1, -1)),
        ("epochs", "many"),
        ("epochs", 2.5),
        ("depths", (1.0,)),
    ],
)
def test_bad_values_are_named(setting, value):
    with pytest.raises(UserError, match=f"--{setting}"):
        dataclasses.replace(Config(), **{setting: value})


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
    assert not any("feedback" in layer.name for layer in build(resolve("digits", {}), (8, 8, 1), 10).layers)


def test_settings_that_make_no_network():
    with pytest.raises(UserError, match="one entry of capsule_dims per module"):
        build(resolve("digits", {"depths": (1, 1, 1)}), (8, 8, 1), 10)
    with pytest.raises(UserError, match="encapnet6 has no setting depths"):
        build(resolve("digits", {"model": "encapnet6", "depths": (1,)}), (8, 8, 1), 10)
