"""Grouped 2-D convolution operations with one group per capsule."""
