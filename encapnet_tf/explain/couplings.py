"""Votes and coupling coefficients of the capsule layers that compute class capsules.

They are computed anew from a layer's inputs and weights: the layers themselves never hold all votes in memory.
"""

import keras
from keras import ops as K

from encapnet_tf import layers, ops
from encapnet_tf.ops.precision import at_least_float32
from encapnet_tf.ops.routing.em_routing import route_by_em
from encapnet_tf.ops.routing.inverted_attention import inverted_attention

# In all functions: "lower" is the number of input capsules, in the order in which the layer reads them.


def votes_and_couplings(layer, *inputs, **options):
    """Compute each lower capsule's vote for each class capsule, and the coefficient that weights the vote.

        s_j = sum_i c_ij V_ij

    Args:
        layer: a layer of a class in `CLASS_LAYERS`.
        *inputs, **options: arguments of a call of the layer.

    Returns:
        V (batch, lower, classes, capsule_dim) and c (batch, lower, classes).
    """
    options = {name: value for name, value in options.items() if name not in ("training", "mask")}
    function = next(function for layer_class, function in _FUNCTIONS.items() if isinstance(layer, layer_class))
    return function(layer, *inputs, **options)


def _capfc(layer, inputs):
    votes = at_least_float32(layer.mapped_capsules(inputs))
    return votes, K.ones_like(votes[..., 0])


def _dynamic(layer, inputs):
    """Compute the votes and the coupling coefficients of the last iteration of dynamic routing.

    The coefficients are c = softmax(b) with b_ij = V_ij . (sum of the earlier v_j).
    """
    votes, lower = layer.mapped_capsules(inputs), layer.lower_capsules(inputs)
    logits = K.zeros_like(votes[..., 0])
    for iterations in range(1, layer.iterations):
        v = ops.dynamic_routing(lower, layer.kernel, layer.bias, iterations, layer.softmax_over, epsilon=layer.epsilon)
        logits = logits + K.einsum("bijd,bjd->bij", votes, v)
    return votes, K.softmax(logits, axis=-1 if layer.softmax_over == "output" else 1)


def _em(layer, inputs, activations=None):
    """Compute the votes and the coupling coefficients of the last iteration of EM routing.

    The coefficients R_ij a_i / S_j, of the last M step, sum to 1 over i.
    """
    votes = layer.mapped_capsules(inputs)
    _, _, weights = route_by_em(**layer.routing_arguments(inputs, activations))
    weights = K.reshape(weights, K.shape(votes)[:3])
    return votes, weights / K.maximum(K.sum(weights, axis=1, keepdims=True), 1e-8)


def _self_attention(layer, inputs):
    """Compute the votes and the coupling coefficients of self-attention routing.

    The coefficients are c_ij = softmax_j(V_ij . sum_k V_kj / sqrt(d)) + b_ij.
    """
    capsules, kernel, bias = map(at_least_float32, (inputs, layer.kernel, layer.bias))
    votes = K.einsum("bix,ixjd->bijd", capsules, kernel)
    query = K.sum(votes, axis=1) * layer.capsule_dim**-0.5
    return votes, K.softmax(K.einsum("bijd,bjd->bij", votes, query), axis=-1) + bias


def _inverted_attention(layer, inputs, previous=None):
    """Compute the votes of inverted attention routing, and the coupling coefficients of its last iteration.

    The coefficients are softmax_j(V_ij . v_j / sqrt(d)).
    """
    count, columns, outputs, new_columns = layer.kernel.shape
    rows = layer.capsule_dim // new_columns  # of a capsule's matrix
    capsules = K.reshape(K.transpose(at_least_float32(inputs), (1, 0, 2)), (count, -1, rows, columns))
    weights = [None if x is None else at_least_float32(x) for x in (layer.kernel, layer.gamma, layer.beta, previous)]
    kernel, gamma, beta, query = weights
    votes = K.einsum("inmx,ixjy->nijmy", capsules, kernel)
    votes = K.reshape(votes, (-1, count, outputs, layer.capsule_dim))
    if layer.iterations > 1:
        query = inverted_attention(capsules, kernel, gamma, beta, layer.iterations - 1, query)
    if query is None:
        return votes, K.full_like(votes[..., 0], 1 / outputs)
    agreement = K.einsum("bijd,bjd->bij", votes, query) * layer.capsule_dim**-0.5
    return votes, K.softmax(agreement, axis=-1)


_FUNCTIONS = {
    layers.CapFC: _capfc,
    layers.DynamicRouting: _dynamic,
    layers.EMRouting: _em,
    layers.SelfAttentionRouting: _self_attention,
    layers.InvertedAttentionRouting: _inverted_attention,
}
LAYERS_WITH_VOTES: tuple[type[keras.layers.Layer], ...] = tuple(_FUNCTIONS)
