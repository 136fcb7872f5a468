"""Convolution layer in which output capsule j reads all input capsules except input capsule j.

It is the aide branch as the paper's text describes it.
"""

import numpy as np
from keras import ops as K

from encapnet_tf import ops
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D


class OtherCapsulesConv2D(GroupedConv2D):
    """Convolution layer in which output capsule j reads all input capsules except input capsule j.

    It is the aide branch of `CapConv2D(aide_excludes_own=True)`. The capsules that it reads are the complement of N_j
    in Eq. 6 of the paper.

    Args:
        num_capsules: capsules at input and output. The kernel is dense, (kernel_size, kernel_size, channels, filters);
            the blocks between equal capsules are masked with zeros.
        *args, **kwargs: arguments of `GroupedConv2D`.
    """

    def __init__(self, num_capsules, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_capsules = num_capsules

    def build(self, input_shape):
        super().build(input_shape)
        input_dim, output_dim = input_shape[-1] // self.num_capsules, self.filters // self.num_capsules
        same_capsule = np.kron(np.eye(self.num_capsules), np.ones((input_dim, output_dim)))
        self._mask = 1.0 - same_capsule  # (channels, filters)

    def call(self, inputs, training=None):
        kernel = self.kernel * K.cast(self._mask, self.kernel.dtype)
        return ops.grouped_conv2d(inputs, kernel, self.groups, self.strides, bool(training)) + self.bias
