"""Ablation tables of the paper: their rows, running them, the resulting table."""
