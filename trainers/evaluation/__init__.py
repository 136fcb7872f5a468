"""Evaluation of a trained model: predictions, calibration, robustness, agreement of capsules."""
