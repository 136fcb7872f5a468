"""Text of a dry run, from measured numbers."""

from dataclasses import fields

import pytest
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.config.schema import Config
from encapnet_tf.trainers.dry_run.description import _seconds, describe_memory, describe_settings, describe_time
from encapnet_tf.trainers.dry_run.measurement import Measurement

MEASUREMENT = Measurement(
    first_seconds=10.0,
    step_seconds=0.5,
    loss=0.25,
    state_bytes=3 << 20,
    process_bytes=1 << 30,
    device_bytes={"GPU:0": 512 << 20},
)


def test_every_setting_is_listed_with_the_recipes_value():
    lines = describe_settings(resolve("digits", {"epochs": 7, "depths": (2, 2)})).splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert names == [field.name for field in fields(Config)]
    by_name = {line.split()[0]: line.split()[1:] for line in lines}
    assert by_name["epochs"] == ["7", "(recipe:", "40)"]
    assert by_name["depths"] == ["2,2", "(recipe:", "1,1)"]
    assert by_name["batch_size"] == ["64"]
    assert by_name["debias"] == ["true"]
    assert by_name["image_size"] == ["default"]
    assert "training:" in lines


def test_settings_of_the_recipe_images_are_not_compared():
    assert "(recipe" not in describe_settings(resolve("images", {"epochs": 7}))


def test_time_is_that_of_the_remaining_steps_and_validations():
    config = resolve("digits", {"epochs": 4, "batch_size": 10})
    text = describe_time(MEASUREMENT, config, steps=20, first_step=20, validation_images=60)
    # 10 s + 60 steps of 0.5 s + 3 validations of 60 images, each 0.5 s / 10 images / 3
    assert "about 43 s for 60 steps, 11 s an epoch with its validation" in text
    assert "took 10 s, the others 500 ms each (20 images/s)" in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0312, "31 ms"), (4.23, "4.2 s"), (59.2, "59 s"), (190, "3 min 10 s"), (7512, "2 h 5 min"), (59.9, "1 min 0 s")],
)
def test_durations(seconds, text):
    assert _seconds(seconds) == text


def test_memory_of_process_and_devices():
    assert describe_memory(MEASUREMENT).splitlines() == [
        "memory:  1.0 GiB of main memory at most so far, with TensorFlow and the images that are kept in memory; "
        "weights, gradients and optimizer are 3.0 MiB",
        "         512 MiB at most on GPU:0",
    ]
