"""The aide of the paper's text: a dense convolution blind to the output capsule's own input capsule."""

import keras
import numpy as np

from encapnet_tf import ops
from encapnet_tf.blocks.grouped_conv2d import GroupedConv2D


class OtherCapsulesConv2D(GroupedConv2D):
    """Dense convolution in which output capsule j sees every input capsule but j: the complement of N_j in Eq. 6.

    Part of `CapConv2D(aide_excludes_own=True)`.

    Args:
        num_capsules: capsules at input and output. The kernel is dense, (kernel_size, kernel_size, channels, filters);
            a capsule's own block of it never acts.
        *args, **kwargs: as `GroupedConv2D`.
    """

    def __init__(self, num_capsules, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_capsules = num_capsules

    def build(self, input_shape):
        super().build(input_shape)
        own = np.eye(self.num_capsules)
        own = own.repeat(input_shape[-1] // self.num_capsules, axis=0).repeat(self.filters // self.num_capsules, axis=1)
        self._others = 1.0 - own  # (channels, filters)

    def call(self, inputs, training=None):
        kernel = self.kernel * keras.ops.cast(self._others, self.kernel.dtype)
        return ops.grouped_conv2d(inputs, kernel, self.groups, self.strides, bool(training)) + self.bias
