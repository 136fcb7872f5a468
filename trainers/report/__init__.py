"""HTML reports: of one run (`run_report.py`), of several beside each other (`comparison.py`).

Each `*_section.py` has one section's text and its picture; `run_report.py` lists the sections in their order.
"""
