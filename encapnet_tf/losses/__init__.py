"""Keras losses for capsule networks, and a Keras loss based on the Sinkhorn divergence."""

from encapnet_tf.losses.class_loss import ClassLoss  # noqa: F401 (registers it)
from encapnet_tf.losses.labels_found import LabelsFound  # noqa: F401 (registers it)
from encapnet_tf.losses.margin_loss import MarginLoss
from encapnet_tf.losses.multi_label_crossentropy import MultiLabelCrossentropy  # noqa: F401 (registers it)
from encapnet_tf.losses.sinkhorn_loss import SinkhornLoss
from encapnet_tf.losses.spread_loss import SpreadLoss

__all__ = ["MarginLoss", "SinkhornLoss", "SpreadLoss"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
