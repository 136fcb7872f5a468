"""Loaders for image data sets that TensorFlow Datasets (TFDS) has prepared on disk."""
