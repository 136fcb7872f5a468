"""Readers of data sets: folders of images, IDX files, TensorFlow Datasets, h-ImageNet."""
