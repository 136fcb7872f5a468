"""Program: three SGD steps of a network, on one device or on replicas; writes weights and logs to a file.

python -m tests.distribution.three_steps OUT NETWORK DTYPE REPLICAS SYNC
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf

from tests.distribution.networks import CLASSES, NETWORKS, SHAPE

BATCH, STEPS = 8, 3


def data(dtype, shuffle=0):
    """Three batches; `shuffle` permutes the rows within each."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, BATCH, *SHAPE)).astype(dtype)
    y = rng.integers(0, CLASSES, (STEPS, BATCH))
    order = np.random.default_rng(shuffle).permutation(BATCH) if shuffle else np.arange(BATCH)
    return x[:, order], y[:, order]


def compiled(network, sync):
    model = NETWORKS[network](sync)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05), loss, metrics=["accuracy"])
    return model


def start(dtype, replicas):
    """Devices and dtype; the strategy's scope is what the model is to be built in."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(7)
    if replicas == 1:
        return None
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def fitted(network, dtype, strategy, sync, shuffle=0):
    """The model after three steps, and what each step logged."""
    if strategy is None:
        model = compiled(network, sync)
    else:
        with strategy.scope():
            model = compiled(network, sync)
    steps = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(logs))
    batches = tf.data.Dataset.from_tensor_slices(data(dtype, shuffle))
    history = model.fit(batches, verbose=0, callbacks=[watch], shuffle=False).history
    return model, [*steps, {name: values[0] for name, values in history.items()}]


def weights(model):
    """Copies of all variables, trainable ones first."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def main(out, network, dtype, replicas, sync):
    model, logs = fitted(network, dtype, start(dtype, int(replicas)), sync == "sync")
    logs = [{name: float(value) for name, value in step.items()} for step in logs]
    np.savez(out, *weights(model), logs=json.dumps(logs))


if __name__ == "__main__":
    main(*sys.argv[1:])
