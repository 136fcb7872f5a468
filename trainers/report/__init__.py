"""HTML reports on one training run (`run_report.py`) or on a comparison of several (`comparison.py`).

Each `*_section.py` has one section's text and its picture; `run_report.py` lists the sections in their order.
"""
