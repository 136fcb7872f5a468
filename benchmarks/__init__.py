"""Measured comparisons, run from a checkout: `python -m benchmarks.NAME`.

Results/README.md lists the names.

A command here chooses contestants and limits, `contestants/` holds what is timed, `harness/` times and reports.
"""
