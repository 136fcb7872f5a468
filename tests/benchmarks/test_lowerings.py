"""Lowerings of the convolutions: all compute the same, on the shapes that EncapNet-18 has."""

from collections import Counter
from functools import cache

import numpy as np
import pytest
import tensorflow as tf

import encapnet_tf as en
from benchmarks import dense_conv
from benchmarks.contestants.keras_layers import convolution
from benchmarks.grouped_conv import lowerings
from benchmarks.workloads.grouped_conv_shapes import Shape, shapes
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D

GROUPS = 3
SMALL = [
    Shape("", 4, 2, 1, 3, 1, 0),
    Shape("", 6, 2, 4, 3, 2, 0),
    Shape("", 4, 2, 2, 1, 1, 0),
    Shape("", 4, 4, 2, 3, 1, 0, transposed=True),
]
JITTED = SMALL[1]  # the shape on which XLA compiles the lowerings that it compiles in the benchmark


def values(factory, shape, groups=GROUPS, **arguments):
    """Return output and gradients of a contestant."""
    prepared = factory(shape=shape.as_arguments(), groups=groups, batch=2, gradient=True, **arguments)
    outputs, gradients = prepared.run()
    return [np.asarray(x.detach() if hasattr(x, "detach") else x) for x in (outputs, *gradients)]


@pytest.fixture(autouse=True)
def _eager():
    """Run the factories' functions without tracing, but for those that XLA compiles."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@cache
def library(shape, groups=GROUPS):
    return values(convolution, shape, groups, lowering="ours")


CASES = [
    pytest.param(shape, lowering, jit and shape is JITTED, id=f"{shape}-{name}")
    for shape in SMALL
    for name, (lowering, jit) in {"native": ("native", False), **lowerings(shape)}.items()
]


@pytest.mark.parametrize(("shape", "lowering", "jit"), CASES)
def test_alternatives_equal_the_library(shape, lowering, jit):
    ours = library(shape)
    tf.config.run_functions_eagerly(not jit)
    theirs = values(convolution, shape, lowering=lowering, jit=jit)
    assert np.abs(ours[0]).max() > 0.1
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


@pytest.mark.parametrize("shape", SMALL, ids=str)
@pytest.mark.parametrize("memory_format", ["NCHW", "channels last"])
def test_pytorch_equals_the_library(shape, memory_format):
    pytest.importorskip("torch")
    from benchmarks.contestants import torch_layers

    theirs = values(torch_layers.convolution, shape, memory_format=memory_format)[0]
    np.testing.assert_allclose(theirs.transpose(0, 2, 3, 1), library(shape)[0], atol=1e-4)


def convolution_counts(model, groups):
    """Return a counter of (kernel size, strides, kernel depth, filters) of a model's convolutions with `groups`."""
    counts = Counter()
    for layer in model.layers:
        for part in layer._flatten_layers():
            if isinstance(part, GroupedConv2D) and part.groups == groups and layer.name != "stem":
                _, _, dim_in, filters = part.kernel.shape
                counts[part.kernel_size, part.strides, dim_in, filters // groups] += 1
    return counts


def test_the_shapes_are_those_of_the_network():
    """Shapes and how often they occur, against the convolutions that models of 4 capsules really have."""
    expected = Counter()
    for shape in shapes():
        expected[shape.kernel, shape.strides, shape.dim_in, shape.dim_out] += shape.count
    model = en.models.EncapNet18(num_capsules=4, routing="master_aide", feedback="two")
    assert convolution_counts(model, groups=4) == +expected

    expected = Counter()
    for shape in dense_conv.dense_shapes(capsules=4):
        calls = 2 if shape.role.startswith("extractor") else 1  # an extractor sees both sides, u' and u
        expected[shape.kernel, shape.strides, shape.dim_in, shape.dim_out] += shape.count // calls
    assert convolution_counts(model, groups=1) == expected


@pytest.mark.parametrize("name", dense_conv.ALTERNATIVES)
@pytest.mark.parametrize("strides", [1, 2])
def test_dense_alternatives_equal_the_library(name, strides):
    lowering, _ = dense_conv.ALTERNATIVES[name]
    shape = Shape("", 4, 2, 3, 5, strides, 0)
    for mine, other in zip(library(shape, 1), values(convolution, shape, 1, lowering=lowering), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


@pytest.mark.parametrize("name", dense_conv.WINOGRAD)
def test_fewer_multiplications_give_the_same(name):
    lowering, jit = dense_conv.WINOGRAD[name]
    shape = Shape("", 8, 2, 3, 5, 1, 0)
    tf.config.run_functions_eagerly(not jit)
    for mine, other in zip(library(shape, 1), values(convolution, shape, 1, lowering=lowering, jit=jit), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4)


def test_flops_count_products_with_pixels_only():
    assert Shape("", 4, 2, 3, 1, 1, 0).flops(groups=5, batch=1) == 2 * 16 * 5 * 2 * 3
    assert Shape("", 4, 2, 3, 3, 2, 0).flops(groups=1, batch=2) == 2 * 2 * 4 * 9 * 6
