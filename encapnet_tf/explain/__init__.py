"""Functions that explain the class scores and the class capsules of an image classifier.

Each function takes a model and a batch of images, and returns NumPy arrays to draw.
"""

from encapnet_tf.explain.agreement import Agreement, agreement
from encapnet_tf.explain.component_grid import component_grid
from encapnet_tf.explain.occlusion import occlusion
from encapnet_tf.explain.saliency import saliency

__all__ = ["Agreement", "agreement", "component_grid", "occlusion", "saliency"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
