"""Keras metrics based on optimal transport."""

from encapnet_tf.metrics.sinkhorn_divergence import SinkhornDivergence

__all__ = ["SinkhornDivergence"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
