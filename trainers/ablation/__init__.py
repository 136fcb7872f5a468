"""Ablation studies, which train predefined model configurations and tabulate the test errors."""
