"""Shared code of all benchmarks: worker processes, timing, reports and plots."""
