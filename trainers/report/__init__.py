"""HTML reports: sections, figures, and pages that compare runs."""
