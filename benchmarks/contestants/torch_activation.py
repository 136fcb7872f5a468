"""BatchNorm-ReLU-squash in PyTorch."""

import torch

from benchmarks.contestant import Prepared
from benchmarks.contestants.compiled_torch import with_gradient
from benchmarks.contestants.random_arrays import normal
from benchmarks.contestants.torch_convolution import tensor


def torch_activation(memory_format, size, capsules, capsule_dim, batch, gradient):
    """PyTorch's operations one by one, in training.

    Args:
        memory_format: "NCHW" or "channels last".
        size, capsules, capsule_dim, batch, gradient: as in `activations.keras_activation`.
    """
    channels = capsules * capsule_dim
    mean, variance = torch.zeros(channels), torch.ones(channels)

    def function(x, gamma, beta):
        x = torch.batch_norm(x, gamma, beta, mean, variance, True, 0.1, 1e-5, False).relu()
        capsule = x.unflatten(1, (capsules, capsule_dim))
        squared = capsule.square().sum(2, keepdim=True)
        return (capsule * ((squared + 1e-12).sqrt() / (1 + squared))).flatten(1, 2)

    x = tensor(normal(batch, channels, size, size), memory_format)
    return Prepared(with_gradient(function, [x, torch.ones(channels), torch.zeros(channels)], gradient))
