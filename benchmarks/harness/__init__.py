"""Code that all benchmarks share for timing, memory measurement, reports and plots."""
