"""Function that computes how much each lower capsule contributes to the class capsule of an image.

It also computes the cosine similarity of the votes to the class capsule, and the coupling coefficients.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from encapnet_tf import layers
from encapnet_tf.explain.class_scores import class_scores, explained_classes, image_batch
from encapnet_tf.explain.couplings import LAYERS_WITH_VOTES, votes_and_couplings
from encapnet_tf.explain.layer_calls import last_call
from encapnet_tf.explain.position_centres import position_centres
from encapnet_tf.functional_models import functional_model
from encapnet_tf.keras_private import layer_call

_NUMBERS = 2**24  # vote entries in memory at a time
_LEAST_LENGTH = 1e-12
# Layers that pass capsules on in an order of their own, or unchanged.
_PASSING = (keras.layers.Reshape, keras.layers.Permute, layers.FeedbackAgreement)


class Agreement(NamedTuple):
    """Agreement of every lower capsule with one class capsule of each image.

    Lower capsules that lie on a feature map have the shape (batch, height, width, capsules), others (batch, capsules).

    Attributes:
        layer: name of the layer that computes the class capsules.
        labels: (batch,) the classes.
        cosine: cosine similarity between a lower capsule's vote V_ij and the class capsule v_j, from -1 to 1; None for
            `SelfRouting2D` as the last layer, where class capsules are mere activations.
        coupling: c_ij, the coefficient of the vote in the sum s_j = sum_i c_ij V_ij; 1 in `CapFC`.
        contribution: c_ij V_ij . v_j / |v_j|, what a lower capsule adds to s_j along the class capsule. With a squash,
            the contributions sum to |s_j|, the length before the squash. In self-routing they are a_i r_ij / sum_i a_i
            and sum to the class's probability.
        centres: pixel coordinates in the image of the rows (height,) and columns (width,) of the feature map; None
            for capsules that lie on none.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> result = agreement(model, np.ones((1, 8, 8, 1), "float32"))
    >>> result.layer, result.centres[0]
    ('class_capsules', array([0., 2., 4., 6.]))
    """

    layer: str
    labels: np.ndarray
    cosine: np.ndarray | None
    coupling: np.ndarray
    contribution: np.ndarray
    centres: tuple[np.ndarray, np.ndarray] | None


def agreement(model, images, labels=None) -> Agreement:
    """Compute how strongly each lower capsule agrees with the capsule of the image's class.

    Each lower capsule i votes for each class capsule j, and routing weights the votes: s_j = sum_i c_ij V_ij. The
    layer that computes the class capsules may be a `CapFC`, `DynamicRouting`, `EMRouting`, `SelfAttentionRouting`,
    `InvertedAttentionRouting`, or a `SelfRouting2D` that covers the whole map.

    Args:
        model: a functional Keras model with class capsules and one output, class scores (batch, classes).
        images: (batch, height, width, channels), with pixels as the model receives them.
        labels: classes (batch,), or one class for all images; None is each image's class of highest score.

    Returns:
        An `Agreement` of NumPy arrays with one number for each image and lower capsule, such as (batch, height, width,
        capsules).

    Raises:
        ValueError: the model has another form or no such layer, or the images or labels have another form.

    Example:

    >>> import encapnet_tf as en, numpy as np
    >>> model = en.models.EncapNet((8, 8, 1), classes=2, depths=(1,), capsule_dims=(2,), strides=(2,), num_capsules=4)
    >>> agreement(model, np.ones((3, 8, 8, 1), "float32")).contribution.shape
    (3, 4, 4, 4)
    """
    model = functional_model(model, "Agreement is computed for", "Build the network as keras.Model(inputs, outputs).")
    images = image_batch(model, images)
    scores = class_scores(model, images)
    classes = explained_classes(scores, labels)
    layer, arguments, options = _class_layer(model, scores.shape[1])
    symbolic = [x for x in keras.tree.flatten((arguments, options)) if keras.utils.is_keras_tensor(x)]
    probe = keras.Model(model.inputs[0], symbolic)
    parts = []
    size = _images_at_a_time(layer, symbolic[0])
    for start in range(0, len(images), size):
        computed = probe(images[start : start + size], training=False)
        values = iter(computed if isinstance(computed, (list, tuple)) else [computed])
        call = keras.tree.map_structure(
            lambda x, values=values: next(values) if keras.utils.is_keras_tensor(x) else x, (arguments, options)
        )
        measure: Callable = (
            _agreement_of_self_routing if isinstance(layer, layers.SelfRouting2D) else _agreement_of_votes
        )
        parts.append(measure(layer, *call, classes[start : start + size]))
    cosine, coupling, contribution = (None if x[0] is None else np.concatenate(x) for x in zip(*parts, strict=True))
    place, centres = _places(layer, arguments[0])
    return Agreement(
        layer=layer.name,
        labels=classes,
        cosine=None if cosine is None else place(cosine),
        coupling=place(coupling),
        contribution=place(contribution),
        centres=centres,
    )


def _class_layer(model, classes):
    """Return the layer that computes a model's class capsules, and the symbolic inputs of this layer.

    Raises:
        ValueError: there is none.
    """
    call = last_call(model, (*LAYERS_WITH_VOTES, layers.SelfRouting2D))
    if call is not None:
        layer, arguments, options, output = call
        if isinstance(layer, layers.SelfRouting2D):
            fits = tuple(output.shape[1:]) == (1, 1, classes)
        else:
            fits = output.shape[1] == classes
        if fits:
            return layer, arguments, options
    names = ", ".join(sorted(layer_class.__name__ for layer_class in (*LAYERS_WITH_VOTES, layers.SelfRouting2D)))
    raise ValueError(
        f"{model.name} has no layer that computes {classes} class capsules from lower capsules, one of {names}, on the "
        "way to its output. Use saliency and occlusion for networks without class capsules."
    )


def _images_at_a_time(layer, inputs) -> int:
    """Return a conservative batch size for which the votes of all capsules fit into memory."""
    return max(1, _NUMBERS // (math.prod(inputs.shape[1:]) * layer.num_capsules * (layer.capsule_dim or 1)))


def _agreement_of_votes(layer, arguments, options, classes):
    """Compare each lower capsule's vote for the class to be explained with that class's capsule.

    Return the cosine between vote and class capsule, the coupling coefficient, and the vote's contribution to the class
    capsule, each of shape (batch, lower capsules).
    """
    options = {name: value for name, value in options.items() if name != "training"}
    capsules = layer(*arguments, **options)
    capsules = capsules[0] if isinstance(capsules, (list, tuple)) else capsules  # EM routing returns activations, too
    votes, couplings = votes_and_couplings(layer, *arguments, **options)
    votes, couplings, capsules = (keras.ops.convert_to_numpy(x).astype("float32") for x in (votes, couplings, capsules))
    rows = np.arange(len(classes))
    votes, couplings, capsules = votes[rows, :, classes], couplings[rows, :, classes], capsules[rows, classes]
    direction = capsules / np.maximum(np.linalg.norm(capsules, axis=-1, keepdims=True), _LEAST_LENGTH)
    along = np.einsum("bid,bd->bi", votes, direction)
    cosine = along / np.maximum(np.linalg.norm(votes, axis=-1), _LEAST_LENGTH)
    return np.clip(cosine, -1, 1), couplings, couplings * along


def _agreement_of_self_routing(layer, arguments, options, classes):
    """Compute how much each lower capsule of a self-routing layer contributes to the explained class capsule.

    Return None in place of the cosine, the routing coefficients r_ij and the shares a_i r_ij / sum_i a_i, both of shape
    (batch, lower capsules).
    """
    activations, poses = (keras.ops.convert_to_numpy(x).astype("float32") for x in arguments[0])
    batch = len(activations)
    capsules = layer.routing_kernel.shape[0]  # in the order (row, column, capsule)
    kernel, bias = (keras.ops.convert_to_numpy(x).astype("float32") for x in (layer.routing_kernel, layer.bias))
    logits = np.einsum("bix,ixj->bij", poses.reshape(batch, capsules, -1), kernel) + bias
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    coupling = (exponentials / exponentials.sum(axis=-1, keepdims=True))[np.arange(batch), :, classes]
    activations = activations.reshape(batch, capsules)
    total = np.maximum(activations.sum(axis=1, keepdims=True), _LEAST_LENGTH)
    return None, coupling, activations * coupling / total


def _places(layer, inputs):
    """Return a function that reshapes capsule values to a feature map, and the centres of the map's positions.

    Args:
        layer: the layer that computes the class capsules.
        inputs: its symbolic input.

    Returns:
        Function from (batch, lower capsules) to (batch, height, width, capsules), and the centres; the identity and
        None for capsules that lie on no map.
    """
    feature_map, order = _feature_map(layer, inputs)
    if feature_map is None:
        return (lambda values: values), None
    height, width = feature_map.shape[1:3]

    def place(values):
        if order == "position":
            return values.reshape(len(values), height, width, -1)
        return values.reshape(len(values), -1, height, width).transpose(0, 2, 3, 1)

    return place, position_centres(feature_map)


def _feature_map(layer, inputs):
    """Find the feature map that contains a layer's lower capsules before they are flattened.

    Return the map and the order of flattening, "position" or "capsule". The map is a symbolic tensor, or None for
    capsules that lie on no map.
    """
    order = "position" if isinstance(layer, layers.SelfRouting2D) else "capsule"
    feature_map = keras.tree.flatten(inputs)[-1]
    if len(feature_map.shape) == 3:
        producer, arguments, _ = layer_call(feature_map)
        if not isinstance(producer, layers.FlattenCapsules):
            return None, order
        feature_map, order = arguments[0], producer.order
    tensor = feature_map
    while True:  # capsules of a fully connected layer lie nowhere, even where they are arranged as a map
        producer, arguments, _ = layer_call(tensor)
        if isinstance(producer, LAYERS_WITH_VOTES):
            return None, order
        if not isinstance(producer, _PASSING):
            return feature_map, order
        tensor = keras.tree.flatten(arguments)[0]
