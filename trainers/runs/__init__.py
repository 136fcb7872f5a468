"""Folders that store training results, with atomic file writes and locks against concurrent writers."""
