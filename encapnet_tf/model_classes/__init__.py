"""Subclasses of Keras's functional model that capsule networks use.

They add image reconstruction, synchronised batch normalisation and freely chosen output names.
"""
