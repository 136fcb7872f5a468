"""Checkpoints from which training runs are resumed or continued."""
