"""A function of tensors in PyTorch, with its gradient."""

import torch

from benchmarks.contestants.random_arrays import normal


def with_gradient(function, inputs, gradient):
    """A call without arguments that runs `function(*inputs)`; its gradient too if asked, of a fixed random direction.

    Args:
        function: of tensors, to a tensor.
        inputs: tensors; the gradient is with respect to each.
        gradient: whether it is computed.
    """
    if not gradient:

        def forward():
            with torch.no_grad():
                return function(*inputs)

        return forward
    for x in inputs:
        x.requires_grad_(True)
    outputs = function(*inputs).detach()
    direction = torch.empty_like(outputs).copy_(torch.from_numpy(normal(*outputs.shape)))  # in the outputs' layout

    def value_and_gradient():
        outputs = function(*inputs)
        return outputs, torch.autograd.grad(outputs, inputs, direction)

    return value_and_gradient
