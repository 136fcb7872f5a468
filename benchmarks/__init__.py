"""Measured comparisons, run from a checkout: `python -m benchmarks.NAME`; see results/README.md."""
