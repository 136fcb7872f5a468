"""Program: three SGD steps of networks on two replicas; writes weights and logs of each to a file.

python -m tests.distribution.three_steps FOLDER NETWORK:DTYPE:SYNC ...

All networks train in one process, which saves the start of others. SYNC is "sync" for divergences and batch statistics
of the global batch, "shares" for those of each replica's share.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tests.distribution.networks import CLASSES, NETWORKS, SHAPE

BATCH, STEPS, RATE = 8, 3, 0.05


def data(dtype, shuffle=0):
    """Return three batches; `shuffle` permutes the rows within each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, BATCH, *SHAPE)).astype(dtype)
    y = rng.integers(0, CLASSES, (STEPS, BATCH))
    order = np.random.default_rng(shuffle).permutation(BATCH) if shuffle else np.arange(BATCH)
    return x[:, order], y[:, order]


def compiled(network, sync):
    model = NETWORKS[network](sync)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(RATE), loss, metrics=["accuracy"])
    return model


def set_precision(dtype):
    """Set the dtype and the seed, before a network is built."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(7)


def two_replicas():
    """Return a strategy of two replicas on the CPU."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(2)])


def fit(model, dtype, shuffle=0):
    """Train the model for three steps; return the logs after each step and those of the epoch."""
    steps = []
    logger = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(dict(logs)))
    batches = tf.data.Dataset.from_tensor_slices(data(dtype, shuffle))
    history = model.fit(batches, verbose=0, callbacks=[logger], shuffle=False).history
    logs = [*steps, {name: values[0] for name, values in history.items()}]
    return [{name: float(value) for name, value in step.items()} for step in logs]


def weights(model):
    """Return copies of all variables, trainable ones first."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def main(folder, *cases):
    strategy = two_replicas()
    for case in cases:
        network, dtype, sync = case.split(":")
        set_precision(dtype)
        with strategy.scope():
            model = compiled(network, sync == "sync")
        logs = fit(model, dtype)
        np.savez(Path(folder) / f"{case}.npz", *weights(model), logs=json.dumps(logs))


if __name__ == "__main__":
    main(*sys.argv[1:])
