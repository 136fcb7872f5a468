"""Benchmarks of this package's speed and memory, run with `python -m benchmarks.NAME`.

They are run from a checkout.

results/README.md lists the names.

A command here chooses contestants and limits; `workloads/` holds what they work on, `contestants/` what is timed, and
`harness/` times and reports.
"""
