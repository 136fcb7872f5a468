"""What a training step of a master/aide layer keeps for the backward pass, and that its gradients are right."""

import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en

SHAPE = (3, 16, 17, 8)


@pytest.fixture
def layer():
    layer = en.layers.CapConv2D(num_capsules=4, capsule_dim=2, routing="master_aide")
    layer.build(SHAPE)
    return layer


def gradients(layer, x, dy):
    """Return the gradients of the layer's input and weights; in a graph, the operation "split" separates the passes."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    dy = tf.identity(dy, name="split")
    return tape.gradient(y, [x, *layer.trainable_variables], dy)


def test_gradients_are_those_of_the_eager_layer(rng, layer):
    x, dy = (tf.constant(rng.normal(size=SHAPE).astype("float32")) for _ in range(2))
    fast, plain = tf.function(gradients, autograph=False)(layer, x, dy), gradients(layer, x, dy)
    for a, b in zip(fast, plain, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * max(1.0, np.abs(b).max()))


def test_the_backward_pass_computes_no_map_early_and_keeps_no_squashed_map(layer):
    """TensorFlow would compute a map in the forward pass, and keep it, if it did not depend on the gradient."""
    spec = tf.TensorSpec(SHAPE)
    operations = tf.function(gradients, autograph=False).get_concrete_function(layer, spec, spec).graph.get_operations()
    position = {operation.name: i for i, operation in enumerate(operations)}
    backward, kept = {"split"}, set()
    for operation in operations[position["split"] + 1 :]:
        sources = [tensor.op.name for tensor in operation.inputs] + [o.name for o in operation.control_inputs]
        if backward.intersection(sources):
            backward.add(operation.name)
            kept.update(t.op.name for t in operation.inputs if position[t.op.name] < position["split"] and is_map(t))
        elif operation.type not in ("Fill", "Identity", "Reshape"):  # of zeros, and of what is kept anyway
            assert not any(map(is_map, operation.outputs)), operation
    assert any("aide" in name for name in kept)
    assert not [name for name in kept if "activation" in name]


def is_map(tensor):
    return tensor.shape.rank == 4 and tuple(tensor.shape[:3]) == SHAPE[:3]
