"""Keras layers and metrics that the public layers and the networks are built from.

Not public themselves.
"""
