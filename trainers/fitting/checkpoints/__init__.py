"""Checkpoints of training runs: their files, the state that they hold, and runs that start from one."""
