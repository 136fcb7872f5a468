"""A trained model -> SavedModel, TFLite files, their proof of equality, serving files and clients."""

from .export_model import export_model

__all__ = ["export_model"]
