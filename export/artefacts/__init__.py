"""Writers of the files in a model export: SavedModel, TFLite, model card and TF Serving configuration."""
