"""The files of an export: SavedModel, TFLite, model card and serving files, and the graph that is exported."""
