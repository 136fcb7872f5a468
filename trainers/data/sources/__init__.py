"""Data set loaders for scikit-learn's digits, IDX files (MNIST), image folders and TensorFlow Datasets.

Each returns a `SourceDataset`.
"""
