"""Checkpoint files, from which an interrupted training run resumes or a new run starts."""
