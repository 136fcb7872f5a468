"""Evaluation of trained models: predictions, calibration, robustness, and similarity between capsules and votes."""
