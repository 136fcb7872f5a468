"""Keras callbacks that vary loss parameters over the epochs or detect a collapsed feature extractor."""

from encapnet_tf.callbacks.collapse_watch import CollapseWatch
from encapnet_tf.callbacks.feedback_weight_schedule import FeedbackWeightSchedule
from encapnet_tf.callbacks.spread_margin_schedule import SpreadMarginSchedule

__all__ = ["CollapseWatch", "FeedbackWeightSchedule", "SpreadMarginSchedule"]


def __dir__() -> list[str]:
    """Return the public names of this module for `dir()` and tab completion."""
    return list(__all__)
