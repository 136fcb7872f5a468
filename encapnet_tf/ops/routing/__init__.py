"""Routing algorithms between two layers of capsules: dynamic routing and EM routing."""
