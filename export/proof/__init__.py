"""Parity of every artefact with the trained model, measured on real images."""
