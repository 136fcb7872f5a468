"""Export, verification and serving of trained Keras models as SavedModel and TFLite files."""

__all__ = ["export_model"]


def __getattr__(name):  # TensorFlow is imported with the first export, not with the flags of `encapnet export`
    if name == "export_model":
        from .exporting import export_model

        return export_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
