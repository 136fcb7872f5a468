"""The `encapnet` command: the argument parser and one module per verb."""
