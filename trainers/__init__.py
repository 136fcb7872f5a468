"""Training: configuration, data, run folders, and the verbs of the `encapnet` command. Imports only the core."""
