"""Run folders: atomic files, the lock, the names of a run's files, and errors that the user can mend."""
