"""Keras callbacks that schedule loss parameters and detect feature extractors with a constant output."""

from encapnet_tf.callbacks.collapse_watch import CollapseWatch
from encapnet_tf.callbacks.feedback_weight_schedule import FeedbackWeightSchedule
from encapnet_tf.callbacks.spread_margin_schedule import SpreadMarginSchedule

__all__ = ["CollapseWatch", "FeedbackWeightSchedule", "SpreadMarginSchedule"]


def __dir__() -> list[str]:
    """Return only the public names of this module, for `dir` and tab completion."""
    return list(__all__)
