"""Dry run that prints a training run's settings, network, and estimated time and memory."""
