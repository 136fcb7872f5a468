"""Evaluation of trained models: predictions, calibration, robustness, and the agreement of capsule votes."""
