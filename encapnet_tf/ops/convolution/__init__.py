"""Grouped convolutions (one group per capsule), and the choice of their fastest implementation."""
