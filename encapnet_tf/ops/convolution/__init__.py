"""Grouped and dense convolution, and the ways to compute them."""
