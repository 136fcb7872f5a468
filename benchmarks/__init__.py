"""Measured comparisons; what they wrote is in results/, with the hardware named."""
