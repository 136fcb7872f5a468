"""Tests of what can be known about GPUs on a machine without one."""
