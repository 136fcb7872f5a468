"""Benchmarks of this package's speed and memory, run with `python -m benchmarks.NAME`.

They are run from a checkout.

results/README.md lists the names.

A command here chooses contestants and limits, `contestants/` holds what is timed, `harness/` times and reports.
"""
