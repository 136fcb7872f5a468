"""Ablation studies: train predefined sets of model configurations and tabulate the test errors."""
