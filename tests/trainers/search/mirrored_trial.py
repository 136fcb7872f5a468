"""A trial on two replicas, run as `python -m tests.trainers.search.mirrored_trial FOLDER` in a process of its own."""

import sys

import keras_tuner
import tensorflow as tf
from encapnet_tf.trainers import data
from encapnet_tf.trainers.config.recipes import resolve
from encapnet_tf.trainers.search import oracles
from encapnet_tf.trainers.search.space import Space
from encapnet_tf.trainers.search.tuner import SearchTuner, TrialModel

SETTINGS = {"num_capsules": 4, "depths": (0,), "capsule_dims": (2,), "strides": (2,), "routing": ("master",)}


def main(folder):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    config = resolve("digits", {**SETTINGS, "feedback": "half", "epochs": 1, "train_limit": 400, "batch_size": 16})
    config = resolve("digits", {**config.__dict__, "validation_fraction": 0.24})  # 96 images: whole for two replicas
    space, hp = Space.parse("lambda"), keras_tuner.HyperParameters()
    space.declare(hp)
    tuner = SearchTuner(
        oracle=oracles.create_oracle("random", hp, objective="val_accuracy", trials=1, epochs=1, seed=0),
        hypermodel=TrialModel(data.load(config), config, space),
        distribution_strategy=tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
        directory=folder,
        project_name="search",
    )
    tuner.search()


if __name__ == "__main__":
    main(sys.argv[1])
