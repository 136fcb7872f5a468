"""Cosine similarity between the capsules of a trained network and the votes that they receive."""

import keras
import numpy as np

from encapnet_tf import layers
from encapnet_tf.blocks.capsule_mapping import CapsuleMapping

BINS = 20  # bins of the cosine similarity, from -1 to 1
_IMAGES = 64  # at most, and fewer for layers with many activations
_LAYERS = 2  # the last capsule layers of the network that are measured
_NUMBERS = 2**24  # mapped activations in memory at a time; over all images, sixteen times as many
_CAPSULE_LAYERS = (CapsuleMapping, layers.CapFC, layers.CapConv2D)


def agreement(model: keras.Model, images, labels) -> list[dict]:
    """Compute histograms of the cosine similarity between the votes and the output capsules of capsule layers.

    They are those of the paper's Fig. 2.

    The last two capsule layers are measured. Of class capsules, only that of the image's label counts. In dynamic
    routing, EM routing and capFC the mapped lower capsules are the v_{j|i} that the layer sums; in capConv they are the
    master and the aide activation of each position.

    Args:
        model: a functional Keras model.
        images: (n, height, width, channels), pixels as the model takes them; at most 64 are used.
        labels: (n,) integers.

    Returns:
        One dictionary for each layer and branch, none for a network without capsules. Keys:
        "layer": name of the layer.
        "branch": "mapped", "master" or "aide".
        "share": share of the mapped capsules in each of 20 bins of the cosine from -1 to 1.
        "length": mean length of the mapped capsules in each bin; 0 in an empty bin.
    """
    capsule_layers = [layer for layer in model.layers if isinstance(layer, _CAPSULE_LAYERS)][-_LAYERS:]
    if not capsule_layers:
        return []
    ends = [(_first(layer.input), _first(layer.output)) for layer in capsule_layers]
    probe = keras.Model(model.input, [tensor for pair in ends for tensor in pair])
    has_class_capsules = _has_class_capsules(model, capsule_layers[-1])
    sums: dict[tuple[str, str], np.ndarray] = {}
    for portion, portion_labels in _portions(capsule_layers, images, labels):
        values = probe(np.asarray(portion, "float32"), training=False)
        for i, layer in enumerate(capsule_layers):
            lower, higher = values[2 * i : 2 * i + 2]
            classes = portion_labels if has_class_capsules and layer is capsule_layers[-1] else None
            for branch, mapped, capsules in _branches(layer, lower, higher):
                _add(sums.setdefault((layer.name, branch), np.zeros((2, BINS))), mapped, capsules, classes)
    return [
        {
            "layer": name,
            "branch": branch,
            "share": (counts / max(1, counts.sum())).tolist(),
            "length": (lengths / np.maximum(1, counts)).tolist(),
        }
        for (name, branch), (counts, lengths) in sums.items()
    ]


def _first(tensors):
    """Return the first tensor of a list, or the argument itself if it is a single tensor.

    The other tensors of a list are a shortcut or activations.
    """
    return tensors[0] if isinstance(tensors, (list, tuple)) else tensors


def _has_class_capsules(model, layer) -> bool:
    shape = _first(layer.output).shape
    return len(shape) == 3 and shape[1] == model.output_shape[-1]


def _portions(capsule_layers, images, labels):
    """Yield images and labels in batches that are small enough for the votes of all capsules to fit into memory."""
    numbers = max(_mapped_numbers(layer) for layer in capsule_layers)
    images = images[: max(1, min(_IMAGES, 16 * _NUMBERS // numbers))]
    size = max(1, _NUMBERS // numbers)
    for start in range(0, len(images), size):
        yield images[start : start + size], labels[start : min(start + size, len(images))]


def _mapped_numbers(layer) -> int:
    """Return the number of elements per image in a capsule layer's vote tensor."""
    lower, higher = _first(layer.input).shape[1:], _first(layer.output).shape[1:]
    if isinstance(layer, layers.CapConv2D):
        return int(np.prod(higher))
    return int(np.prod(lower)) // _input_dim(layer) * int(np.prod(higher))


def _input_dim(layer):
    return layer.capsule_dim if isinstance(layer, layers.CapFC) else layer.kernel.shape[1]


def _branches(layer, lower, higher):
    """Yield the votes and the output capsules of a capsule layer as NumPy arrays.

    Each item is (name, votes, output capsules). capConv may have two vote tensors. The names are "master" and,
    depending on the routing, "aide" for capConv, and "mapped" for other layers.

    Shapes: (n, lower, higher, dim) and (n, higher, dim). The positions of a map count as samples.
    """
    if not isinstance(layer, layers.CapConv2D):
        yield "mapped", np.asarray(layer.mapped_capsules(lower)), np.asarray(higher)
        return
    if layer.routing == "master":
        branches = {"master": layer.master(lower)}
    else:
        branches = {
            "master": layer.master_activation(layer.master(lower)),
            "aide": layer.aide_activation(layer.aide(lower)),
        }
    shape = (-1, layer.num_capsules, layer.capsule_dim)
    for name, mapped in branches.items():
        yield name, np.reshape(mapped, shape)[:, None], np.reshape(higher, shape)


def _add(sums, mapped, capsules, classes):
    """Update a histogram of the cosine similarity between votes and output capsules.

    Row 0 counts the mapped capsules in each bin, row 1 sums their lengths.

    Args:
        sums: (2, BINS) histogram, changed in place.
        mapped: (n, lower, higher, dim).
        capsules: (n, higher, dim).
        classes: (n,) the one higher capsule of each image that counts; None counts all.
    """
    if classes is not None:
        rows = np.arange(len(classes))
        mapped, capsules = mapped[rows, :, classes][:, :, None], capsules[rows, classes][:, None]
    mapped, capsules = mapped.astype("float32"), capsules.astype("float32")
    lengths = np.linalg.norm(mapped, axis=-1)
    products = np.einsum("nijd,njd->nij", mapped, capsules)
    cosine = products / np.maximum(lengths * np.linalg.norm(capsules, axis=-1)[:, None], 1e-12)
    for row, weights in zip(sums, (None, lengths), strict=True):
        row += np.histogram(np.clip(cosine, -1, 1), BINS, (-1, 1), weights=weights)[0]
