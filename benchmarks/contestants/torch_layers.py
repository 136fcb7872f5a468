"""Benchmarks of grouped convolution and of BatchNorm, ReLU and squash in PyTorch.

Gradients are included.
"""

import torch
from torch.nn.functional import conv2d, conv_transpose2d

from benchmarks.contestants.arrays import convolution_arrays, normal
from benchmarks.harness.contestant import Prepared

FORMATS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def convolution(*, memory_format, shape, groups, batch, gradient):
    """Return a function, to be timed, that computes a grouped convolution (ordinary or transposed) in PyTorch.

    It is `conv2d(groups=...)`, or `conv_transpose2d` with a bias.

    Args:
        memory_format: "NCHW" or "channels last", of input, kernel and output gradient.
        shape, groups, batch, gradient: as in `keras_layers.convolution`.
    """
    x, kernel = convolution_arrays(shape, groups, batch)
    size, dim_in, dim_out = shape["kernel"], shape["dim_in"], shape["dim_out"]
    if shape["transposed"]:
        # (k, k, dim_in, groups, dim_out) -> (groups * dim_in, dim_out, k, k), mirrored
        kernel = kernel.reshape(size, size, dim_in, groups, dim_out)[::-1, ::-1].transpose(3, 2, 4, 0, 1)
        kernel = kernel.reshape(groups * dim_in, dim_out, size, size)
    else:
        kernel = kernel.transpose(3, 2, 0, 1)
    inputs = [_tensor(a, memory_format) for a in (x.transpose(0, 3, 1, 2), kernel)]
    if shape["transposed"]:
        inputs.append(torch.from_numpy(normal(groups * dim_out)))

        def function(x, kernel, bias):
            return conv_transpose2d(x, kernel, bias, stride=2, padding=1, output_padding=1, groups=groups)
    else:

        def function(x, kernel):
            return conv2d(x, kernel, stride=shape["strides"], padding=size // 2, groups=groups)

    return Prepared(_call(function, inputs, gradient))


def activation(*, memory_format, size, capsules, capsule_dim, batch, gradient):
    """Return a function, to be timed, that applies BatchNorm, ReLU and squash in PyTorch, in training mode.

    They are separate operations.

    Args:
        memory_format: "NCHW" or "channels last".
        size, capsules, capsule_dim, batch, gradient: as in `keras_layers.activation`.
    """
    channels = capsules * capsule_dim
    mean, variance = torch.zeros(channels), torch.ones(channels)

    def function(x, gamma, beta):
        x = torch.batch_norm(x, gamma, beta, mean, variance, True, 0.1, 1e-5, False).relu()
        capsule = x.unflatten(1, (capsules, capsule_dim))
        squared = capsule.square().sum(2, keepdim=True)
        return (capsule * ((squared + 1e-12).sqrt() / (1 + squared))).flatten(1, 2)

    x = _tensor(normal(batch, channels, size, size), memory_format)
    return Prepared(_call(function, [x, torch.ones(channels), torch.zeros(channels)], gradient))


def _tensor(array, memory_format):
    return torch.from_numpy(array.copy()).contiguous(memory_format=FORMATS[memory_format])


def _call(function, inputs, gradient):
    """Wrap a PyTorch function and its inputs in a function without arguments.

    If `gradient`, it returns the gradients too: those of the output times fixed random numbers, summed, with respect
    to every input.
    """
    if not gradient:

        def forward():
            with torch.no_grad():
                return function(*inputs)

        return forward
    for x in inputs:
        x.requires_grad_(True)
    outputs = function(*inputs).detach()
    # Keeps the memory layout of the outputs.
    output_gradient = torch.empty_like(outputs).copy_(torch.from_numpy(normal(*outputs.shape)))

    def value_and_gradient():
        outputs = function(*inputs)
        return outputs, torch.autograd.grad(outputs, inputs, output_gradient)

    return value_and_gradient
