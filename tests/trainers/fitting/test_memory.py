"""Sizes of networks, counted without allocating or changing anything."""

import random

import keras
import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.fitting import memory, network
from encapnet_tf.trainers.runs import machine_memory
from encapnet_tf.trainers.runs.errors import UserError

from encapnet_tf.weight_counts import WeightCounts, count_weights

SMALL = {"num_capsules": 4, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",)}


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        {**SMALL, "feedback": "two", "reconstruction": "dense", "precision": "bfloat16", "routing": ("master_aide",)},
        {"model": "capnet", "routing": ("dynamic",)},
        {"model": "selfroutingcapsnet", "filters": 4},
        {"model": "efficientcapsnet", "image_size": 28},
        {"model": "resnet20"},
    ],
)
def test_the_count_is_exact(settings):
    config = resolve("digits", settings)
    counted = []

    def refuse(config, image_shape, build):
        counted.append(count_weights(build))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "refuse_too_large", refuse)
        model = network.build(config, (28, 28, 1) if config.image_size else (8, 8, 1), 10)
    assert counted[0].weights == sum(weight.value.shape.num_elements() for weight in model.weights)
    assert counted[0].trainable == sum(weight.value.shape.num_elements() for weight in model.trainable_weights)


def test_counting_changes_no_name_and_no_random_number():
    keras.utils.set_random_seed(3)
    keras.layers.Dense(2)
    state = random.getstate()
    count_weights(lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    assert random.getstate() == state
    first, second = keras.layers.Dense(2).name, keras.layers.Dense(2).name
    assert int(second.split("_")[-1]) - int(first.split("_")[-1] if "_" in first else 0) == 1


def test_the_limit_is_that_of_weights_slots_and_one_batch(monkeypatch):
    config = resolve("digits", {**SMALL, "batch_size": 10, "optimizer": "adam"})
    size = WeightCounts(weights=1000, trainable=900)
    monkeypatch.setattr(memory, "count_weights", lambda build: size)
    monkeypatch.setattr(memory.tf.config, "list_physical_devices", lambda kind: [])
    needed = 4 * (1000 + 2 * 900 + 10 * 64)
    monkeypatch.setattr(memory, "memory_bytes", lambda: needed)
    memory.refuse_too_large(config, (8, 8, 1), lambda: None)
    monkeypatch.setattr(memory, "memory_bytes", lambda: needed - 1)
    with pytest.raises(UserError, match=r"1,000 weights .* and one batch of 10 images of 8x8x1 need"):
        memory.refuse_too_large(config, (8, 8, 1), lambda: None)


def test_this_machine_has_memory():
    assert machine_memory.memory_bytes() > 2**28
