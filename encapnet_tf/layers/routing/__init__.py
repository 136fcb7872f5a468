"""Capsule layers with routing: each computes how much every lower capsule contributes to every higher one."""
