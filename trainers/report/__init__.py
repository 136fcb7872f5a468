"""HTML reports on a single training run and on the comparison of several training runs.

Each `*_section.py` has one section's text and its picture; `run_report.py` lists the sections in their order.
"""
