"""Export, verification and serving of trained Keras models as SavedModel and TFLite files."""

from .export_model import export_model

__all__ = ["export_model"]
