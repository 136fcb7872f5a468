"""Training and inference steps of whole networks, compiled for benchmarks.

They are compiled as `model.fit` and `model.predict` do by default.
"""

import functools
import json

import keras
import numpy as np

import encapnet_tf as en
from benchmarks.contestants.arrays import normal
from benchmarks.contestants.keras_calls import compile_function, compile_in_background, device
from benchmarks.contestants.network_flops import convolutions, forward_flops, multiply_adds
from benchmarks.harness.contestant import Prepared


def training_step(builder, options, batch, dtype="float32"):
    """Return a function, to be timed, that runs a network's training step, with Adam and the margin loss.

    It is compiled as `model.compile` does by default.

    Args:
        builder: name in `encapnet_tf.models`.
        options: its arguments.
        batch: images in a batch.
        dtype: Keras dtype policy.
    """
    model = network(builder, json.dumps(options), dtype)
    images, labels = (keras.ops.convert_to_tensor(a) for a in batch_of(model, batch))
    model.compile(keras.optimizers.Adam(), en.losses.MarginLoss())
    if keras.backend.backend() == "tensorflow":
        return Prepared(_step_of_fit(model, images, labels), facts(model, 3 * batch))
    return Prepared(lambda: model.train_on_batch(images, labels), facts(model, 3 * batch))


def training_steps(builder, options, batch, dtype="float32", steps=10):
    """Return a function, to be timed, that runs several training steps of a network and waits for the last one.

    A GPU computes one step while the next is sent to it, as in `fit`. Steps are otherwise those of `training_step`.

    Args:
        builder, options, batch, dtype: as in `training_step`.
        steps: number of steps.
    """
    model = network(builder, json.dumps(options), dtype)
    images, labels = (keras.ops.convert_to_tensor(a) for a in batch_of(model, batch))
    model.compile(keras.optimizers.Adam(), en.losses.MarginLoss())
    if keras.backend.backend() != "jax":
        step = _step_of_fit(model, images, labels)
        last = step  # its result is read, which waits for the steps before
        return Prepared(
            lambda: ([step() for _ in range(steps - 1)], float(last()["loss"])), facts(model, 3 * batch * steps)
        )
    return Prepared(_steps_of_fit_on_jax(model, images, labels, steps), facts(model, 3 * batch * steps))


def inference_step(builder, options, batch, dtype="float32"):
    """Return a function, to be timed, that computes a network's class scores for one batch of images.

    It is compiled as `model.predict` does by default.

    Args:
        builder, options, batch, dtype: as in `training_step`.
    """
    model = network(builder, json.dumps(options), dtype)
    images, _ = (keras.ops.convert_to_tensor(a) for a in batch_of(model, batch))
    model.predict_on_batch(images)
    if keras.backend.backend() == "tensorflow":
        counts = {"multiply-adds": multiply_adds(model)}
        return Prepared(lambda: model.predict_function([(images,)]), facts(model, batch) | counts)
    return Prepared(lambda: model.predict_on_batch(images), facts(model, batch))


def dense_convolutions(builder, options, batch, dtype="float32"):
    """Return a function, to be timed, that runs a network's dense convolutions and computes the gradients.

    They are the backend's own, on the shapes of the network's.

    They run one after another, each compiled separately, on JAX all in one program. Gradients are with respect to input
    and kernel.

    Args:
        builder, options, batch, dtype: as in `training_step`.
    """
    shapes = [c for c in convolutions(network(builder, json.dumps(options), dtype)) if c.groups == 1]
    compute = keras.config.dtype_policy().compute_dtype

    def random_inputs(shape):
        arrays = normal(batch, *shape.size, shape.kernel[2]), 0.01 * normal(*shape.kernel)
        return [keras.ops.cast(a, compute) for a in arrays]

    functions = [functools.partial(keras.ops.conv, strides=shape.strides, padding="same") for shape in shapes]
    facts = {"flops": 3 * batch * sum(shape.flops for shape in shapes)}
    if keras.backend.backend() == "jax":
        return Prepared(_compile_together(functions, [random_inputs(shape) for shape in shapes]), facts)
    calls = [
        compile_function(f, random_inputs(shape), gradient=True) for f, shape in zip(functions, shapes, strict=True)
    ]
    return Prepared(lambda: [call() for call in calls], facts)


def _compile_together(functions, inputs):
    """Compile several functions and their gradients into one program of JAX, and return a function that runs it.

    Args:
        functions: of two tensors.
        inputs: the two tensors of each.
    """
    import jax

    outputs = [jax.eval_shape(f, *pair) for f, pair in zip(functions, inputs, strict=True)]
    output_gradients = [jax.numpy.ones(y.shape, y.dtype) for y in outputs]

    def values_and_gradients(inputs, output_gradients):
        results = []
        for f, pair, gradient in zip(functions, inputs, output_gradients, strict=True):
            value, backward = jax.vjp(f, *pair)
            results.append((value, backward(gradient)))
        return results

    run = compile_in_background(values_and_gradients, inputs, output_gradients)
    return lambda: jax.block_until_ready(run(inputs, output_gradients))


@functools.cache
def network(builder, options, dtype):
    """Build a network from `encapnet_tf.models` by name, and cache the network for this process.

    Args:
        builder: name in `encapnet_tf.models`.
        options: its arguments, as JSON.
        dtype: Keras dtype policy.
    """
    if not hasattr(en.models, builder):
        raise LookupError(f"models.{builder} is not in this version")
    keras.config.set_dtype_policy(dtype)
    keras.utils.set_random_seed(0)
    options = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(options).items()}
    return getattr(en.models, builder)(**options)


def batch_of(model, batch):
    """Return random images and labels that match a model's input size and number of classes."""
    labels = np.random.default_rng(0).integers(0, model.output_shape[-1], batch).astype("int32")
    return normal(batch, *model.input_shape[1:]), labels


def facts(model, forward_passes):
    """Return a network's parameter count, FLOPs, backend and device for a benchmark report.

    Args:
        model: the network.
        forward_passes: number of images; a training step counts each three times.
    """
    return {
        "parameters": sum(int(np.prod(v.shape)) for v in model.trainable_variables),
        "flops": forward_passes * forward_flops(model),
        "backend": keras.backend.backend(),
        "device": device(),
    }


def _steps_of_fit_on_jax(model, images, labels, steps):
    """Return a function that runs training steps with JAX, passing the state from step to step as `fit` does."""
    import jax

    model.optimizer.build(model.trainable_variables)
    groups = [model.trainable_variables, model.non_trainable_variables]
    groups += [model.optimizer.variables, model.metrics_variables]
    # A step takes over the memory of its state: these are copies, so that the model keeps its own.
    state = tuple([jax.numpy.copy(variable.value) for variable in group] for group in groups)
    step = compile_in_background(model.train_step, state, (images, labels), donate_argnums=0)

    def run():
        nonlocal state
        for _ in range(steps):
            _, state = step(state, (images, labels))
        jax.block_until_ready(state)

    return run


def _step_of_fit(model, images, labels):
    """Return a function that runs one training step, compiled as in `model.fit`.

    It calls the training function that `fit` compiled.
    """
    import tensorflow as tf

    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    model.fit(batches, steps_per_epoch=1, verbose=0)
    iterator = iter(batches)
    return lambda: model.train_function(iterator)
