"""How far lower capsules agree with the higher ones they are routed to: the numbers of the paper's Figure 2."""

import keras
import numpy as np

from encapnet_tf import layers
from encapnet_tf.blocks.capsule_mapping import CapsuleMapping

BINS = 20  # of the cosine similarity, from -1 to 1
_IMAGES = 64
_LAYERS = 2  # the last so many capsule layers are looked at
_NUMBERS = 2**24  # of mapped activations at a time, and in all sixteen times as many
_CAPSULE_LAYERS = (CapsuleMapping, layers.CapFC, layers.CapConv2D)


def agreement(model, images, labels) -> list:
    """Histograms of the cosine similarity between higher capsules and their mapped lower capsules (Fig. 2).

    Of the last two capsule layers. In the last one of a network that ends in class capsules, the higher capsule is that
    of the image's own class; elsewhere, every one. For dynamic and EM routing and capFC the mapped lower capsules are
    the v_{j|i} that the routing sums; for capConv, the master and the aide activation of each position.

    Args:
        model: a functional Keras model.
        images: (n, height, width, channels), what the model takes; up to 64 are used.
        labels: (n,) their classes.

    Returns:
        A dictionary for each layer and branch: "layer"; "branch", "mapped", "master" or "aide"; "share" of the mapped
        capsules in each of 20 bins from -1 to 1; "length", their mean length there (0 where there is none). Empty for a
        network without capsules.
    """
    found = [layer for layer in model.layers if isinstance(layer, _CAPSULE_LAYERS)][-_LAYERS:]
    if not found:
        return []
    ends = [(_first(layer.input), _first(layer.output)) for layer in found]
    probe = keras.Model(model.input, [tensor for pair in ends for tensor in pair])
    of_class = _last_is_of_classes(model, found[-1])
    counts = {}
    for some_images, some_labels in _shares(found, images, labels):
        values = probe(np.asarray(some_images, "float32"), training=False)
        for i, layer in enumerate(found):
            lower, higher = values[2 * i : 2 * i + 2]
            own = some_labels if of_class and layer is found[-1] else None
            for branch, mapped, capsules in _branches(layer, lower, higher):
                _count(counts.setdefault((layer.name, branch), np.zeros((2, BINS))), mapped, capsules, own)
    return [
        {
            "layer": name,
            "branch": branch,
            "share": (number / max(1, number.sum())).tolist(),
            "length": (lengths / np.maximum(1, number)).tolist(),
        }
        for (name, branch), (number, lengths) in counts.items()
    ]


def _first(tensors):
    """A layer's map or capsules, without shortcut or activations."""
    return tensors[0] if isinstance(tensors, (list, tuple)) else tensors


def _last_is_of_classes(model, layer):
    shape = _first(layer.output).shape
    return len(shape) == 3 and shape[1] == model.output_shape[-1]


def _shares(found, images, labels):
    """The images in such portions that their mapped activations fit a memory; fewer images where these are many."""
    numbers = max(_mapped_numbers(layer) for layer in found)
    images = images[: max(1, min(_IMAGES, 16 * _NUMBERS // numbers))]
    size = max(1, _NUMBERS // numbers)
    for start in range(0, len(images), size):
        yield images[start : start + size], labels[start : min(start + size, len(images))]


def _mapped_numbers(layer):
    """Mapped activations of one image."""
    lower, higher = _first(layer.input).shape[1:], _first(layer.output).shape[1:]
    if isinstance(layer, layers.CapConv2D):
        return int(np.prod(higher))
    return int(np.prod(lower)) // _input_dim(layer) * int(np.prod(higher))


def _input_dim(layer):
    return layer.capsule_dim if isinstance(layer, layers.CapFC) else layer.kernel.shape[1]


def _branches(layer, lower, higher):
    """(name, mapped (n, lower, higher, dim), capsules (n, higher, dim)); positions of a map count as samples."""
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


def _count(sums, mapped, capsules, own):
    """Adds to (2, BINS): how many mapped capsules fall into each bin, and the sum of their lengths."""
    if own is not None:
        rows = np.arange(len(own))
        mapped, capsules = mapped[rows, :, own][:, :, None], capsules[rows, own][:, None]
    mapped, capsules = mapped.astype("float32"), capsules.astype("float32")
    lengths = np.linalg.norm(mapped, axis=-1)
    products = np.einsum("nijd,njd->nij", mapped, capsules)
    cosine = products / np.maximum(lengths * np.linalg.norm(capsules, axis=-1)[:, None], 1e-12)
    for row, weights in zip(sums, (None, lengths), strict=True):
        row += np.histogram(np.clip(cosine, -1, 1), BINS, (-1, 1), weights=weights)[0]
