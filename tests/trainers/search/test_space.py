"""What may be searched, over which ranges, and the configuration that comes of it."""

import keras_tuner
import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.search.plan import Plan
from encapnet_tf.trainers.search.space import DEFAULT, Axis, Space

BASE = resolve("digits", {"feedback": "two"})


def test_usual_ranges():
    space = Space.of(dict.fromkeys(DEFAULT))
    assert space.names == ("feedback_weight", "epsilon")
    assert all(axis.logarithmic for axis in space.axes)


def test_ranges_and_values_of_ones_own():
    space = Space.parse("lambda=0.1:10,iterations,cost=cosine/euclidean,depth,routing,ema=0.5:0.9,debias=true/false")
    assert space.axes[:3] == (
        Axis("feedback_weight", 0.1, 10.0),
        Axis("iterations", 5, 50),
        Axis("cost", values=("cosine", "euclidean")),
    )
    assert not space.axes[5].logarithmic
    assert space.axes[6].values == (True, False)
    assert Space.from_json(space.to_json()) == space
    space.check(BASE)


def test_configured():
    space = Space.parse("lambda,depth,routing,cost")
    values = {"feedback_weight": 0.5, "depth": 2, "routing": "master", "cost": "euclidean"}
    config = space.configured(BASE, values)
    assert (config.feedback_weight, config.depths, config.routing, config.cost) == (
        0.5,
        (2, 2),
        ("master",),
        "euclidean",
    )
    assert config.capsule_dims == BASE.capsule_dims
    assert space.configured(resolve("cifar10", {}), values).depths == (2, 2, 2, 2)


def test_declared_on_kerastuner():
    space, hp = Space.parse("lambda,iterations,cost"), keras_tuner.HyperParameters()
    hp.values["feedback_weight"] = 0.123456789
    assert space.declare(hp) == {"feedback_weight": 0.1235, "iterations": 5, "cost": "cosine"}
    assert [type(entry).__name__ for entry in hp.space] == ["Float", "Int", "Choice"]
    assert [entry.sampling for entry in hp.space[:2]] == ["log", "log"]
    hp = keras_tuner.HyperParameters()
    space.declare(hp, points=3)
    assert [entry.values for entry in hp.space[:2]] == [[0.01, 0.3162, 10.0], [5, 16, 50]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lamda", "cannot be searched"),
        ("seed", "cannot be searched"),
        ("cache_gib=1:2", "the same in every trial; --cache_gib says it once"),
        ("checkpoint_steps=1:2", "cannot be searched"),
        ("weight_decay", "say its range"),
        ("epsilon=1:0.1", "from a lower to a higher"),
        ("epsilon=a:b", "NAME=LOW:HIGH with two numbers"),
        ("iterations=1.5:3.5", "whole numbers"),
        ("epsilon,epsilon", "stands there twice"),
        ("lambda,feedback_weight", "expected each setting once"),
        ("cost=cosine/1", "of one kind"),
        ("epsilon=0:1", "--epsilon=0.0: expected at least"),
        ("cost=cosine/manhattan", "--cost=manhattan: expected one of"),
    ],
)
def test_wrong_ranges(text, message):
    with pytest.raises(UserError, match=message):
        Space.parse(text).check(BASE)


def test_lambda_needs_units():
    with pytest.raises(UserError, match="no feedback units, so epsilon, feedback_weight would change nothing"):
        Space.of(dict.fromkeys(DEFAULT)).check(resolve("digits", {}))
    Space.parse("lambda,feedback=half/two").check(resolve("digits", {}))
    Space.parse("learning_rate").check(resolve("digits", {}))


def test_a_resumed_search_has_the_same_settings():
    plan = Plan(BASE, Space.parse("lambda"), "random", 12, "val_accuracy", 4)
    plan.check_same(Plan(BASE, Space.parse("lambda"), "random", 20, "val_accuracy", 4))
    other = Plan(resolve("digits", {"feedback": "half"}), Space.parse("lambda"), "grid", 12, "val_accuracy", 4)
    with pytest.raises(UserError, match="with other settings: tuner, feedback"):
        plan.check_same(other)
