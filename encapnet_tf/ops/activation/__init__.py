"""Batch normalisation, ReLU and squash operations for capsule feature maps."""
