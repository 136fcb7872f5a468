"""Loaders of data sets: each returns a `SourceDataset` from scikit-learn, IDX files, a folder of images, or TFDS."""
