"""Export of trained Keras models to SavedModel and TFLite files, with verification and serving."""

from .export_model import export_model

__all__ = ["export_model"]
