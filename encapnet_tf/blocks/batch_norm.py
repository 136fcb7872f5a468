"""Batch normalisation with the epsilon and momentum of the paper's release."""

import keras

from encapnet_tf.ops.activation.batch_norm import fused_kernels


@keras.saving.register_keras_serializable("encapnet_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Keras batch normalisation with the release's epsilon (1e-5) and momentum (0.9), faster in training on a CPU.

    TensorFlow's fused kernel replaces Keras's separate operations there, in half the time. Results, moving statistics
    and configuration are those of `keras.layers.BatchNormalization`.

    Args:
        epsilon: small constant added to the variance.
        momentum: share of the old moving statistics that a training step keeps.
        **kwargs: arguments of `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: (..., channels).

    Returns:
        Tensor of the shape of `inputs`.
    """

    def __init__(self, epsilon=1e-5, momentum=0.9, **kwargs):
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)

    def call(self, inputs, training=None, mask=None):
        helpers = self.fused_kernels(inputs, training) if mask is None else None
        if not helpers:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = helpers.batch_norm(inputs, self.gamma.value, self.beta.value, self.epsilon)
        self.update_moving_statistics(mean, variance)
        return outputs

    def fused_kernels(self, inputs, training):
        """Return the module of fused TensorFlow kernels if they can normalise `inputs` in this mode, else None."""
        unsupported = self.synchronized or self.renorm or not (self.center and self.scale)
        supported = len(inputs.shape) == 4 and self.axis in (-1, 3) and self.trainable and not unsupported
        return fused_kernels(inputs, training) if supported else None

    def update_moving_statistics(self, mean, variance):
        """Move the moving mean and variance towards those of a batch.

        Args:
            mean, variance: (channels,), of the batch.
        """
        for moving, of_batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + of_batch * (1.0 - self.momentum))
