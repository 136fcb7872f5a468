"""Ablation studies: predefined tables of configurations, their training, and a table of the test errors."""
