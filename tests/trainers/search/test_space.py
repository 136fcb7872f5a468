"""The search space: which settings may be searched, over which ranges, and a trial's configuration."""

import re

import keras_tuner
import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.config.schema import settings
from encapnet_tf.trainers.config.setting import kind_of
from encapnet_tf.trainers.runs.errors import UserError
from encapnet_tf.trainers.search.plan import Plan
from encapnet_tf.trainers.search.space import DEFAULT, Axis, Space

UNIT_SETTINGS = tuple(
    f"{field.name}=1:2" if kind_of(field).item is int else field.name
    for field in settings()
    if field.metadata["unit_argument"] and kind_of(field).item is not bool and not field.metadata["search"].refusal
)
BASE = resolve("digits", {"feedback": "two"})


def test_usual_ranges():
    space = Space.of(dict.fromkeys(DEFAULT))
    assert space.names == ("feedback_weight", "epsilon")
    assert all(axis.logarithmic for axis in space.axes)


def test_ranges_and_values_of_the_user():
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
    assert Space.parse("depths=0:2").axes == (Axis("depth", 0, 2),)
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
        ("cache_gib=1:2", "every trial trains and validates on the same images. Set it once with --cache_gib"),
        ("checkpoint_steps=1:2", "trials save no checkpoints"),
        ("weight_decay", "give a range, weight_decay=LOW:HIGH, or values"),
        ("epsilon=1:0.1", "from a lower to a higher"),
        ("epsilon=a:b", "NAME=LOW:HIGH with two numbers"),
        ("iterations=1.5:3.5", "whole numbers"),
        ("epsilon,epsilon", "epsilon is named twice"),
        ("lambda,feedback_weight", "expected each setting once"),
        ("cost=cosine/1", "of one kind"),
        ("epsilon=0:1", "--epsilon=0.0: expected at least"),
        ("cost=cosine/manhattan", "--cost=manhattan: expected one of"),
    ],
)
def test_wrong_ranges(text, message):
    with pytest.raises(UserError, match=message):
        Space.parse(text).check(BASE)


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [
        (
            ",".join(DEFAULT),
            {"feedback": "none"},
            "no feedback units, so epsilon, feedback_weight would change nothing",
        ),
        ("lambda,feedback=none/half", {}, "--feedback=none has no feedback units, so feedback_weight"),
        *(
            (unit_setting, {"feedback": "none"}, "Choose --feedback=half, same or two")
            for unit_setting in UNIT_SETTINGS
        ),
        (
            "epsilon",
            {"divergence": "kl"},
            "--divergence=kl: epsilon would change nothing. Choose --divergence=sinkhorn",
        ),
        ("extractor_objective", {"extractor": "none"}, "--extractor=none: extractor_objective would change nothing"),
        ("sync_replicas=true/false", {"strategy": "one_device"}, "Choose --strategy=auto, mirrored or multi_worker"),
        ("synchronized=true/false", {"strategy": "one_device"}, "--strategy=one_device: synchronized"),
        ("l2=0:0.1", {"optimizer": "adamw"}, "--optimizer=adamw: l2 would change nothing. Choose --optimizer=adam"),
        ("l2=0:0.1,optimizer", {}, "--optimizer=adamw: l2 would change nothing"),
        ("weight_decay=0:0.1", {"optimizer": "adam"}, "--optimizer=adam: weight_decay would change nothing"),
        ("milestones=10:20", {"schedule": "cosine"}, "--schedule=cosine: milestones would change nothing"),
        (
            "coefficients",
            {"routing": ("master", "master")},
            "--routing=master,master: coefficients would change nothing",
        ),
        ("num_capsules=4:8", {"model": "resnet20"}, "--model=resnet20 has no setting num_capsules"),
        ("depth", {"model": "encapnet6"}, "--model=encapnet6 has no setting depths, so depth would change nothing"),
        ("width,model=plaincnn/resnet20", {}, "--model=resnet20 has no setting width"),
    ],
)
def test_a_setting_that_a_trial_would_ignore(text, base, message):
    with pytest.raises(UserError, match=re.escape(message)):
        Space.parse(text).check(resolve("digits", {"feedback": "two"} | base))


def test_settings_that_every_trial_uses():
    Space.parse("lambda,feedback=half/two").check(resolve("digits", {}))
    Space.parse("learning_rate,ema=0.5:0.9,num_capsules=4:8,weight_decay=0:0.1").check(resolve("digits", {}))
    Space.parse("coefficients,skip").check(resolve("digits", {"routing": ("master", "master_aide")}))
    Space.parse("width").check(resolve("digits", {"model": "plaincnn"}))
    Space.parse("l2=0:0.1,milestones=10/20").check(resolve("digits", {"optimizer": "adam", "schedule": "step"}))


def test_a_resumed_search_has_the_same_settings():
    plan = Plan(BASE, Space.parse("lambda"), "random", 12, "val_accuracy", 4)
    plan.check_same(Plan(BASE, Space.parse("lambda"), "random", 20, "val_accuracy", 4))
    other = Plan(resolve("digits", {"feedback": "half"}), Space.parse("lambda"), "grid", 12, "val_accuracy", 4)
    with pytest.raises(UserError, match="with other settings: tuner, feedback"):
        plan.check_same(other)
