"""Loaders for image data sets, such as MNIST, folders of images, and data sets of TensorFlow Datasets.

Each returns a `SourceDataset`.
"""
