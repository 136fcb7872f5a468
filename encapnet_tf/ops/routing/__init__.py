"""Routing algorithms between two layers of capsules, such as dynamic routing and EM routing."""
