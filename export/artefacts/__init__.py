"""What an export consists of: SavedModel, TFLite files, documents, serving files."""
