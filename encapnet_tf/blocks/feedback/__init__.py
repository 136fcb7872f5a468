"""Generators and feature extractors of the feedback agreement unit."""
