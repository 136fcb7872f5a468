"""Run folders: their files, locks, atomic writing, and user errors."""
