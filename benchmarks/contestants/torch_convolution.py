"""PyTorch's own grouped convolution."""

import torch
from torch.nn.functional import conv2d, conv_transpose2d

from benchmarks.contestant import Prepared
from benchmarks.contestants.compiled_torch import with_gradient
from benchmarks.contestants.random_arrays import convolution_arrays, normal

FORMATS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def torch_convolution(memory_format, shape, groups, batch, gradient):
    """`conv2d(groups=...)`, or `conv_transpose2d` with a bias.

    Args:
        memory_format: "NCHW" or "channels last", of input, kernel and output gradient.
        shape, groups, batch, gradient: as in `grouped_convolution.keras_convolution`.
    """
    x, kernel = convolution_arrays(shape, groups, batch)
    side, dim_in, dim_out = shape["kernel"], shape["dim_in"], shape["dim_out"]
    if shape["transposed"]:
        # (k, k, dim_in, groups, dim_out) -> (groups * dim_in, dim_out, k, k), mirrored
        kernel = kernel.reshape(side, side, dim_in, groups, dim_out)[::-1, ::-1].transpose(3, 2, 4, 0, 1)
        kernel = kernel.reshape(groups * dim_in, dim_out, side, side)
    else:
        kernel = kernel.transpose(3, 2, 0, 1)
    inputs = [tensor(a, memory_format) for a in (x.transpose(0, 3, 1, 2), kernel)]
    if shape["transposed"]:
        inputs.append(torch.from_numpy(normal(groups * dim_out)))

        def function(x, kernel, bias):
            return conv_transpose2d(x, kernel, bias, stride=2, padding=1, output_padding=1, groups=groups)
    else:

        def function(x, kernel):
            return conv2d(x, kernel, stride=shape["strides"], padding=side // 2, groups=groups)

    return Prepared(with_gradient(function, inputs, gradient))


def tensor(array, memory_format):
    """A 4-D array as a tensor with a memory layout."""
    return torch.from_numpy(array.copy()).contiguous(memory_format=FORMATS[memory_format])
