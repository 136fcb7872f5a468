"""Folders of training runs: file names, atomic writes, locks, and errors shown to the user."""
