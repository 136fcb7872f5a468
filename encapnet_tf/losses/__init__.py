"""Losses on capsule lengths."""

from encapnet_tf.losses.margin_loss import MarginLoss
from encapnet_tf.losses.spread_loss import SpreadLoss

__all__ = ["MarginLoss", "SpreadLoss"]
