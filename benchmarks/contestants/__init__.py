"""Contestants: factories of timed functions, called by name in a worker process, one file a subject and framework."""
