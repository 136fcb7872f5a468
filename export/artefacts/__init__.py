"""Code that writes the files of an exported model: SavedModel, TFLite, model card and TF Serving configuration."""
