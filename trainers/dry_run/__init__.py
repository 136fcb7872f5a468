"""Dry run that prints the settings and network of a training run, and estimates its time and memory."""
