"""Export of trained models: SavedModel and TFLite files that are verified against the model, and serving."""

from .export_model import export_model

__all__ = ["export_model"]
