"""Checkpoints of training runs: files, training state, resuming, and continuation in a new run."""
