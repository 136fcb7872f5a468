"""Functions that compute the features compared by Sinkhorn-divergence regularisers.

The regularisers are `FeedbackAgreement` layers.
"""

import math

from keras import ops as K

from encapnet_tf.ops.precision import at_least_float32


def training_output(part, x):
    """Call a Keras layer in training mode, but leave the moving statistics of batch normalisation unchanged.

    The layer is a generator or an extractor, or None, which returns `x`.
    """
    if part is None:
        return x
    trainable = [variable.value for variable in part.trainable_variables]
    non_trainable = [variable.value for variable in part.non_trainable_variables]
    return part.stateless_call(trainable, non_trainable, x, training=True)[0]


def adversarial_features(extractor, x):
    """Apply a feature extractor, and reverse the sign of the gradients with respect to its weights.

    The extractor runs in training mode. The gradient with respect to `x` keeps its sign, so a minimiser of the
    divergence trains the extractor to maximise the divergence and the rest of the network to minimise it.

    Args:
        extractor: a built Keras layer.
        x: its input.

    Returns:
        The extractor's output.
    """
    weights = [_reverse_gradient(K.convert_to_tensor(weight)) for weight in extractor.trainable_variables]
    state = [variable.value for variable in extractor.non_trainable_variables]
    features, state = extractor.stateless_call(weights, state, x, training=True)
    for variable, value in zip(extractor.non_trainable_variables, state, strict=True):
        variable.assign(value)
    return features


def _reverse_gradient(x):
    """Return a tensor unchanged, but flip the sign of the gradient in the backward pass."""
    return 2 * K.stop_gradient(x) - x


def zero_padding(x, masks):
    """Set the padded tokens of a batch of sequences to 0.

    Args:
        x: (batch, tokens, features), or another tensor, which has no tokens.
        masks: tensors (batch, tokens), False for a padded token, or None; those of another number of tokens are of
            another layer and are ignored.

    Returns:
        Tensor of the shape of `x`. A token is 0 if any mask is False for it.
    """
    for mask in masks:
        if mask is not None and len(mask.shape) == 2 and len(x.shape) == 3 and mask.shape[1] == x.shape[1]:
            x = K.where(K.expand_dims(mask, -1), x, K.zeros_like(x))
    return x


def flatten_features(x):
    """Flatten each sample of a batch to a vector, and cast half precision to float32."""
    features = math.prod(x.shape[1:]) if None not in x.shape[1:] else -1
    return at_least_float32(K.reshape(x, (K.shape(x)[0], features)))
