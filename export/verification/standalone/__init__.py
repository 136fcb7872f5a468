"""Scripts for separate processes, run by path: they import nothing of this package."""
