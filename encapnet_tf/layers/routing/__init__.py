"""Keras capsule layers with routing algorithms such as dynamic routing and EM routing."""
