"""Convolutions grouped by capsule, and the choice of their lowering."""
