"""Every contestant of the grouped convolutions computes the same, on the shapes that EncapNet-18 has."""

from collections import Counter

import numpy as np
import pytest

import encapnet_tf as en
from benchmarks import dense_conv
from benchmarks.contestants.grouped_convolution import keras_convolution
from benchmarks.grouped_conv import lowerings
from benchmarks.grouped_conv_shapes import Shape, shapes
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D

GROUPS = 3
SMALL = [
    Shape("", 4, 2, 1, 3, 1, 0),
    Shape("", 6, 2, 4, 3, 2, 0),
    Shape("", 4, 2, 2, 1, 1, 0),
    Shape("", 4, 4, 2, 3, 1, 0, transposed=True),
]


def values(factory, shape, groups=GROUPS, **arguments):
    """Output and gradients of a contestant."""
    prepared = factory(shape=shape.as_arguments(), groups=groups, batch=2, gradient=True, **arguments)
    outputs, gradients = prepared.run()
    return [np.asarray(x.detach() if hasattr(x, "detach") else x) for x in (outputs, *gradients)]


CASES = [
    pytest.param(shape, lowering, jit, id=f"{shape}-{name}")
    for shape in SMALL
    for name, (lowering, jit) in {"native": ("native", False), **lowerings(shape)}.items()
]


@pytest.mark.parametrize(("shape", "lowering", "jit"), CASES)
def test_same_as_ours(shape, lowering, jit):
    ours = values(keras_convolution, shape, lowering="ours")
    theirs = values(keras_convolution, shape, lowering=lowering, jit=jit)
    assert np.abs(ours[0]).max() > 0.1
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


@pytest.mark.parametrize("shape", SMALL, ids=str)
@pytest.mark.parametrize("memory_format", ["NCHW", "channels last"])
def test_pytorch_computes_the_same(shape, memory_format):
    pytest.importorskip("torch")
    from benchmarks.contestants.torch_convolution import torch_convolution

    theirs = values(torch_convolution, shape, memory_format=memory_format)[0]
    ours = values(keras_convolution, shape, lowering="ours")[0]
    np.testing.assert_allclose(theirs.transpose(0, 2, 3, 1), ours, atol=1e-4)


def test_the_shapes_are_those_of_the_network():
    """Shapes and how often they stand in a model, against the convolutions that a model of 4 capsules really has."""
    model = en.models.EncapNet(num_capsules=4, feedback="two")
    found = Counter()
    for layer in model.layers:
        for part in layer._flatten_layers():
            if isinstance(part, GroupedConv2D) and part.groups == 4:
                _, _, dim_in, filters = part.kernel.shape
                found[part.kernel_size, part.strides, dim_in, filters // 4] += 1
    expected = Counter()
    for shape in shapes():
        expected[shape.kernel, shape.strides, shape.dim_in, shape.dim_out] += shape.count
    assert found == +expected


def test_the_dense_shapes_are_those_of_the_network():
    model = en.models.EncapNet18(routing="master_aide", feedback="two")
    found = Counter()
    for layer in model.layers:
        for part in layer._flatten_layers():
            if isinstance(part, GroupedConv2D) and part.groups == 1 and layer.name != "stem":
                _, _, channels, filters = part.kernel.shape
                found[part.kernel_size, part.strides, channels, filters] += 1
    expected = Counter()
    for shape in dense_conv.shapes():
        calls = 2 if shape.role.startswith("extractor") else 1  # an extractor sees both sides, u' and u
        expected[shape.kernel, shape.strides, shape.dim_in, shape.dim_out] += shape.count // calls
    assert found == expected


@pytest.mark.parametrize("name", dense_conv.ALTERNATIVES)
@pytest.mark.parametrize("strides", [1, 2])
def test_dense_alternatives_are_the_same(name, strides):
    lowering, jit = dense_conv.ALTERNATIVES[name]
    shape = Shape("", 4, 2, 3, 5, strides, 0)
    ours, theirs = (
        values(keras_convolution, shape, groups=1, **who)
        for who in ({"lowering": "ours"}, {"lowering": lowering, "jit": jit})
    )
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_flops_count_what_meets_a_pixel():
    assert Shape("", 4, 2, 3, 1, 1, 0).flops(groups=5, batch=1) == 2 * 16 * 5 * 2 * 3
    assert Shape("", 4, 2, 3, 3, 2, 0).flops(groups=1, batch=2) == 2 * 2 * 4 * 9 * 6
