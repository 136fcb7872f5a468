"""Loaders for image data sets, such as CIFAR-10, folders of images, and data sets of TensorFlow Datasets.

Each returns a `SourceDataset`.
"""
