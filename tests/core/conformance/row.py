"""Row of the table that all conformance tests loop over."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import keras
import numpy as np

import encapnet_tf as en
from encapnet_tf.losses import MarginLoss

PACKAGES = {
    "layers": en.layers,
    "models": en.models,
    "losses": en.losses,
    "metrics": en.metrics,
    "callbacks": en.callbacks,
}


@dataclass(frozen=True)
class Row:
    """Public class or builder with arguments and the shape of an input.

    Attributes:
        name: the row's id.
        factory: the class or builder with its arguments.
        shape: of an input, without the batch (height and width differ); of losses, metrics and callbacks: (classes,).
        call: how the layer is called, where that is not `layer(x)`; a single output, joined by `join` if necessary.
        build_shape: from the shape of an input, batch included, to that which the layer is built with.
        loss: of callbacks, the loss to compile with.
        one_hot: of losses and metrics, whether labels must be one-hot.
        slow_xla: whether its test under XLA is left to `pytest -m slow`, since its parts have rows of their own.
    """

    name: str
    factory: partial
    shape: tuple
    call: Callable = field(default=lambda layer, x, **options: layer(x, **options))
    build_shape: Callable = field(default=lambda shape: shape)
    loss: Callable = MarginLoss
    one_hot: bool = False
    slow_xla: bool = False

    @property
    def kind(self):
        """Public package of the class: "layers", "models", "losses", "metrics" or "callbacks"."""
        return next(name for name, package in PACKAGES.items() if self.factory.func in vars(package).values())

    @property
    def public(self):
        return f"{self.kind}.{self.factory.func.__name__}"

    def input(self, batch=3, seed=5):
        rng = np.random.default_rng(seed)
        if self.factory.keywords.get("include_rescaling"):
            return rng.integers(0, 256, (batch, *self.shape)).astype("float32")
        return rng.normal(size=(batch, *self.shape)).astype("float32")

    def model(self):
        """Return the row as a model with a dynamic batch."""
        if self.kind == "models":
            return self.factory()
        inputs = keras.Input(self.shape)
        return keras.Model(inputs, self.call(self.factory(), inputs))


def join(outputs):
    """Join several outputs of a layer to one along the last axis, to which those with fewer axes add one entry."""
    most = max(len(y.shape) for y in outputs)
    return keras.ops.concatenate([y if len(y.shape) == most else y[..., None] for y in outputs], axis=-1)


def joined_shape(shape):
    """Return the shape of the joined outputs of a layer; `shape` is that of its output, or a list of several."""
    if not isinstance(shape[0], list | tuple):
        return tuple(shape)
    most = max(map(len, shape))
    longest = next(one for one in shape if len(one) == most)
    return (*longest[:-1], sum(one[-1] if len(one) == most else 1 for one in shape))
