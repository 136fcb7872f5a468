"""The `encapnet` command: argument parser and verbs."""
