"""Verification of artefacts: parity with the trained model on real images, and no training-only contents."""
