"""Batch normalisation layer with the epsilon and momentum of the EncapNet paper's released code."""

import keras
from keras import ops as K

from encapnet_tf.blocks.step_counter import StepCounter
from encapnet_tf.ops.acceleration import run_shared
from encapnet_tf.ops.activation.batch_norm import fused_kernels as find_fused_kernels

_LONG_PAST = 10**9  # a count of steps at which the configured momentum has long been reached


@keras.saving.register_keras_serializable("encapnet_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation layer whose moving statistics are not biased towards their initial values.

    The default epsilon and momentum are those of the paper's released code. On a CPU, TensorFlow's fused kernel
    replaces Keras's separate operations in training, in half the time. Outputs are those of
    `keras.layers.BatchNormalization`, and so are the weights.

    In training step t (t = 0, 1, ...) the moving statistics keep the share min(momentum, t / (t + 1)) of their old
    value. So they are the mean over all batches at first, and with momentum 0.9 an exponential average from step 9 on.

    Differs from the paper: its release (like Keras) keeps the share `momentum` in every step. The statistics then begin
    as an average of the batches and of 0 and 1, the initial mean and variance, which have the weight 0.9^t after t
    steps. In a deep network the true variance may be 0.02, and each layer adds its error to those before it: after
    an epoch of 20 steps a network with a training accuracy of 90 % guesses in inference. `momentum_warmup=False` trains
    as the release does; after some hundred steps the two cannot be told apart.

    The step count is no weight. It is part of `variables` but not of `weights`, and inference does not read it. A mean
    of 0 and a variance of 1 in all channels restart it. Other statistics with a count of 0 come from elsewhere (a file,
    `set_weights`, another framework) and take the configured momentum; loading a file sets the count to 0.

    Args:
        epsilon: small constant added to the variance.
        momentum: share of the old moving statistics that a training step keeps; less in the first steps, see above.
        momentum_warmup: whether the first steps keep less; settable.
        **kwargs: arguments of `keras.layers.BatchNormalization`. With `renorm=True` the momentum is constant.

    Call arguments:
        inputs: (..., channels).

    Returns:
        Tensor of the shape of `inputs`.

    Example:

    >>> norm = BatchNorm()
    >>> x = keras.ops.array([[1.0], [3.0]])
    >>> y = norm(x, training=True)
    >>> float(norm.moving_mean[0])  # with momentum_warmup=False: 0.2
    2.0
    """

    renorm = False  # Keras 3.12 has no such attribute; later ones set it

    def __init__(self, epsilon=1e-5, momentum=0.9, *, momentum_warmup=True, **kwargs):
        super().__init__(epsilon=epsilon, momentum=momentum, **kwargs)
        self.momentum_warmup = bool(momentum_warmup)

    def build(self, input_shape):
        super().build(input_shape)
        self.step_counter = StepCounter()

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable or self.renorm:
            return super().call(inputs, training=training, mask=mask)
        kernels = self.fused_kernels(inputs, training) if mask is None else None
        if kernels:
            outputs, mean, variance = kernels.batch_norm(inputs, self.gamma.value, self.beta.value, self.epsilon)
            self.update_moving_statistics(mean, variance)
            return outputs
        x = K.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))  # half precision would overflow
        mean, variance = self._batch_statistics(x, mask)
        self.update_moving_statistics(mean, variance)
        scale, offset = (None if weight is None else K.cast(weight, x.dtype) for weight in (self.gamma, self.beta))
        outputs = K.batch_normalization(x, mean, variance, self.axis, offset, scale, self.epsilon)
        return K.cast(outputs, self.compute_dtype)

    def fused_kernels(self, inputs, training):
        """Return the module with fused batch-norm functions, or None if they do not support this layer or input.

        None also results for inputs or devices that the fused functions do not support.
        """
        is_supported = (
            len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.trainable  # a frozen layer normalises by its moving statistics
            and self.center
            and self.scale
            and not self.synchronized
            and not self.renorm
        )
        return find_fused_kernels(inputs, training) if is_supported else None

    def update_moving_statistics(self, mean, variance):
        """Update the moving mean and variance of a batch normalisation layer with the mean and variance of one batch.

        Also counts the training step, if the momentum warms up.

        Args:
            mean, variance: (channels,), mean and biased variance of the batch.
        """
        state = [self.moving_mean, self.moving_variance]
        if self.momentum_warmup:
            state.append(self.step_counter.state)
        tensors = (mean, variance, *(v.value for v in state))
        values = run_shared(_next_statistics, tensors, True, momentum=self.momentum)
        for variable, value in zip(state, values, strict=True):
            variable.assign(value)

    def _batch_statistics(self, x, mask):
        """Return the mean and variance of each channel of a batch, ignoring masked positions.

        Both have the shape (channels,). The variance is the biased one.
        """
        axes = [axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)]
        if mask is None:
            return K.moments(x, axes, synchronized=self.synchronized)
        is_used = K.broadcast_to(K.expand_dims(K.cast(mask, "bool"), -1), K.shape(x))
        total = K.sum(K.cast(is_used, x.dtype), axes, keepdims=True) + keras.config.epsilon()
        mean = K.sum(K.where(is_used, x, 0), axes, keepdims=True) / total
        variance = K.sum(K.square(K.where(is_used, x - mean, 0)), axes, keepdims=True) / total
        return K.reshape(mean, (-1,)), K.reshape(variance, (-1,))

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.step_counter.state.assign(0)

    def get_config(self):
        # Left out where it is the default, so that earlier versions read the files.
        option = {} if self.momentum_warmup else {"momentum_warmup": False}
        return {**super().get_config(), **option}


def _next_statistics(batch_mean, batch_variance, mean, variance, steps=None, *, momentum):
    """Compute the moving mean, the moving variance and the step count of batch normalisation after a training step.

    Args:
        batch_mean, batch_variance: (channels,), of the batch.
        mean, variance: (channels,), the moving statistics before the step.
        steps: the count before the step; None if the momentum does not warm up, and no count is returned.
        momentum: the configured momentum.
    """
    share, count = 1.0 - momentum, []
    if steps is not None:
        is_initial = K.all(K.logical_and(K.equal(mean, 0), K.equal(variance, 1)))
        count = [K.where(is_initial, 0, K.where(K.equal(steps, 0), _LONG_PAST, steps)) + 1]
        share = K.maximum(share, 1.0 / K.cast(count[0], batch_mean.dtype))
    moved = [
        K.cast(moving, batch.dtype) * (1.0 - share) + batch * share
        for moving, batch in ((mean, batch_mean), (variance, batch_variance))
    ]
    return [*moved, *count]
