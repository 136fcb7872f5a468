"""Verification that exported models reproduce the trained model's outputs and contain no training-only layers."""
