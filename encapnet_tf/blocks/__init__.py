"""Keras layers and metrics that the public layers and the networks are built from; not public themselves."""
