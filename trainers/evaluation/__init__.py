"""Evaluation of trained models: predictions, calibration, robustness, and agreement between capsules."""
