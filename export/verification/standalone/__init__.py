"""Scripts that run exported models in separate processes, without importing this package.

They are run by path.
"""
