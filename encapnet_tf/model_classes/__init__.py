"""Subclasses of Keras's functional model, used to build capsule networks.

They add image reconstruction, synchronised batch normalisation and freely chosen output names.
"""
