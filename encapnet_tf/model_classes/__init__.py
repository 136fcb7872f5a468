"""Functional Keras model classes for image reconstruction, synchronised batch normalisation and output names."""
